"""When a gateway is another one than before, by what it says of itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.gateway.strata import Strata, Stratum, StratumCount

A, B = Stratum("m-1", "fp_a"), Stratum("m-1", "fp_b")
SILENT = Stratum("m-1", None)
NOTHING = Stratum(None, None)
STRATA = st.builds(Stratum, st.sampled_from([None, "m-1", "m-2"]), st.sampled_from([None, "fp_a", "fp_b"]))


def told(results, strata=None, model="m"):
    """Which of the results were told of, as (first, now, is_new)."""
    strata = strata or Strata()
    changes = [strata.record(model, result) for result in results]
    return [(change.first, change.now, change.is_new) for change in changes if change]


def test_one_configuration_is_no_news():
    """The first stratum, however often, is what everything is compared with."""
    assert told([A, A, A]) == []


def test_a_new_stratum_is_told_once_however_they_take_turns():
    """Several answers are open at a time, so A, B, A, B is one change."""
    assert told([A, B, A, B, A, B]) == [(A, B, True)]


def test_another_served_model_is_a_change_too():
    """A snapshot that moves is another model behind the same name."""
    moved = Stratum("m-2", "fp_a")
    assert told([A, moved]) == [(A, moved, True)]


def test_what_a_gateway_leaves_out_says_nothing():
    """From null to a value and back is no change; a second value is, also after nulls."""
    assert told([NOTHING, SILENT, A, SILENT, NOTHING]) == []
    assert told([SILENT, A, SILENT, B]) == [(A, B, True)]


def test_models_asked_for_are_compared_each_with_itself():
    """Two models in one table are two strata and no change."""
    strata = Strata()
    other = Stratum("other", "fp_z")
    assert told([A], strata) == told([other], strata, model="o") == []


def test_strata_of_earlier_runs_are_known_but_not_forgiven():
    """A later run is told again of a result that is not from the first stratum, but not as something new."""
    earlier = [StratumCount(model="m", stratum=A, rows=3), StratumCount(model="m", stratum=B, rows=1)]
    assert told([B, B, A], Strata(earlier)) == [(A, B, False)]
    assert told([A, A], Strata(earlier)) == []


def test_strata_are_written_as_model_and_fingerprint():
    """A question mark stands for what was not said."""
    assert [str(one) for one in (A, SILENT, NOTHING)] == ["m-1@fp_a", "m-1@?", "?@?"]


@given(st.lists(STRATA))
def test_no_stratum_is_told_of_twice_and_none_that_agrees_with_the_first(results):
    """Whatever comes in whatever order."""
    found = told(results)
    assert len({now for _, now, _ in found}) == len(found)
    assert all(now.contradicts(first) for first, now, _ in found)


@given(st.lists(STRATA))
def test_several_fingerprints_under_one_model_never_pass_unnoticed(results):
    """As soon as two values of one mark were seen, a change was told."""
    marks = [
        {getattr(one, name) for one in results} - {None} for name in ("served_model", "system_fingerprint")
    ]
    assert bool(told(results)) == any(len(values) > 1 for values in marks)
