"""Sweep files: what they say, and everything that is wrong with them at once."""

from __future__ import annotations

import json
import re
import time

import fsspec
import pytest
from reelsweep.prompts.axes import parse_sweep
from reelsweep.prompts.errors import SettingsError
from reelsweep.prompts.seeds import derive_seed
from reelsweep.prompts.sweepfile import read_sweep

WHOLE = """
axes:
  size: [640x360, 9:16, no]
  temperature: range(0, 1, 0.5)
fragments:
  style: ["", in oil]
  mood: {values: "choice(calm, wild)", join: ". ", at: start}
zip: [[size, temperature]]
exclude:
  - {style: in oil, mood: [calm]}
seeds: {values: 0-2, mode: derived}
"""


def complaints(text):
    with pytest.raises(SettingsError) as caught:
        parse_sweep(text, "s.yaml")
    return caught.value.message.splitlines()


def test_a_file_is_axes_fragments_zips_exclusions_and_seeds():
    """Values are text as it is written: YAML would make 556 of 9:16 and false of no."""
    sweep = parse_sweep(WHOLE, "s.yaml")
    assert [(axis.name, axis.values) for axis in sweep.axes] == [
        ("size", ("640x360", "9:16", "no")),
        ("temperature", ("0", "0.5", "1")),
        ("style", ("", "in oil")),
        ("mood", ("calm", "wild")),
    ]
    assert (sweep.num_crossed, len(sweep)) == (12, 9)
    assert [axis.name for axis in sweep.fragments] == ["style", "mood"]
    assert sweep.fragments[1].joint is not None
    assert (sweep.fragments[1].joint.by, sweep.fragments[1].joint.at) == (". ", "start")
    assert sweep.seeds is not None
    assert (sweep.seeds.values, sweep.seeds.mode) == ("0-2", "derived")


def test_the_shipped_example_is_a_sweep():
    """`--sweep example:` is there to be copied."""
    assert len(read_sweep("example:")) == 4
    with pytest.raises(SettingsError, match="Shipped are: sweep"):
        read_sweep("example:nothing")


def test_the_documented_forms_are_what_the_readme_says(project):
    """The example of prompts/README.md is a sweep, and its derived seed is the one that is derived."""
    text = (project / "prompts/README.md").read_text()
    sweep = parse_sweep(re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M)[0], "README.md")
    assert {axis.name: len(axis.values) for axis in sweep.axes} == {
        "size": 2,
        "temperature": 5,
        "light": 2,
        "max_tokens": 4,
        "style": 3,
        "shot": 2,
    }
    assert (sweep.num_crossed, len(sweep)) == (2 * 5 * 4 * 3 * 2, 2 * 5 * 4 * 3 * 2 - 5 * 4 * 2 * 2)
    assert f"Seed 0 of `fox` is {derive_seed('fox', 0)}." in text


def test_a_mapping_says_the_same_as_a_file(tmp_path):
    """A deployment's parameter, JSON and YAML are one language."""
    document = {"axes": {"n": [1, 2], "ratio": ["9:16"]}, "seeds": "0-2"}
    (tmp_path / "s.yaml").write_text(json.dumps(document))
    assert read_sweep(document) == read_sweep(tmp_path / "s.yaml") == read_sweep(f"file://{tmp_path}/s.yaml")
    assert read_sweep(document).axes[1].values == ("9:16",)


@pytest.mark.parametrize(
    "seeds", ["0-2", "[0, 1, 2]", "{values: [0, 1, 2]}", "range(0, 2, 1)", "choice(0,1,2)"]
)
def test_seeds_may_be_written_in_every_way(seeds):
    """A range, a list, a short form."""
    sweep = parse_sweep(f"seeds: {seeds}", "s.yaml")
    assert sweep.seeds is not None
    assert sweep.seeds.values in ("0-2", "0,1,2")
    assert sweep.seeds.mode == "common"


