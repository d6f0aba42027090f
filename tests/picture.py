"""Draws README.jpg: a contact sheet of the clips that `reelsweep run example:` makes.

python tests/picture.py runs/sandbox/example README.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
from PIL import Image, ImageDraw
from reelsweep.tasks.manifest.read import read_manifest

COLUMNS = 4
WIDTH, HEIGHT, GAP = 320, 180, 8
INK, PAPER = (232, 234, 240), (18, 20, 26)


def middle_frame(path: Path) -> Image.Image:
    """The frame in the middle of a clip."""
    with av.open(str(path)) as clip:
        frames = [frame.to_image() for frame in clip.decode(video=0)]
    return frames[len(frames) // 2].resize((WIDTH, HEIGHT))


def draw(out: Path, target: Path) -> None:
    """One cell per clip, in plan order, with its prompt id and seed below."""
    clips = read_manifest(out).query("status == 'success'").to_dict("records")
    rows = -(-len(clips) // COLUMNS)
    cell_height = HEIGHT + 18
    size = (COLUMNS * (WIDTH + GAP) + GAP, rows * (cell_height + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for idx, clip in enumerate(clips):
        left = GAP + idx % COLUMNS * (WIDTH + GAP)
        top = GAP + idx // COLUMNS * (cell_height + GAP)
        sheet.paste(middle_frame(Path(clip["file_name"])), (left, top))
        pen.text((left, top + HEIGHT + 3), f"{clip['prompt_id']}  seed {clip['seed']}", fill=INK)
    sheet.save(target, quality=86, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
