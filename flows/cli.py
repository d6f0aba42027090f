"""The console script `reelsweep`.

stdout carries results (with `--json` exactly one object), stderr everything else. User mistakes are one
line and a remedy; exit codes are 0 done, 1 some is left, 2 nothing was sent because something is wrong,
3 stopped, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import cyclopts
from cyclopts import App
from reelsweep.flows.reporting.logs import before_prefect
from reelsweep.prompts.errors import ReelsweepError, StopError, UsageError

EPILOGUE = """A first try, with nothing configured:

    reelsweep run example:

The gateway is the sandbox that ships with Reelsweep unless --gateway or REELSWEEP_GATEWAY names another.
"""

app = App(
    name="reelsweep",
    help="A table of prompts in, a table of results out. Never pays twice, never loses what was paid for.",
    help_epilogue=EPILOGUE,
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)


def register() -> None:
    """Hang every command into the app; imported late, so that `--version` stays quick."""
    for name in COMMANDS:
        app.command(f"reelsweep.flows.commands.{name}:{name}", name=name)


def resolve() -> None:
    """Import every command: the list of them says what each does, and that stands in its docstring."""
    for name in COMMANDS:
        app[name]


COMMANDS = (
    "run",
    "plan",
    "status",
    "show",
    "seedcheck",
    "reproduce",
    "gallery",
    "reconcile",
    "verify",
    "export",
    "explain",
    "sandbox",
    "doctor",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    register()
    given = list(sys.argv[1:] if arguments is None else arguments)
    before_prefect()
    if given in ([], ["--help"], ["-h"]):
        resolve()
    # Arrow's own allocator keeps up to 30 MB more between two refreshes of a manifest of 1,000 rows.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = 1
    try:
        code = _run(given, as_json="--json" in given)
    finally:
        end_soon(code)
    sys.exit(code)


def end_soon(code: int) -> None:
    """A command that has used Prefect ends promptly, whatever Prefect's threads still wait for."""
    if "reelsweep.flows.orchestration.loss" in sys.modules:
        from reelsweep.flows.orchestration.loss import quiet_exit

        quiet_exit(code)


def _run(arguments: list[str], *, as_json: bool) -> int:
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        return _say(UsageError(" ".join(str(error).split()), "See `reelsweep --help`."), 2, as_json=as_json)
    except UsageError as error:
        return _say(error, 2, as_json=as_json)
    except StopError as error:
        return _say(error, 3, as_json=as_json)
    except ReelsweepError as error:
        return _say(error, 1, as_json=as_json)
    except KeyboardInterrupt:
        return _say(ReelsweepError("Interrupted.", "The same command again goes on."), 130, as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _say(error: ReelsweepError, code: int, *, as_json: bool) -> int:
    """One line and a remedy on stderr; with `--json` the object on stdout too."""
    from reelsweep.flows.reporting.display import escape_terminal

    lines = (escape_terminal(line) for line in f"error: {error}".split("\n"))
    sys.stderr.write("\n".join(lines) + "\n")
    if as_json:
        document = {"error": error.message, "remedy": error.remedy, "exit_code": code}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    return code


if __name__ == "__main__":
    main()
