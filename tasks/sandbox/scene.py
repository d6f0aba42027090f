"""A clip's pictures: a moving field of palette positions, drawn with a few array operations.

Pure: everything is derived from the clip's digest, so the same clip is the same picture anywhere.
A field holds one byte per pixel, a position in a palette of 256 colours that closes on itself;
motion comes from sliding windows over fields that were computed once, which costs next to nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from reelsweep.tasks.sandbox.clip import Clip

Bytes2D = NDArray[np.uint8]
Planes = tuple[Bytes2D, Bytes2D, Bytes2D]
"""Y, U and V of one frame, the chroma planes at half width and height."""

DRIFT_SHIFT = 5
"""Palette positions by which one drift of the model moves the colours."""

PALETTES = (
    ("0b132b", "5f0f40", "e36414", "ffd08a", "9a031e"),
    ("03071e", "023e8a", "00b4d8", "caf0f8", "0077b6"),
    ("0d1b2a", "1b998b", "c5f277", "2d6a4f", "184e77"),
    ("2b0a3d", "9d4edd", "ff9ecb", "ffd6a5", "5a189a"),
    ("10002b", "ff006e", "ffbe0b", "fb5607", "8338ec"),
    ("1d1a05", "606c38", "fefae0", "dda15e", "bc6c25"),
    ("14213d", "fca311", "f5ebe0", "e07a5f", "3d405b"),
    ("001219", "0a9396", "e9d8a6", "ee9b00", "9b2226"),
    ("22223b", "4a4e69", "f2e9e4", "c9ada7", "9a8c98"),
    ("0b090a", "660708", "e5383b", "f5f3f4", "a4161a"),
    ("011627", "2ec4b6", "fdfffc", "ff9f1c", "e71d36"),
    ("12082b", "3a0ca3", "4cc9f0", "f1faee", "f72585"),
)

_TURN = 2 * np.pi
_WAVE: Bytes2D = ((np.cos(np.arange(256) / 256 * _TURN) * 0.5 + 0.5) * 85).astype(np.uint8)
"""One cosine over the byte's range; three of them add up to a byte."""


def draw_frames(clip: Clip) -> Iterator[Planes]:
    """The clip's frames: a motion that closes on itself, with its caption, unless asked otherwise."""
    count = max(2, round(clip.seconds * clip.fps))
    match clip.look:
        case "moving":
            yield from _moving(clip, count)
        case "frozen":
            yield from repeat(next(_moving(clip, count)), count)
        case "black":
            yield from repeat(_black(clip), count)


def _moving(clip: Clip, count: int) -> Iterator[Planes]:
    rng = random.Random(clip.digest)  # noqa: S311
    motion = rng.choice((_ripples, _waves, _spiral, _hills, _lights, _weave))
    colours = _palette(rng, start=0.0 if motion is _hills else rng.random(), epoch=clip.epoch)
    field_at = motion(rng, clip.width, clip.height)
    write = _caption_writer(clip)
    for idx in range(count):
        field = field_at(idx / count)
        half = field[::2, ::2]
        planes = (colours[0][field], colours[1][half], colours[2][half])
        write(planes)
        yield planes


