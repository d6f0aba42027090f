"""`reelsweep sandbox`: serve the gateway that ships with Reelsweep, on loopback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError
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
    behaviour = Script() if script is None else _read_script(script)
    sys.stderr.write(f"sandbox on http://127.0.0.1:{port}/v1 (Ctrl-C ends it)\n")
    serve(port=port, script=behaviour, key=key, bill=bill)
    return 0


def _read_script(path: Path) -> Script:
    try:
        return Script.model_validate_json(path.read_bytes())
    except ValidationError as error:
        reason = "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in error.errors())
    except OSError as error:
        reason = error.strerror or str(error)
    remedy = """Write JSON such as {"duration_s": 2, "rates": [{"fault": "cut", "rate": 0.1}]}."""
    raise UsageError(f"--script {path}: {reason}.", remedy)


def _place(keys: tuple[str | int, ...]) -> str:
    return ".".join(map(str, keys)) or "the file"
