"""OUTs made by hand, and a real browser to look at them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from reelsweep.tasks.gallery.cells import poster_name
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.manifest.beside import replace_durably
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST
from reelsweep.tasks.manifest.sink import Sink
from reelsweep.tasks.manifest.totals import Totals
from reelsweep.tasks.sandbox.render import render_clip
from reelsweep.tasks.storage.out import FolderOut

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FACTS = {"table": "prompts/boats.csv", "gateway": "sandbox@1", "gateway_kind": "sandbox"}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROMPTS = ("A red fox in the snow", "A lighthouse in the rain", "A paper boat", "Aurora over a lake")


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def make_row(idx: int = 0, **fields: Any) -> dict[str, Any]:
    """One row of a manifest: of four prompts the seeds 0, 1, 2 …, each a success of its own looks."""
    place = fields.pop("place", idx)
    sha256 = digest("bytes", idx)
    row: dict[str, Any] = {
        "run_id": "5fc0deb5",
        "prompt_id": f"p{place % 4}",
        "sample_idx": 0,
        "choice_idx": 0,
        "in_plan": True,
        "shared": False,
        "request_fingerprint": digest("request", idx),
        "gateway": "sandbox@1",
        "output": "video",
        "model": "sora-2",
        "prompt": PROMPTS[place % 4],
        "messages": '[{"role":"user","content":"as sent"}]',
        "seed": place // 4,
        "params": "{}",
        "status": "success",
        "file_name": f"videos/{sha256[:2]}/{sha256}.mp4",
        "sha256": sha256,
        "width": 320,
        "height": 180,
        "duration_s": 0.5,
        "frames_sha256": digest("frames", idx),
        "phash": digest("phash", idx) * 2,
        "num_attempts": 1,
        "num_purchases": 1,
        "cost_usd": 0.8,
        "created_at": NOON,
        "started_at": NOON + timedelta(seconds=idx),
    }
    return {**row, **fields}


def make_failure(idx: int, status: str, message: str | None, **fields: Any) -> dict[str, Any]:
    """A row without a result, and why."""
    of_clips = ("file_name", "sha256", "frames_sha256", "phash", "duration_s", "width", "height")
    nothing = dict.fromkeys(of_clips)
    return make_row(idx, **{**nothing, "status": status, "error_message": message, "cost_usd": 0.0, **fields})


def make_attempt(row: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The attempt that made a row."""
    attempt = {
        "attempt_id": row["request_fingerprint"][:32],
        "gateway": row["gateway"],
        "request_fingerprint": row["request_fingerprint"],
        "run_id": row["run_id"],
        "purchase_idx": 0,
        "attempt_idx": 0,
        "idempotency_key": "k",
        "state": "settled",
        "kind": "succeeded",
        "http_status": 200,
        "sent_at": NOON,
    }
    return {**attempt, **fields}


class Make:
    """The makers above, for tests."""

    row = staticmethod(make_row)
    failure = staticmethod(make_failure)
    attempt = staticmethod(make_attempt)

    @staticmethod
    def rows(count: int) -> list[dict[str, Any]]:
        return [make_row(idx) for idx in range(count)]


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make


def write_tables(out: Path, rows: Sequence[dict[str, Any]], facts: dict[str, str]) -> None:
    """manifest.parquet and attempts.parquet as a run leaves them."""
    totals = Totals()
    for row in rows:
        totals.add_row(row)
    totals.cost_musd = round(1e6 * sum(row.get("cost_usd") or 0.0 for row in rows))
    attempts = [make_attempt(row) for row in rows]
    for name, columns, lines in (("manifest", MANIFEST, rows), ("attempts", ATTEMPTS, attempts)):
        with Sink(out / f"{name}.parquet", columns) as sink:
            for line in lines:
                sink.add(line)
            sink.finish({**facts, **totals.facts()})
        replace_durably(out / f"{name}.parquet")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Sequence[tuple[Path, Path]]:
    """Three clips and their posters, to be linked under many names."""
    folder = tmp_path_factory.mktemp("clips")
    pairs: list[tuple[Path, Path]] = []
    for seed in range(3):
        clip, poster = folder / f"{seed}.mp4", folder / f"{seed}.jpg"
        clip.write_bytes(render_clip("test", f"clip {seed}", seed))
        Image.effect_noise((320, 180), 40 + 30 * seed).convert("RGB").save(poster, "JPEG")
        pairs.append((clip, poster))
    return pairs


@pytest.fixture
def build(tmp_path: Path, clips: Sequence[tuple[Path, Path]]) -> Callable[..., Path]:
    """`build(rows)`: an OUT with these rows, its files and its gallery."""

    def built(
        rows: Sequence[dict[str, Any]],
        *,
        facts: dict[str, str] | None = None,
        posters: bool = True,
        out: Path = tmp_path / "out",
        **options: Any,
    ) -> Path:
        out.mkdir(exist_ok=True)
        write_tables(out, rows, {**FACTS, **(facts or {})})
        for idx, row in enumerate(rows):
            if row.get("file_name"):
                clip, poster = clips[idx % len(clips)]
                link(clip, out / row["file_name"])
                if posters:
                    link(poster, out / poster_name(row["sha256"]))
        write_gallery(FolderOut(out), name="runs/out", **options)
        return out

    return built


def link(source: Path, target: Path) -> None:
    """The same file under another name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.link(source, target)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, for one module: while it is open no other event loop can run here."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.fail("The gallery is tested in a browser, and there is none: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Seen:
    """A page that is open, and what it did besides showing."""

    page: Page
    troubles: list[str] = field(default_factory=list[str])
    """Errors on its console, and requests for anything but files."""

    def names(self) -> list[str]:
        """What each cell in the view is called."""
        cells = self.page.get_by_role("gridcell")
        return [cell.get_attribute("aria-label") or "" for cell in cells.all()]


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """`look(out)` opens the page of an OUT; at the end it must have been silent and asked for nothing.

    With `clock` time passes when the test says so.
    """
    opened: list[Seen] = []

    def open_page(out: Path, address: str = "", *, clock: bool = False, **context: Any) -> Seen:
        page = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **context}).new_page()
        seen = Seen(page)
        opened.append(seen)
        page.on("console", lambda said: seen.troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: seen.troubles.append(str(error)))
        page.on("request", lambda asked: None if _is_local(asked.url) else seen.troubles.append(asked.url))
        page.set_default_timeout(15_000)
        if clock:
            page.clock.install()
        page.goto((out / "index.html").as_uri() + address)
        page.wait_for_selector(".canvas, .notice", state="attached")
        return seen

    yield open_page
    for seen in opened:
        seen.page.context.close()
        assert seen.troubles == []


def _is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "blob:"))
