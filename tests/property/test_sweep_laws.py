"""Laws of a sweep: how many combinations, in which order, without which."""

from __future__ import annotations

from math import prod

from hypothesis import given
from hypothesis import strategies as st
from reelsweep.prompts.ranges import parse_values
from reelsweep.prompts.seeds import derive_seed
from reelsweep.prompts.sweep import Axis, Sweep

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def axis(index, size):
    return Axis(name=f"a{index}", values=tuple(f"v{value}" for value in range(size)))


@st.composite
def sweeps(draw):
    """Axes, some of them zipped, some combinations left out."""
    groups = [(size, draw(st.integers(1, 2))) for size in draw(SIZES)]
    sizes = [size for size, members in groups for _ in range(members)]
    axes = tuple(axis(index, size) for index, size in enumerate(sizes))
    names = iter(axes)
    zipped = [tuple(next(names).name for _ in range(members)) for _, members in groups]
    patterns = draw(st.lists(st.sets(st.sampled_from(axes), min_size=1), max_size=3))
    excluded = tuple(
        {one.name: frozenset(draw(st.sets(st.sampled_from(one.values), min_size=1))) for one in pattern}
        for pattern in patterns
    )
    shuffled = tuple(draw(st.permutations(axes)))
    return Sweep(axes=shuffled, zipped=tuple(group for group in zipped if len(group) > 1), excluded=excluded)


def is_excluded(cell, sweep):
    return any(all(cell[name] in values for name, values in one.items()) for one in sweep.excluded)


@given(sweeps())
def test_a_sweep_has_the_combinations_it_counts(sweep):
    """The product of its groups, less what is excluded; each once, in the same order each time."""
    cells = [tuple(cell.items()) for cell in sweep.cells()]
    assert len(cells) == len(set(cells)) == len(sweep) <= sweep.num_crossed
    assert cells == [tuple(cell.items()) for cell in sweep.cells()]
    assert sweep.num_crossed == prod(len(group[0].values) for group in sweep.groups())


@given(sweeps())
def test_an_exclusion_takes_out_what_it_names_and_nothing_else(sweep):
    """In order, what remains is what the whole product has and no pattern fits."""
    whole = Sweep(axes=sweep.axes, zipped=sweep.zipped)
    assert list(sweep.cells()) == [cell for cell in whole.cells() if not is_excluded(cell, sweep)]


@given(sweeps())
def test_zipped_axes_turn_together(sweep):
    """Their values stand at the same place of their lists in every combination."""
    values = {axis.name: axis.values for axis in sweep.axes}
    for cell in sweep.cells():
        for group in sweep.zipped:
            assert len({values[name].index(cell[name]) for name in group}) == 1


@given(SIZES)
def test_the_last_axis_turns_fastest(sizes):
    """The order of nested loops, as they stand in the file."""
    sweep = Sweep(axes=tuple(axis(index, size) for index, size in enumerate(sizes)))
    places = [tuple(int(value[1:]) for value in cell.values()) for cell in sweep.cells()]
    assert places == sorted(places)
    assert len(places) == prod(sizes)


@given(st.text(st.characters(codec="utf-8")), st.integers(-(2**63), 2**63 - 1))
def test_a_derived_seed_is_the_same_for_ever_and_fits_in_31_bits(prompt_id, index):
    """Any prompt id, any index."""
    assert derive_seed(prompt_id, index) == derive_seed(prompt_id, index)
    assert 0 <= derive_seed(prompt_id, index) < 2**31


@given(st.integers(-999, 999), st.integers(1, 500), st.integers(0, 50))
def test_a_range_steps_evenly_and_stops_at_its_last_number(first, step, num_steps):
    """In hundredths, so that no rounding could hide."""
    last = first + step * num_steps
    texts = parse_values(f"range({first / 100:.2f}, {last / 100:.2f}, {step / 100:.2f})")
    assert [round(float(text) * 100) for text in texts] == list(range(first, last + 1, step))
