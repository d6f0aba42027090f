"""The page to look at a result."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
from reelsweep.tasks.ledger.records import Line, ManifestStatus
from reelsweep.tasks.manifest.card import MAX_CHARS, dollars, shown, span
from reelsweep.tasks.manifest.page import MAX_CARDS, STATUSES
from reelsweep.tasks.manifest.write import publish

FACTS = {"table": "prompts/boats.csv", "gateway": "sandbox@1", "gateway_kind": "sandbox"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></script></title><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %} ${7*7} javascript:alert(1)",
    "' onmouseover='alert(1)",
    "nul \x00 bell \x07 esc \x1b[31m bidi \u202e end",
]


class Elements(HTMLParser):
    """Every element with its attributes, every text with the element around it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(out: Path, lines: list[Line], facts: dict[str, str] | None = None) -> str:
    publish(out, lines, [], FACTS if facts is None else facts)
    return (out / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_stays_text(make: Any, tmp_path: Path, text: str) -> None:
    """Whatever a table or a gateway says, the page has the elements it has with harmless words."""

    def skeleton(words: str) -> list[tuple[str, tuple[str, ...]]]:
        good = make.line(0, plan={"prompt": words, "prompt_id": words, "model": words})
        fingerprint = make.attempt(1, system_fingerprint=words, gateway_task_id=words)
        told = make.line(1, plan={"prompt": words}, attempt=fingerprint)
        answer = make.attempt(2, results=(make.result(2, file_name=None, text=words),))
        spoken = make.line(2, attempt=answer)
        bad = make.failure(3, "refused", words, refused_at="input")
        facts = {"table": words, "gateway": words, "run_id": words, "command": words}
        html = page(tmp_path, [good, told, spoken, bad], facts)
        return [(tag, tuple(attributes)) for tag, attributes in Elements(html).elements]

    assert skeleton(text) == skeleton("harmless")


def test_a_hostile_prompt_is_shown_to_the_letter(make: Any, tmp_path: Path) -> None:
    """Escaping changes what the browser does, not what a person reads."""
    html = page(tmp_path, [make.line(0, plan={"prompt": HOSTILE[0]})])
    assert HOSTILE[0] in Elements(html).texts


def test_nothing_unprintable_is_on_the_page(make: Any, tmp_path: Path) -> None:
    """Control characters of a prompt do not reach the file."""
    html = page(tmp_path, [make.line(0, plan={"prompt": HOSTILE[-1]})])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", html)


def test_the_page_asks_for_nothing_outside_its_folder(make: Any, tmp_path: Path) -> None:
    """Every address on the page is a relative path that exists, and the policy forbids any other."""
    lines = make.lines(3)
    for line in lines:
        path = tmp_path / line.attempt.results[0].file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    elements = Elements(page(tmp_path, lines))
    addresses = [
        attributes[name] or ""
        for _, attributes in elements.elements
        for name in ("src", "href", "poster", "action")
        if name in attributes
    ]
    assert len(addresses) > 6
    for address in addresses:
        assert address.startswith("data:image/svg+xml,") or (tmp_path / address).is_file(), address
    policy = next(each["content"] for each in elements.all("meta") if each.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert "http" not in policy and "unsafe" not in policy


def test_only_our_own_script_and_style_may_run(make: Any, tmp_path: Path) -> None:
    """The policy holds the hashes of exactly the one script and the one style on the page."""
    html = page(tmp_path, make.lines(1))
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in html.replace("&#39;", "'")
    assert not re.search(r"<[^>]+ (style|on[a-z]+)=", html)


def test_clips_are_not_loaded_before_they_are_wanted(make: Any, tmp_path: Path) -> None:
    """A page of thousands of clips opens at once: none preloads, and each plays without a script."""
    videos = Elements(page(tmp_path, make.lines(4))).all("video")
    assert len(videos) == 4
    assert all(
        video["preload"] == "none" and "controls" in video and "autoplay" not in video for video in videos
    )


def test_every_status_has_words_a_colour_and_a_filter(make: Any, tmp_path: Path) -> None:
    """No status is missing on the page, in the legend or in the style."""
    statuses = get_args(ManifestStatus)
    assert set(STATUSES) == set(statuses)
    lines = [
        make.line(i, status=status, attempt=None) for i, status in enumerate(statuses) if status != "success"
    ]
    html = page(tmp_path, [*lines, make.line(99)])
    for status in statuses:
        assert f'<input type="radio" name="status" value="{status}">' in html
        assert re.search(rf"\.s-{status}\b[^{{}}]*{{ --tone", html)
        assert f'data-status="{status}"' in html


def test_a_card_says_what_happened(make: Any, tmp_path: Path) -> None:
    """Prompt, seed, reason, fingerprints and cost of a row can be read."""
    shown_texts = "\n".join(
        Elements(
            page(
                tmp_path,
                [
                    make.line(0, plan={"prompt": "A red kite", "seed": 41}),
                    make.failure(1, "refused", "blocked by moderation", refused_at="input"),
                ],
            )
        ).texts
    )
    frames = make.result(0).facts["frames_sha256"]
    for words in (
        "A red kite",
        "seed 41",
        "input: blocked by moderation",
        "$0.80",
        "fp_1",
        frames,
        "320×180",
    ):
        assert words in shown_texts, words


def test_a_long_result_says_that_it_is_cut(make: Any, tmp_path: Path) -> None:
    """Beyond the limit the page shows the first rows and names the file that has all."""
    line = make.line(0)
    html = page(tmp_path, [line] * (MAX_CARDS + 1))
    assert len(Elements(html).all("video")) == MAX_CARDS
    assert "The first 2,000 of 2,001 rows are shown." in html


def test_a_long_prompt_does_not_swell_the_page(make: Any, tmp_path: Path) -> None:
    """A megabyte of prompt is shown by its beginning."""
    html = page(tmp_path, [make.line(0, plan={"prompt": "boat " * 200_000})])
    assert len(html) < 60_000
    assert "…" in html
    assert len(shown("x" * MAX_CHARS)) == MAX_CHARS


def test_an_empty_plan_has_a_page(tmp_path: Path) -> None:
    """Nothing planned yet is a page that says so."""
    assert "No rows yet." in page(tmp_path, [], {})


@pytest.mark.parametrize(
    ("table", "title"),
    [
        ("prompts/boats.csv", "boats"),
        ("example:", "example"),
        ("s3://bucket/night/new.parquet", "new"),
        ("", "results"),
    ],
)
def test_the_title_is_the_tables_name(tmp_path: Path, table: str, title: str) -> None:
    """The page is named after the table, wherever it lies."""
    assert f"<title>{title} · Reelsweep</title>" in page(tmp_path, [], {"table": table})


def test_figures_read_as_people_write_them() -> None:
    """Money and times have the digits that say something."""
    assert [dollars(usd) for usd in (None, 0, 0.8, 0.0004, 1234.5)] == [
        "–",
        "$0.00",
        "$0.80",
        "$0.0004",
        "$1,234.50",
    ]
    assert [span(s) for s in (2.0, 4.56, 125, 3780)] == ["2 s", "4.56 s", "2 min 5 s", "1 h 3 min"]
