"""`reelsweep sandbox`: serve the gateway that ships with Reelsweep, on loopback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.prompts.errors import UsageError
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import serve


def sandbox(
    *,
    port: int = 8777,
    script: Path | None = None,
    bill: Path | None = None,
    key: Annotated[str | None, Parameter(env_var="REELSWEEP_SANDBOX_KEY")] = None,
) -> int:
    """Serve the sandbox gateway on 127.0.0.1 until Ctrl-C: real MP4s, faults on request, a bill.

    Try it: curl http://127.0.0.1:8777/v1/models

    Parameters
    ----------
    port
        The port; 0 takes a free one.
    script
        A JSON file of behaviour: dialect, seed mode, faults.
    bill
        A file that gets one JSON line per accepted POST.
    key
        Demand this key as Bearer token.
    """
    try:
        behaviour = Script() if script is None else Script.model_validate_json(script.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--script: {error}", "See `README.md` of the sandbox for the format.") from error
    sys.stderr.write(f"sandbox on http://127.0.0.1:{port}/v1 (Ctrl-C ends it)\n")
    serve(port=port, script=behaviour, key=key, bill=bill)
    return 0
