"""Laws of the fingerprint: what is asked, all of it, and nothing else."""

from __future__ import annotations

from dataclasses import fields
from hashlib import sha256

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.columns import COLUMNS
from reelsweep.prompts.fingerprint import (
    EXCLUDED,
    EXCUSED,
    FINGERPRINT_VERSION,
    canonical,
    canonical_payload,
    fingerprint_digest,
    request_fingerprint,
)
from reelsweep.prompts.request import GenerationSpec

SAFE = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT | st.sampled_from(["\ufb33", "\U0001f600", "a", "é", "\r", "1", "10", "9", ""])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [1e-7, 1e21, 1e15, 123456789012345.6, 0.001, 0.00099, 5e-324, -0.0, 1e16, 4.5, 1e-3]
)


def values(integers, text):
    scalars = st.none() | st.booleans() | integers | FLOATS | text
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=15,
    )


PLAIN = values(st.integers(-SAFE, SAFE), TEXT)
ANY = values(
    st.integers() | st.integers(-(2**64), 2**64),
    TEXT
    | st.sampled_from(
        ["reelsweep-int:9007199254740993", "reelsweep-text:x", "reelsweep-text:reelsweep-int:1"]
    ),
)
PAYLOADS = st.fixed_dictionaries(
    {"model": TEXT, "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": TEXT}))},
    optional={"seed": st.integers(-(2**63), 2**63 - 1), "temperature": FLOATS, "tools": ANY, "user": TEXT},
)


def one_form(value):
    """A value as Python compares it: 1 is 1.0, true is not 1, an integer beyond 2^53 is no double."""
    match value:
        case bool() | None:
            return repr(value)
        case int() if abs(value) > SAFE:
            return ("big", value)
        case int() | float():
            return value
        case str():
            return ("text", value)
        case list():
            return tuple(map(one_form, value))
        case dict():
            return ("object", frozenset((name, one_form(item)) for name, item in value.items()))


@given(PLAIN)
def test_canonical_is_rfc8785(value):
    """Whatever path is taken, the bytes are those of the reference implementation."""
    assert canonical(value) == rfc8785.dumps(value)


@given(ANY, ANY)
def test_canonical_tells_values_apart(one, other):
    """Two values have the same bytes exactly when they are the same JSON value, big integers included."""
    assert (canonical(one) == canonical(other)) == (one_form(one) == one_form(other))


@given(st.integers())
def test_an_integer_never_shares_its_bytes_with_a_neighbour(number):
    """Beyond 2^53 doubles collide and integers must not; nor may a tag written by a user."""
    assert canonical(number) != canonical(number + 1)
    if abs(number) > SAFE:
        assert canonical(number) == b'"reelsweep-int:%d"' % number
        assert canonical(f"reelsweep-int:{number}") != canonical(number)


@given(st.dictionaries(NAMES, ANY, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(value, random):
    """An object is the same whatever order it was written in."""
    names = list(value)
    random.shuffle(names)
    assert canonical({name: value[name] for name in names}) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, {"a": {1, 2}}])
def test_what_json_cannot_hold_has_no_canonical_form(value):
    """It is an error, never bytes that stand for something else."""
    with pytest.raises(ValueError, match="no canonical JSON"):
        canonical(value)


@given(PAYLOADS, st.integers(0, 10_000))
def test_a_fingerprint_is_the_hash_of_the_whole_document(payload, sample_idx):
    """The hash put together from pieces is the hash of `{v, payload, sample_idx}`."""
    kept = {name: value for name, value in payload.items() if name not in EXCLUDED}
    document = {"v": FINGERPRINT_VERSION, "payload": kept, "sample_idx": sample_idx}
    expected = sha256(canonical(document)).hexdigest()
    assert request_fingerprint(payload, sample_idx) == expected
    assert fingerprint_digest(canonical_payload(payload), sample_idx).hex() == expected


@given(PAYLOADS, TEXT)
def test_what_cannot_change_the_result_does_not_change_the_fingerprint(payload, text):
    """Excluded fields may come, go and change."""
    without = {name: value for name, value in payload.items() if name not in EXCLUDED}
    for name in EXCLUDED:
        assert request_fingerprint({**payload, name: text}, 0) == request_fingerprint(without, 0)


@pytest.mark.parametrize(
    "column", [column for column in COLUMNS if column.wire], ids=lambda column: column.name
)
def test_every_field_that_is_sent_is_in_or_excused(column):
    """A field of the request changes the fingerprint unless it is excluded with a reason."""
    payload = {"model": "m", "messages": [{"role": "user", "content": "a fox"}]}
    changed = {**payload, column.wire: "other"}
    is_in = request_fingerprint(changed, 0) != request_fingerprint(payload, 0)
    assert is_in != (column.wire in EXCLUDED)
    assert all(len(reason) > 20 for reason in EXCLUDED.values())


def test_every_field_of_a_spec_is_in_or_excused():
    """A new field of GenerationSpec must be hashed or say why not."""
    names = {field.name for field in fields(GenerationSpec)}
    assert names == {"payload", "sample_idx"} | EXCUSED.keys()
    assert all(EXCUSED.values())


@pytest.mark.parametrize(
    ("payload", "sample_idx", "fingerprint"),
    [
        (
            {"model": "sora-2", "messages": [{"role": "user", "content": "a fox"}]},
            0,
            "9ed4a9832ed17588ed9a6b23cd3a2286f0bf1fa214c5ebffd96c29c0f3a9bc25",
        ),
        (
            {
                "model": "sora-2",
                "messages": [{"role": "user", "content": "🦊 \u2028"}],
                "temperature": 0.7,
                "seed": 2**63 - 1,
                "user": "not in it",
                "logit_bias": {"50256": -100},
            },
            3,
            "64f0743ea1947cd3ff50c2c9a7a7982d1f9e64f88e0b5ac2ef30f616973a93e7",
        ),
    ],
)
def test_fingerprints_of_version_one_never_change(payload, sample_idx, fingerprint):
    """What was bought under a fingerprint must be found under it for ever."""
    assert FINGERPRINT_VERSION == 1
    assert request_fingerprint(payload, sample_idx) == fingerprint
