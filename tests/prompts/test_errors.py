"""Errors carry facts, and carry them across processes."""

from __future__ import annotations

import pickle

import pytest
from reelsweep.prompts import errors
from reelsweep.prompts.errors import Problem, ReelsweepError, TableError

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ReelsweepError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind):
    """What a worker raises is what its parent reads."""
    arguments = (
        ("t.csv", (Problem(row=1, column="n", message="bad"),)) if kind is TableError else ("no", "Do.")
    )
    error = kind(*arguments)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.args, vars(again), str(again)) == (error.args, vars(error), str(error))


def test_a_problem_says_where_it_is():
    """Row, column and message, as far as they are known."""
    assert str(Problem(row=17, column="n", message="bad")) == "row 17, n: bad"
    assert str(Problem(row=None, column="n", message="bad")) == "n: bad"
    assert str(Problem(row=None, column=None, message="bad")) == "bad"
