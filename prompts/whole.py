"""A file's bytes once nobody is writing it: a table that is being copied ends in half a prompt.

Used by `table`. What ends as a whole table does is taken at once; what does not is looked at again until it
is quiet.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

from reelsweep.prompts.errors import UsageError

QUIET_S = 3
"""A file that ends in the middle of a line counts as finished when it has not changed for so long."""
MOST_LOOKS = 60
_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"


def read_whole(
    path: Path, *, now: Callable[[], float] = time.time, pause: Callable[[float], None] = time.sleep
) -> bytes:
    """The bytes of a file. Raises OSError, and UsageError for one that is still growing after a minute.

    What is no file, such as a pipe, is read once, to its end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return path.read_bytes()
    last, num_same = None, 0
    for _ in range(MOST_LOOKS):
        before = path.stat()
        data = path.read_bytes()
        after = path.stat()
        mark = (after.st_mtime_ns, after.st_size)
        num_same = num_same + 1 if mark == last else 0
        is_quiet = num_same >= QUIET_S or now() - after.st_mtime > QUIET_S
        if mark == (before.st_mtime_ns, before.st_size) and (is_quiet or _ends_whole(data)):
            return data
        last = mark
        pause(1.0)
    raise UsageError(
        f"{str(path)!r} is still being written.",
        "Copy it under another name, then rename it, which is done at once.",
    )


def _ends_whole(data: bytes) -> bool:
    """Whether the last thing in it is the end of something: of a line, of a Parquet file."""
    if data.startswith(_PARQUET):
        return len(data) > len(_PARQUET) and data.endswith(_PARQUET)
    return data.startswith(_GZIP) or data.rstrip(b"\0").endswith((b"\n", b"\r"))
