"""What each fault of stage `clip` makes of a clip. Pure; see `faults.FAULTS` for what they mean."""

from __future__ import annotations

import hashlib
from typing import Any

from reelsweep.tasks.sandbox.clip import Clip, parse_size
from reelsweep.tasks.sandbox.faults import Fault


def spoil(clip: Clip, fault: Fault | None) -> Clip:
    """The clip as the fault wants it; raises ValueError for a size out of range."""
    return clip if fault is None else clip.model_copy(update=_changes(clip, fault))


def _changes(clip: Clip, fault: Fault) -> dict[str, Any]:
    match fault.fault:
        case "clip_black":
            return {"look": "black"}
        case "clip_frozen":
            return {"look": "frozen"}
        case "clip_silent":
            return {"sound": "silence"}
        case "clip_size":
            width, height = parse_size(fault.to) if fault.to else (clip.width // 4 * 2, clip.height // 4 * 2)
            return {"width": max(16, width), "height": max(16, height)}
        case "clip_short":
            return {"seconds": clip.seconds / 2 if fault.s is None else fault.s}
        case "clip_fps":
            return {"fps": clip.fps // 2}
        case _:
            return {"digest": hashlib.sha256(clip.caption.encode()).hexdigest()[:32]}
