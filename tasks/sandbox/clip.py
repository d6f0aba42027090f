"""What one clip shows, and the ticket that names it in a URL.

After the request is read, before anything is drawn. A ticket holds all that a download needs, so the
sandbox keeps no table of files: a URL works after a restart, and memory stays flat.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from reelsweep.tasks.sandbox import SANDBOX_VERSION
from reelsweep.tasks.sandbox.faults import Fault

CAPTION_CHARS = 46
FPS = 16
MAX_SIDE = 1920
MAX_SECONDS = 60.0
_DIRECTIVE = re.compile(r"\[\[[^\]]*\]\]")

Side = Annotated[int, Field(ge=16, le=MAX_SIDE, multiple_of=2)]


class Clip(BaseModel):
    """One clip, described: equal descriptions give equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(pattern=r"^[0-9a-f]{32}$")
    """Of everything the clip depends on."""
    variant: int | None = Field(default=None, ge=0)
    """Which picture is drawn, where a script asks for few different ones."""
    caption: str = Field(max_length=CAPTION_CHARS)
    label: str = Field(max_length=CAPTION_CHARS)
    width: Side
    height: Side
    seconds: float = Field(gt=0, le=MAX_SECONDS)
    look: Literal["moving", "frozen", "black"] = "moving"
    sound: Literal["none", "tone", "silence"] = "none"
    fps: int = Field(default=FPS, ge=1)
    epoch: int = Field(default=0, ge=0)
    """Which drift of the model drew it: another epoch shifts the colours a little."""
    min_bytes: int = Field(default=0, ge=0, le=50_000_000)
    """The file is padded to at least this size."""

    @property
    def picture(self) -> Clip:
        """The clip without what only its padding depends on: what has to be drawn."""
        drawn = self.digest if self.variant is None else f"{self.variant:032x}"
        return self.model_copy(update={"digest": drawn, "min_bytes": 0})


def describe_clip(
    model: str,
    prompt: str,
    seed: int,
    size: str,
    seconds: float,
    *,
    title: str | None = None,
    epoch: int = 0,
    variants: int = 0,
    min_bytes: int = 0,
) -> Clip:
    """The clip that (model, prompt, seed, size, seconds) stands for, in this version of the sandbox.

    `title` is what is written on it instead of the prompt. With `variants`, at most so many different
    pictures are drawn, whatever is asked (for load tests). Raises ValueError for a size out of range.
    """
    asked = json.dumps([SANDBOX_VERSION, model, prompt, seed, size, float(seconds)])
    digest = hashlib.sha256(asked.encode()).hexdigest()[:32]
    variant = int(digest, 16) % variants if variants else None
    if variant is None:
        caption, label = shorten(prompt if title is None else title), f"{model} · seed {seed}"
    else:
        caption, label = f"variant {variant}", "sandbox"
    width, height = parse_size(size)
    return Clip(
        digest=digest,
        variant=variant,
        caption=caption,
        label=label if len(label) <= CAPTION_CHARS else f"...{label[3 - CAPTION_CHARS :]}",
        width=width,
        height=height,
        seconds=seconds,
        epoch=epoch,
        min_bytes=min_bytes,
    )


def parse_size(size: str) -> tuple[int, int]:
    """Width and height of `WIDTHxHEIGHT`; raises ValueError when it is not that."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size)
    if match is None:
        raise ValueError(f"got {size!r}, expected WIDTHxHEIGHT such as 1280x720")
    width, height = int(match[1]), int(match[2])
    if not all(16 <= side <= MAX_SIDE and side % 2 == 0 for side in (width, height)):
        raise ValueError(f"got {size!r}, expected even sides from 16 to {MAX_SIDE}")
    return width, height


def shorten(prompt: str) -> str:
    """The prompt as it is written on the clip: one line, without directives, in letters the font has."""
    line = " ".join(_DIRECTIVE.sub(" ", prompt).split())
    printable = line.encode("latin-1", "replace").decode("latin-1")
    if not line or printable.count("?") - line.count("?") > len(line) // 2:
        return f"prompt {hashlib.sha256(prompt.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
    return printable if len(printable) <= CAPTION_CHARS else f"{printable[: CAPTION_CHARS - 3].rstrip()}..."


class Ticket(BaseModel):
    """One downloadable file: the clip, whose job it is, and what shall go wrong with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    job: str = Field(max_length=64)
    made_at: float
    """Unix time at which the clip was ready."""
    clip: Clip
    fault: Fault | None = None


def write_token(ticket: Ticket) -> str:
    """The ticket as a file name without its ending."""
    text = ticket.model_dump_json(exclude_defaults=True)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def parse_token(token: str) -> Ticket | None:
    """The ticket in a file name; None when it is no ticket of ours."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return Ticket.model_validate_json(text)
    except (binascii.Error, ValueError, ValidationError):
        return None
