"""`reelsweep explain FILE`: what one recorded response body amounts to, as JSON."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from reelsweep.flows.commands.screen import print_json
from reelsweep.flows.options import DEFAULT_KEY_ENV
from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.request import Output
from reelsweep.tasks.gateway.explain import explain as explain_outcome
from reelsweep.tasks.gateway.fold import read_body
from reelsweep.tasks.gateway.transcript import scrub


def explain(
    file: str,
    *,
    http_status: int = 200,
    content_type: str | None = None,
    base_url: str | None = None,
    output: Output = "video",
    share: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,  # noqa: ARG001 - every command takes it
) -> int:
    """Read one recorded response body and print the Outcome as one JSON object.

    Parameters
    ----------
    file
        The body as it came over the wire, such as a file of OUT/transcripts; `-` reads stdin.
    http_status
        The HTTP status it came with.
    content_type
        Its Content-Type; guessed when not given.
    base_url
        The gateway's base URL, to complete relative addresses.
    output
        What the row had to yield.
    share
        Add the body, scrubbed of keys and signed addresses, fit for a bug report.
    json
        Changes nothing: the output is JSON anyway.
    """
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}.", "Name a recorded response body.") from error
    outcome = read_body(
        body, http_status=http_status, content_type=content_type, base_url=base_url, output=output
    )
    document = explain_outcome(outcome)
    if share:
        key = os.environ.get(DEFAULT_KEY_ENV)
        document["body"] = scrub(body, [key] if key else []).decode(errors="replace")
    print_json(document)
    return 0
