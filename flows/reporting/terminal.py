"""The display that fits a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TextIO

from reelsweep.flows.reporting.bar import BarDisplay
from reelsweep.flows.reporting.display import Display
from reelsweep.flows.reporting.lines import JsonDisplay, LineDisplay

LogFormat = Literal["text", "json"]


@contextmanager
def open_display(log_format: LogFormat = "text", stream: TextIO | None = None) -> Generator[Display]:
    """JSON lines when asked for, a bar on a terminal, else plain lines; on stderr when no stream is given.

    The bar shares its terminal: what is written to stderr while it stands appears above it.
    """
    target = sys.stderr if stream is None else stream
    if log_format == "json":
        yield JsonDisplay(target)
    elif target.isatty() and os.environ.get("TERM") != "dumb":
        with BarDisplay(target) as bar:
            yield bar
    else:
        yield LineDisplay(target)
