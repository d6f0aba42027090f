"""The console script `reelsweep`.

stdout carries results (with `--json` exactly one object), stderr everything else. User mistakes are one
line and a remedy; exit codes are 0 done, 1 some is left, 2 nothing was sent because something is wrong,
3 stopped, 130 interrupted.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import warnings
from collections.abc import Sequence

import cyclopts
from cyclopts import App
from reelsweep.flows.allocator import share_memory
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


def register(*, listed: bool = False) -> None:
    """Hang every command into the app; imported late, so that `--version` and `--help` stay quick.

    `listed`: only the list of them is wanted; a command's own help is its whole docstring.
    """
    for name, does in COMMANDS.items():
        app.command(f"reelsweep.flows.commands.{name}:{name}", name=name, help=f"{does}." if listed else None)


COMMANDS = {
    "run": "Plan, generate, write the manifest",
    "plan": "Show what `run` would do with a table: counts, columns, cost, time",
    "status": "Show counts, spend and what is in flight",
    "show": "Show rows by prompt id, fingerprint (its beginning will do) or file name, with every attempt",
    "seedcheck": "Buy three generations, two of them with one seed, and tell whether",
    "reproduce": "Make a sample of an OUT's requests again and compare",
    "gallery": "Write the contact sheet of an output folder anew",
    "reconcile": "Ask about unknown attempts, read kept transcripts again, download what was not stored",
    "verify": "Check every file of an output folder, or of an export, by size and sha256",
    "export": "Export the clips of an output folder as a dataset with splits, shards and a card",
    "explain": "Read one recorded response body and print the Outcome as one JSON object",
    "sandbox": "Serve the sandbox gateway on 127.0.0.1 until Ctrl-C",
    "doctor": "Check gateway, key, models, disk, Prefect server and versions",
}
"""Each with the beginning of its docstring."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    register(listed=given in ([], ["--help"], ["-h"]))
    before_prefect()
    share_memory()
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
        return _say(_misread(error), 2, as_json=as_json)
    except UsageError as error:
        return _say(error, 2, as_json=as_json)
    except StopError as error:
        return _say(error, 3, as_json=as_json)
    except ReelsweepError as error:
        return _say(error, 1, as_json=as_json)
    except KeyboardInterrupt:
        _let_go_quietly()
        return _say(ReelsweepError("Interrupted.", "The same command again goes on."), 130, as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _let_go_quietly() -> None:
    """What the interruption has cut off half-made, such as an event loop, is let go of without a word."""
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore")


def _misread(error: cyclopts.CycloptsError) -> UsageError:
    """What the command line cannot be read as, and whose help says how it can."""
    command = " ".join(("reelsweep", *(error.command_chain or ())))
    message = " ".join(str(error).split())
    if isinstance(error, cyclopts.UnusedCliTokensError) and error.unused_tokens:
        more = " ".join(map(shlex.quote, error.unused_tokens))
        message = f"`{command}` takes no more than came before: {more}."
    return UsageError(message, f"See `{command} --help`.")


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
