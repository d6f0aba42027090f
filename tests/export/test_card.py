"""The card says what the manifest says, of all that was asked, and foreign text stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from reelsweep.tasks.export.card import wording
from reelsweep.tasks.export.recipe import parse_splits

HOSTILE = "| <script>alert(1)</script> `x` [a](https://example.com) ![b](c) \u202e\n# head www.example.com"


def card(dest: Path) -> tuple[dict[str, Any], str]:
    """Header and text."""
    _, header, text = (dest / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_header_is_what_hubs_read(out: Any, export: Any, tmp_path: Path) -> None:
    """License, task, size and splits; a split without clips is not promised."""
    for number in range(8):
        out.add(prompt_id="one", prompt="One prompt", seed=number)
    export.to(tmp_path / "a", out.write(), license="cc-by-4.0", splits=parse_splits("train=0.5,test=0.5"))
    header, text = card(tmp_path / "a")
    (split,) = [path.name for path in (tmp_path / "a").iterdir() if path.name in ("train", "test")]
    assert header == {
        "license": "cc-by-4.0",
        "pretty_name": "boats",
        "task_categories": ["text-to-video"],
        "size_categories": ["n<1K"],
        "tags": ["video", "synthetic", "reelsweep"],
        "configs": [{"config_name": "default", "data_files": [{"split": split, "path": f"{split}/**"}]}],
    }
    assert "No group of prompts fell into" in text


def test_refusals_are_counted_over_everything_that_was_asked(out: Any, export: Any, tmp_path: Path) -> None:
    """A filter does not make a model look tame; money is that of the whole OUT."""
    for number in range(6):
        out.add(seed=number, seed_honoured="no")
    for _ in range(2):
        out.add(status="refused", refused_at="input", cost_usd=0.0, seed_honoured="no")
    out.add(status="unknown", cost_usd=None, reserved_usd=0.8, seed_honoured="no")
    export.to(tmp_path / "a", out.write(), filter="seed < 2")
    _, text = card(tmp_path / "a")
    assert "| `https://video.example.com/v1` | `sora-2` | 9 | 2 | 2 | 25.0 % | 1 | 2 | no |" in text
    assert "Refused were: input 2." in text
    assert "Cost of everything that was asked: 4.80 USD (2.40 USD for each clip here); 0.80 USD more" in text
    assert "does not follow `seed`" in text
    assert "1 row had no final answer" in text
    assert "reelsweep export OUT DEST --format videofolder --filter 'seed < 2'" in text
    assert "sha256 `" + "a" * 64 in text


def test_a_card_names_no_path_and_no_time_of_its_own(out: Any, export: Any, tmp_path: Path) -> None:
    """Nothing of the machine that exports goes into what is handed over."""
    out.add()
    export.to(tmp_path / "a", out.write())
    _, text = card(tmp_path / "a")
    assert str(tmp_path) not in text
    assert "| `sora-2` | `sora-2-2026` | – | 1 | 2026-03-01 | 2026-03-01 |" in text


def test_foreign_text_stays_text(out: Any, export: Any, tmp_path: Path) -> None:
    """A prompt, an id, a model and a table's name cannot make markup, links, cells or headings."""
    out.add(prompt=HOSTILE, prompt_id="x|y", model="m`|`n", system_fingerprint="](x)")
    export.to(tmp_path / "a", out.write())
    header, text = card(tmp_path / "a")
    rows = [line for line in text.splitlines() if "script" in line]
    assert len(rows) == 1
    assert rows[0].startswith(
        "| x\\|y | \\| &lt;script&gt;alert(1)&lt;/script&gt; \\`x\\` \\[a\\](https:&#47;&#47;"
    )
    assert "\u202e" not in text
    assert header["pretty_name"] == "boats"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (wording.size(999), "999 B"),
        (wording.size(1_234_567), "1.23 MB"),
        (wording.size(5e12), "5 TB"),
        (wording.length(90), "90 s"),
        (wording.length(600), "10 min"),
        (wording.length(86_400), "24 h"),
        (wording.share(0.0421), "4.2 %"),
        (wording.share(None), "–"),
        (wording.dollars(None), "not known"),
        (wording.dollars(0.004), "0.0040 USD"),
        (wording.size_category(999), "n<1K"),
        (wording.size_category(10_000), "10K<n<100K"),
        (wording.size_category(10**7), "n>1M"),
    ],
)
def test_figures_are_said_in_words(said: str, wanted: str) -> None:
    """Sizes, times, shares and money as a person reads them."""
    assert said == wanted