def test_every_mistake_is_named_at_once_with_its_line():
    """One reading tells it all; keys that are misspelt come with what was probably meant."""
    found = complaints(
        """axes:
  temperature: range(0, 3, 1)
  size: 640x360
  n: [1, {a: 2}]
  top_p: [0.5, null]
  top_p: [1]
  prompt_id: [a, b]
fragments:
  seed: [a]
  style: {valeus: [x], at: middle}
zip: [size, n]
exlude: 3
seeds: {values: 9-1, mode: comon}
"""
    )
    assert [line.removeprefix("s.yaml, line ").split(":")[0] for line in found] == [
        "2, axes.temperature",
        "3, axes.size",
        "4, axes.n",
        "5, axes.top_p",
        "6, axes",
        "7, axes.prompt_id",
        "9, fragments.seed",
        "10, fragments.style.at",
        "10, fragments.style",
        "10, fragments.style",
        "11, zip",
        "11, zip",
        "12, got the key `exlude` (did you mean `exclude`?); keys",
        "13, seeds.mode",
        "13, seeds.values",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the file is empty"),
        ("[a]", "got no mapping"),
        ("axes: {}", "it varies nothing"),
        ("axes: {a: [1, 1]}", "a value stands there twice"),
        ("axes: {a: []}", "axes.a: a value is missing"),
        ('axes: {a: [""]}', "axes.a: a value is missing"),
        ("axes: {body.size: [1]}", "use the column `size`"),
        ("axes: {a: [1]}\nfragments: {a: [x]}", "there is an axis `a` too"),
        ("axes: {a: [1, 2], b: [1, 2, 3]}\nzip: [[a, b]]", "a has 2, b has 3"),
        ("axes: {a: [1], b: [1]}\nzip: [[a, b], [b, a]]", "`a` is zipped twice"),
        ("axes: {style: [1]}\nzip: [[style, stile]]", "no axis (did you mean `style`?)"),
        ("axes: {a: [1]}\nzip: [[a]]", "expected two axes or more"),
        ("axes: {a: [oil, ink]}\nexclude: [{a: [oil, inc]}]", "'inc', which the axis does not take (did you"),
        ("axes: {a: [1]}\nexclude: [{b: 1}]", "`b`, which is no axis"),
        ("axes: {a: [1]}\nexclude: [{}]", "names no axis"),
        ("axes: {a: [1]}\nexclude: {a: 1}", "expected a list of combinations"),
        ("seeds: {values: range(0, 9, 1)}", "within braces range(…) and choice(…) stand in quotes"),
        ("seeds: {mode: common}", "`values` is missing"),
        ("axes: {a: [1", "line 1: "),
        ("axes: &a {x: *a}", "got 'a mapping'"),
        ("axes: !!python/object:os.system {a: [1]}\n? [x]\n: y", "expected one text"),
        ("x" * 1_000_001, "expected at most 1,000,000"),
    ],
)
def test_what_no_sweep_can_be_is_refused(text, complaint):
    """With what was got, what was expected, and a suggestion where there is one."""
    assert complaint in "\n".join(complaints(text))


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    """Absent, a folder, not text; no secret of a URL is shown."""
    (tmp_path / "latin.yaml").write_bytes(b"axes: {a: [\xe9]}")
    for place, complaint in [
        (tmp_path / "no.yaml", "no sweep file"),
        (tmp_path, "cannot read"),
        (tmp_path / "latin.yaml", "no UTF-8"),
        ("nosuch://user:secret@host.example/s.yaml", "'nosuch://host.example/…'"),
    ]:
        with pytest.raises(SettingsError) as caught:
            read_sweep(place)
        assert complaint in caught.value.message
        assert "secret" not in str(caught.value)


def test_what_is_wrong_in_a_file_at_a_url_shows_no_secret():
    """The line is named, and of the address what is no secret."""
    url = "memory://user:secret@sweeps/s.yaml"
    with fsspec.open(url, "wb") as stream:
        stream.write(b"axes: {temperature: range(0)}")
    with pytest.raises(SettingsError, match=r"^memory://sweeps/…, line 1, axes\.temperature") as caught:
        read_sweep(url)
    assert "secret" not in str(caught.value)


def test_a_mapping_of_other_things_is_one_line():
    """What YAML has no word for is named by its type."""
    with pytest.raises(SettingsError, match="value of type range"):
        read_sweep({"axes": {"temperature": range(2)}})


def test_long_exclusions_of_long_axes_are_read_at_once():
    """Each value is looked up, not searched for: 5,000 of 100,000 took eight seconds."""
    left_out = ",".join(map(str, range(95_000, 100_000)))
    begun = time.process_time()
    sweep = parse_sweep(f"axes: {{body.x: 0-99999}}\nexclude: [{{body.x: [{left_out}]}}]", "s.yaml")
    assert len(sweep.excluded[0]["body.x"]) == 5_000
    assert time.process_time() - begun < 4
