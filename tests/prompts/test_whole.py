"""A table that is being copied is read when it is all there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from reelsweep.prompts.errors import UsageError
from reelsweep.prompts.whole import QUIET_S, read_whole


class Copying:
    """A copy that goes on whenever somebody waits: one chunk a second."""

    def __init__(self, path: Path, *chunks: bytes) -> None:
        self.path, self.chunks, self.waited_s = path, list(chunks), 0.0
        path.write_bytes(self.chunks.pop(0))

    def now(self) -> float:
        return self.path.stat().st_mtime

    def pause(self, seconds: float) -> None:
        self.waited_s += seconds
        if self.chunks:
            with self.path.open("ab") as file:
                file.write(self.chunks.pop(0))


def read(copying: Copying) -> bytes:
    return read_whole(copying.path, now=copying.now, pause=copying.pause)


def test_half_a_row_is_waited_for(tmp_path):
    """A file that ends in the middle of a line and goes on growing is read as it ends, never as it stood."""
    copying = Copying(tmp_path / "t.csv", b"prompt\na red ki", b"te over", b" dunes\n")
    assert read(copying) == b"prompt\na red kite over dunes\n"


@pytest.mark.parametrize(
    "content", [b"prompt\nfox\n", "prompt\nfox\r\n".encode("utf-16"), b"PAR1...PAR1", b"\x1f\x8b..."]
)
def test_what_ends_as_a_table_does_is_taken_at_once(tmp_path, content):
    """Nobody waits for a file that is whole, however new it is."""
    copying = Copying(tmp_path / "t", content)
    assert (read(copying), copying.waited_s) == (content, 0)


def test_a_last_line_without_an_end_is_taken_when_it_stays_so(tmp_path):
    """Many editors leave it out: a few seconds for a new file, none for an old one."""
    copying = Copying(tmp_path / "t.csv", b"prompt\nfox")
    assert (read(copying), copying.waited_s) == (b"prompt\nfox", QUIET_S)
    os.utime(copying.path, (0, 0))
    assert read_whole(copying.path, pause=copying.pause) == b"prompt\nfox"
    assert copying.waited_s == QUIET_S


def test_a_copy_without_end_is_given_up(tmp_path):
    """What still grows after a minute is a usage error with a remedy, and nothing is bought."""
    copying = Copying(tmp_path / "t.csv", *[b"prompt"] * 100)
    with pytest.raises(UsageError, match="still being written") as caught:
        read(copying)
    assert "rename" in caught.value.remedy


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """`<(command)` gives its bytes once: a second reading would find nothing, or wait for ever."""
    pipe = tmp_path / "t.csv"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(read_whole(pipe)), daemon=True)
    reading.start()
    with pipe.open("wb") as writing:
        writing.write(b"prompt\na fox")
    reading.join(20)
    assert found == [b"prompt\na fox"]
