"""How long each part of a POST may take. Pure.

Used by `client`, which keeps to it, and by `profiles`: a gateway that forgets a key meanwhile sells twice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Time-outs of one POST, in seconds."""

    connect_s: float = 10.0
    """For the connection, and as long again for TLS."""
    write_s: float = 120.0
    """For the whole request."""
    idle_s: float = 900.0
    """No byte for so long ends the stream; comments count as bytes."""
    stream_s: float = 3000.0

    @property
    def begins_s(self) -> float:
        """Within this time of its claim the first byte of a POST leaves."""
        return 2 * self.connect_s

    @property
    def leaves_s(self) -> float:
        """Within this time of its claim all of a POST has left."""
        return self.begins_s + self.write_s
