"""The gallery in a real browser, opened as a file."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect
from reelsweep.tasks import gallery
from reelsweep.tasks.gallery.record import asked_of
from reelsweep.tasks.gallery.write import write_gallery
from reelsweep.tasks.storage.out import FolderOut

pytestmark = pytest.mark.xdist_group("browser")
Build = Callable[..., Path]
Look = Callable[..., Any]
HOSTILE = (
    "<script>document.title='owned'</script>",
    "</script><img src=x onerror=\"document.title='owned'\">",
    "\"'><svg onload=document.title='owned'>",
    "line\u2028separator\u2029 {{ 7*7 }} ${7*7} javascript:document.title='owned'",
    "__proto__",
)


def cells(page: Page) -> Locator:
    return page.get_by_role("gridcell")


def heads(page: Page) -> list[str]:
    return page.get_by_role("columnheader").all_inner_texts()


def wait(page: Page, condition: str) -> None:
    """Until `condition` holds; Playwright's own waiting evaluates text, which the page's policy forbids."""
    give_up_at = time.monotonic() + 15
    while not page.evaluate(condition):
        assert time.monotonic() < give_up_at, condition
        page.wait_for_timeout(30)


def failures(make: Any) -> list[dict[str, Any]]:
    """Four prompts, three seeds, and of every kind of end one."""
    rows = make.rows(6)
    rows += [
        make.failure(6, "refused", "blocked by moderation", refused_at="input"),
        make.failure(7, "failed", "HTTP 400: seconds must be 4 or 8"),
        make.failure(8, "unknown", "the stream ended without an end"),
        make.failure(9, "failed_to_download", "the link has expired"),
        make.failure(10, "planned", None),
        make.failure(11, "invalid_output", "h264: not one frame decodes"),
    ]
    return rows


def test_prompts_and_seeds_make_a_sheet_and_any_two_axes_another(make: Any, build: Build, look: Look) -> None:
    """Rows and columns are chosen freely; what is left over stands under each picture."""
    rows = [make.row(idx, place=idx // 2, param_cfg=[2.5, 7.0][idx % 2]) for idx in range(16)]
    page = look(build(rows), viewport={"width": 1200, "height": 2000}).page
    assert heads(page) == ["prompt × seed", "seed 0", "seed 1"]
    assert page.get_by_role("rowheader").count() == 4
    assert page.locator(".caption").first.inner_text() == "cfg 2.5"
    page.get_by_label("Columns", exact=True).select_option(label="cfg")
    assert heads(page) == ["prompt × cfg", "cfg 2.5", "cfg 7"]
    assert cells(page).count() == 16, "two seeds stand below each other in each place"
    page.get_by_label("Rows", exact=True).select_option(label="seed")
    assert heads(page)[0] == "seed × cfg"
    page.get_by_label("Swap rows and columns").click()
    assert heads(page) == ["cfg × seed", "seed 0", "seed 1"]
    page.get_by_label("Columns", exact=True).select_option(label="–")
    assert heads(page) == []
    assert cells(page).count() == 16


def test_a_link_shows_the_same_again(make: Any, build: Build, look: Look) -> None:
    """Axes, filters, search and the open record are in the address, and survive writing the page anew."""
    out = build(failures(make))
    page = look(out).page
    page.get_by_label("Rows", exact=True).select_option(label="seed")
    page.get_by_role("radio", name="refused").check(force=True)
    page.get_by_label("Find in prompts, ids and reasons").fill("moderation")
    cells(page).first.click()
    address = "#" + page.url.partition("#")[2]
    build([make.row(20), *failures(make)])
    again = look(out, address).page
    expect(again.get_by_role("dialog")).to_contain_text("blocked by moderation")
    again.keyboard.press("Escape")
    assert again.get_by_label("Rows", exact=True).input_value() == "seed"
    assert again.get_by_role("radio", name="refused").is_checked()
    assert again.locator(".tile:not(.empty)").count() == 1


def test_what_has_no_result_says_so_in_words(make: Any, build: Build, look: Look) -> None:
    """Every kind of end has a word, a sign and its reason; a clip that was deleted is missed."""
    rows = failures(make)
    out = build(rows)
    (out / rows[0]["file_name"]).unlink()
    write_gallery(FolderOut(out))
    page = look(out, "#rows=&across=").page
    texts = page.locator(".absent").all_inner_texts()
    for row in rows[6:]:
        if row["error_message"]:
            assert any(row["error_message"] in text for text in texts), row["error_message"]
    for words in (
        "⊘\nrefused",
        "✕\nfailed",
        "?\nunknown",
        "↓\nnot downloaded",
        "✕\nfile is gone",
        "○\nplanned",
    ):
        assert any(re.sub(r"\s+", "", words) in re.sub(r"\s+", "", text) for text in texts), words
    expect(page.get_by_role("gridcell", name="refused, input: blocked by moderation")).to_have_count(1)
    page.keyboard.press("n")
    assert "success" not in page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_filters_narrow_the_sheet_and_say_how_far(make: Any, build: Build, look: Look) -> None:
    """Status, search and any column with several values; nothing left is said, and Esc goes back."""
    rows = [make.row(idx, meta_mood=["calm", "wild"][idx % 2], accepted=idx != 5) for idx in range(12)]
    rows[5]["reject_reason"] = "black: all frames are black"
    page = look(build(rows)).page
    page.get_by_role("radio", name="rejected").check(force=True)
    expect(page.locator(".tile:not(.empty)")).to_have_count(1)
    assert page.locator(".mark").get_attribute("title") == "black: all frames are black"
    page.get_by_role("radio", name="all").check(force=True)
    page.get_by_text("Filters").click()
    page.get_by_label("mood").select_option("wild")
    expect(page.locator("#count")).to_have_text("6 of 12")
    page.keyboard.press("Escape")
    page.locator("body").press("/")
    page.keyboard.type("paper")
    expect(page.get_by_text("Nothing here under these filters.")).to_be_visible()
    page.get_by_label("Find in prompts, ids and reasons").fill("lighthouse")
    expect(page.locator("#count")).to_have_text("3 of 12")


def test_the_keys_lead_over_the_sheet_into_the_record_and_back(make: Any, build: Build, look: Look) -> None:
    """Arrows move, Enter opens, arrows leaf, Esc closes and the focus is where it was."""
    asked = asked_of(make.row(5)["request_fingerprint"], make.row(5)["gateway"])
    page = look(build(make.rows(12), again={asked: "reelsweep run x"})).page
    named = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("Tab")
    for key in ("ArrowDown", "ArrowRight"):
        page.locator(".tile[tabindex='0']").press(key)
    assert page.evaluate(named).startswith("p1, seed 1")
    page.keyboard.press("Enter")
    record = page.get_by_role("dialog", name="p1")
    expect(record).to_contain_text("A lighthouse in the rain")
    expect(record).to_contain_text(make.row(5)["frames_sha256"])
    expect(record).to_contain_text("reelsweep run x")
    expect(record.get_by_role("region", name="Attempts")).to_contain_text("succeeded")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#record h2")).to_have_text("p1seed 2")
    page.keyboard.press("Escape")
    assert page.evaluate(named).startswith("p1, seed 2")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_a_clip_plays_under_the_pointer_and_a_row_in_step(make: Any, build: Build, look: Look) -> None:
    """Resting on a clip plays it; P plays the row from one beginning; what is out of view is let go."""
    page = look(build(make.rows(12))).page
    playing = "[...document.querySelectorAll('.tile video')].filter(v => !v.paused)"
    players = "document.querySelectorAll('.tile video').length"
    cells(page).first.hover()
    wait(page, f"{playing}.length === 1")
    page.mouse.move(2, 2)
    wait(page, f"{players} === 0")
    page.keyboard.press("p")
    wait(page, f"{playing}.length === 3")
    times = page.evaluate(f"{playing}.map(v => v.currentTime)")
    assert max(times) - min(times) < 0.2
    page.keyboard.press("p")
    wait(page, f"{players} === 0")


def test_without_posters_a_clip_shows_its_first_frame(make: Any, build: Build, look: Look) -> None:
    """During a run there are no posters yet: the clips themselves are shown, and the page says why."""
    page = look(build(make.rows(4), posters=False, running=True)).page
    page.wait_for_function(
        "[...document.querySelectorAll('.tile video')].filter(v => v.videoWidth).length === 4"
    )
    expect(page.locator(".running")).to_have_text("A run was at work when this was written")
    cells(page).first.click()
    expect(page.get_by_role("dialog")).to_contain_text("comes with the end of the run")


def test_a_page_of_a_running_run_follows_it(make: Any, build: Build, look: Look) -> None:
    """New rows appear without a reload, and the end of the run is said."""
    page = look(out := build(make.rows(4), running=True), clock=True).page
    page.evaluate("document.querySelector('h1').textContent = 'the same document'")
    build(make.rows(8), out=out)
    page.clock.run_for(5_100)
    expect(cells(page)).to_have_count(8, timeout=15_000)
    expect(page.locator(".running")).to_be_hidden()
    assert page.locator("h1").inner_text() == "the same document"


def test_clips_that_are_the_same_or_nearly_so_are_marked(make: Any, build: Build, look: Look) -> None:
    """Equal frames and near ones are marked, found by a key and by a filter, and linked in the record."""
    rows = make.rows(12)
    rows[7]["frames_sha256"] = rows[2]["frames_sha256"]
    rows[9]["phash"] = rows[4]["phash"][:-1] + ("0" if rows[4]["phash"][-1] != "0" else "1")
    page = look(build(rows)).page
    assert sorted(page.locator(".mark").all_inner_texts()) == ["≈1", "≈1", "＝2", "＝2"]
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    record = page.get_by_role("dialog")
    title = record.locator("h2").inner_text()
    record.locator(".alike button").first.click()
    expect(record.locator("h2")).not_to_have_text(title)
    page.keyboard.press("Escape")
    page.get_by_role("radio", name="same clip").check(force=True)
    expect(page.locator(".tile:not(.empty)")).to_have_count(2)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_to_the_letter(make: Any, build: Build, look: Look, text: str) -> None:
    """Whatever a table or a gateway says is text: in the sheet, the axes, the record and the title."""
    of_gateway = {"system_fingerprint": text, "served_model": text, "gateway_task_id": text}
    asked = {
        "prompt_id": text,
        "prompt": text,
        "model": text,
        "meta_note": text,
        "messages": json.dumps(text),
    }
    rows = [
        make.row(0, **asked, **of_gateway),
        make.row(1, text=text, file_name=None, sha256=None, prompt_id=text, prompt=text),
        make.failure(2, "refused", text, refused_at="input", prompt_id=text, prompt=text),
        make.row(3),
    ]
    facts = {"table": text, "gateway": text, "run_id": text}
    page = look(build(rows, facts=facts, again={rows[0]["request_fingerprint"]: text}), "#rows=model").page
    for cell in range(2):
        cells(page).nth(cell).click()
        page.wait_for_selector("#record[open]")
        page.keyboard.press("Escape")
    assert page.title() != "owned"
    assert page.locator("#sheet script, #sheet svg, [onerror], [onload], img[src=x]").count() == 0
    page.get_by_label("Rows", exact=True).select_option(label="prompt")
    shown = " ".join(text.split())
    assert any(shown in " ".join(head.split()) for head in page.get_by_role("rowheader").all_inner_texts())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_in_both_themes(make: Any, build: Build, look: Look, theme: str) -> None:
    """No finding of axe (contrast, names, roles, order) in the sheet, in a record and in the help."""
    page = look(build(failures(make)), color_scheme=theme).page

    def findings() -> list[str]:
        page.wait_for_timeout(50)
        return [found["id"] for found in Axe().run(page, options={"preload": False}).response["violations"]]

    assert findings() == []
    cells(page).nth(2).click()
    page.wait_for_selector("#record[open]")
    assert findings() == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert findings() == []


def test_the_theme_is_switched_and_remembered(make: Any, build: Build, look: Look) -> None:
    """The system's theme at first, then the one that is chosen."""
    page = look(build(make.rows(4)), color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_label("Theme: Auto").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    page.wait_for_selector(".tile")
    assert page.evaluate(ground) == light
    page.get_by_label("Theme: Light").click()
    assert page.evaluate(ground) == dark


def test_a_phone_shows_whole_pictures_and_titles_above_the_rows(make: Any, build: Build, look: Look) -> None:
    """On a narrow screen nothing but the sheet is wider than the screen."""
    page = look(build(make.rows(24)), viewport={"width": 390, "height": 800}, has_touch=True).page
    for part in ("header", ".bar", "footer", ".rowhead"):
        box = page.locator(part).first.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, part
    title, tile = page.locator(".rowhead").first.bounding_box(), cells(page).first.bounding_box()
    assert title is not None and tile is not None and title["y"] < tile["y"]
    cells(page).first.tap()
    expect(page.get_by_role("dialog")).to_be_visible()


SCROLL = """async () => {
  const gaps = []; let last = performance.now(), most = 0; const end = last + 1500;
  return await new Promise((done) => {
    const step = () => {
      const now = performance.now(); gaps.push(now - last); last = now; scrollBy(0, 160);
      most = Math.max(most, document.querySelectorAll("*").length);
      if (now < end) return requestAnimationFrame(step);
      gaps.sort((a, b) => a - b);
      const at = (share) => gaps[Math.floor((gaps.length - 1) * share)];
      done({ median_ms: at(0.5), p95_ms: at(0.95), most, y: scrollY });
    };
    requestAnimationFrame(step);
  });
}"""


def test_five_thousand_cells_scroll_without_stutter(make: Any, build: Build, look: Look) -> None:
    """The document stays small however long the sheet, and a frame costs few milliseconds of script."""
    rows = [make.row(idx, prompt_id=f"shot {idx // 20}", seed=idx % 20) for idx in range(5_000)]
    for row in rows[3:]:
        row["file_name"], row["sha256"] = rows[row["seed"] % 3]["file_name"], rows[row["seed"] % 3]["sha256"]
    page = look(build(rows), viewport={"width": 1280, "height": 820}).page
    measuring = page.context.new_cdp_session(page)
    measuring.send("Performance.enable")

    def spent_s() -> float:
        metrics = {
            each["name"]: each["value"] for each in measuring.send("Performance.getMetrics")["metrics"]
        }
        return metrics["ScriptDuration"] + metrics["LayoutDuration"] + metrics["RecalcStyleDuration"]

    before = spent_s()
    seen = page.evaluate(SCROLL)
    lines = seen["y"] / 112
    assert lines > 20
    assert seen["most"] < 1_500
    assert (spent_s() - before) / lines < 0.050, "seconds of script, style and layout for each line that came"
    page.get_by_label("Find in prompts, ids and reasons").fill("shot 249")
    expect(page.locator("#count")).to_have_text("20 of 5,000")


def test_thousands_of_one_clip_share_one_list(browser: Browser) -> None:
    """A gateway that answers everything with the same clip: a list for each would fill the memory."""
    source = (Path(gallery.__file__).parent / "web" / "state.js").read_text()
    page = browser.new_page()
    lists = page.evaluate(
        f"(() => {{ {source}; const all = [...groups([[...Array(3000).keys()]], []).values()];"
        " return [all.length, new Set(all.map((one) => one.same)).size]; })()"
    )
    page.close()
    assert lists == [3000, 1]