def _black(clip: Clip) -> Planes:
    chroma = np.full((clip.height // 2, clip.width // 2), 128, np.uint8)
    return np.full((clip.height, clip.width), 16, np.uint8), chroma, chroma


def _palette(rng: random.Random, start: float, epoch: int) -> NDArray[np.uint8]:
    """Three rows of 256: the palette's Y, U and V (BT.601, limited range), from `start` on."""
    stops = [_rgb(colour) for colour in rng.choice(PALETTES)]
    rgb = np.array([*stops, stops[0]], dtype=np.float64)
    at = np.linspace(start, start + 1, 256, endpoint=False) + epoch * DRIFT_SHIFT / 256
    red, green, blue = (np.interp(at % 1, np.linspace(0, 1, len(rgb)), rgb[:, c]) for c in range(3))
    luma = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    cb = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    cr = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    return np.stack([luma, cb, cr]).round().astype(np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:], 16)


FieldAt = Callable[[float], Bytes2D]
"""The field at a phase from 0 to 1."""


def _mesh(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows around the middle, in units of the smaller side's half."""
    unit = min(width, height) / 2
    xs = (np.arange(width, dtype=np.float32) - width / 2) / unit
    ys = (np.arange(height, dtype=np.float32) - height / 2) / unit
    return xs[None, :].astype(np.float32), ys[:, None].astype(np.float32)


def _bytes(field: NDArray[np.floating[Any]]) -> Bytes2D:
    """The field on the palette's circle: whole numbers are the same colour."""
    return (field * 256).astype(np.int32).astype(np.uint8)


def _circle(field: Bytes2D, width: int, height: int, start: float, turns: int) -> FieldAt:
    """A window that travels once around the middle of a field twice as large."""

    def window(phase: float) -> Bytes2D:
        angle = (phase * turns + start) * _TURN
        left = int(width / 2 * (1 + 0.9 * np.cos(angle)))
        top = int(height / 2 * (1 + 0.9 * np.sin(angle)))
        return field[top : top + height, left : left + width]

    return window


def _ripples(rng: random.Random, width: int, height: int) -> FieldAt:
    """Two rings that wander through each other."""
    xs, ys = _mesh(2 * width, 2 * height)
    rings = _bytes(np.hypot(xs, ys) * rng.uniform(0.8, 2.4))
    start = rng.random()
    one, two = _circle(rings, width, height, start, 1), _circle(rings, width, height, start + 0.4, -1)
    shade = _bytes(np.broadcast_to(ys[:height] * 0.3, (height, width)))

    def field(phase: float) -> Bytes2D:
        return _WAVE[one(phase)] + _WAVE[two(phase)] + shade

    return field


def _waves(rng: random.Random, width: int, height: int) -> FieldAt:
    """Crossing swells, one along each side and one aslant."""
    xs, ys = _mesh(width, height)
    across, down, aslant = (rng.uniform(0.25, 0.9) for _ in range(3))
    slope = _bytes(xs * aslant + ys * rng.uniform(-0.9, 0.9))
    row, column = _bytes(xs * across), _bytes(ys * down)
    turns = rng.sample((-2, -1, 1, 2), 3)

    def field(phase: float) -> Bytes2D:
        one, two, three = (np.uint8(int(phase * turn * 256) & 255) for turn in turns)
        return _WAVE[row + one] + _WAVE[column + two] + _WAVE[slope + three]

    return field


def _spiral(rng: random.Random, width: int, height: int) -> FieldAt:
    """Arms that turn around a point beside the middle."""
    xs, ys = _mesh(width, height)
    xs, ys = xs - rng.uniform(-0.6, 0.6), ys - rng.uniform(-0.3, 0.3)
    radius = np.hypot(xs, ys)
    arms = rng.randint(2, 5)
    swirl = _bytes(np.arctan2(ys, xs) / _TURN * arms + radius * rng.uniform(-0.8, 0.8))
    glow = _bytes(np.exp(-radius * rng.uniform(1.0, 2.0)) * 0.6)

    def field(phase: float) -> Bytes2D:
        return _WAVE[swirl + np.uint8(int(phase * 256) & 255)] + glow

    return field


def _hills(rng: random.Random, width: int, height: int) -> FieldAt:
    """Hills that pass before a sun, near ones faster."""
    xs, ys = _mesh(width, height)
    sky = np.broadcast_to((ys + 1.0) * 0.14, (height, width)).astype(np.float32)
    sun = np.hypot(xs - rng.uniform(-0.9, 0.9), ys + rng.uniform(0.0, 0.4))
    backdrop = _bytes(sky + np.clip(1.2 - sun * 2.6, 0, 0.28))
    rows = np.arange(height)[:, None]
    steps = np.arange(width) / min(width, height)
    horizon = rng.uniform(0.42, 0.62)
    layers = [(rng.random(), rng.randint(1, 2), rng.uniform(0.4, 1.4)) for _ in range(4)]

    def field(phase: float) -> Bytes2D:
        picture = backdrop.copy()
        for depth, (offset, turns, waves) in enumerate(layers):
            swell = np.sin((steps * waves + offset + phase * turns) * _TURN)
            swell += 0.4 * np.sin((steps * waves * 2 + offset * 3 + phase * turns * 2) * _TURN)
            ridge = height * (horizon + 0.11 * depth) + swell * height * 0.07
            np.copyto(picture, np.uint8(150 + depth * 25), where=rows > ridge[None, :])
        return picture

    return field


def _lights(rng: random.Random, width: int, height: int) -> FieldAt:
    """Soft lights on orbits; where they meet they grow together."""
    xs, ys = _mesh(2 * width, 2 * height)
    blob = (np.exp(-(xs * xs + ys * ys) * rng.uniform(2.0, 5.0)) * 84).astype(np.uint8)
    orbits = [_circle(blob, width, height, rng.random(), turn) for turn in (1, -1, 1)]
    base = np.uint8(rng.randint(0, 120))

    def field(phase: float) -> Bytes2D:
        return orbits[0](phase) + orbits[1](phase) + orbits[2](phase) + base

    return field


def _weave(rng: random.Random, width: int, height: int) -> FieldAt:
    """Two gratings at an angle: threads that glide over each other."""
    xs, ys = _mesh(width, height)
    xs, ys = xs + rng.uniform(-0.5, 0.5), ys + rng.uniform(-0.5, 0.5)
    lean, fine = rng.uniform(-0.9, 0.9), rng.uniform(0.5, 1.6)
    one, two = _bytes((xs + ys * lean) * fine), _bytes((ys - xs * lean) * fine)
    shade = _bytes(np.hypot(xs, ys) * 0.25)

    def field(phase: float) -> Bytes2D:
        step = np.uint8(int(phase * 256) & 255)
        return np.maximum(_WAVE[one + step], _WAVE[two - step]) + shade

    return field


def _caption_writer(clip: Clip) -> Callable[[Planes], None]:
    """What writes prompt and seed on a dark strip along the lower edge."""
    mask = _caption_mask(clip)
    tall = mask.shape[0]
    inked = mask > 0

    def write(planes: Planes) -> None:
        luma, cb, cr = planes
        strip = luma[-tall:]
        strip >>= 1
        np.maximum(strip, mask, out=strip, where=inked)
        for chroma in (cb[-tall // 2 :], cr[-tall // 2 :]):
            chroma >>= 1
            chroma += 64

    return write


def _caption_mask(clip: Clip) -> Bytes2D:
    """Two lines of text, white on nothing, as wide as the clip."""
    points = max(8, round(min(clip.width / 24, clip.height / 12)))
    tall = min(clip.height, 2 * round(points * 1.45))
    picture = Image.new("L", (clip.width, tall), 0)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(points)
    for line, text in enumerate((clip.caption, clip.label)):
        pen.text((points // 2, line * tall // 2 + points // 8), text, fill=235 - 55 * line, font=font)
    return np.asarray(picture, dtype=np.uint8)
