"""The inside of a `SandboxServer`'s process: settings come by stdin, which also says when to end."""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from pathlib import Path

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import serve


def run_child() -> None:
    """Read the settings from stdin, serve, end with stdin."""
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

    def announce(base_url: str) -> None:
        sys.stdout.write(json.dumps({"base_url": base_url}) + "\n")
        sys.stdout.flush()

    try:
        serve(
            port=settings["port"],
            script=Script.model_validate(settings["script"]),
            key=settings["key"],
            bill=Path(settings["bill"]) if settings["bill"] else None,
            control_token=settings["control_token"],
            on_ready=announce,
        )
    except SettingsError as error:
        sys.stdout.write(json.dumps({"error": error.message, "remedy": error.remedy}) + "\n")


def _end_with_parent(parent: int) -> None:
    """End the process when the pipe from the parent closes, or the parent is another."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], 1.0)
        if readable and not os.read(0, 4096):
            break
    os._exit(0)
