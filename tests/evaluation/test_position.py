"""The position rule against cases worked by hand, and the interval against its definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn_to_steer.evaluation.position import position_holds
from learn_to_steer.evaluation.statistics import wilson_interval
from learn_to_steer.language import Relation

FOUR = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)
boxes = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 60)] * 2)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ((0, 50, 20, 20), {Relation.LEFT}),
        ((100, 50, 20, 20), {Relation.RIGHT}),
        ((50, 0, 20, 20), {Relation.ABOVE}),
        ((50, 100, 20, 20), {Relation.BELOW}),
        ((100, 100, 20, 20), {Relation.RIGHT, Relation.BELOW}),  # a diagonal counts as both
        ((53, 50, 20, 20), set()),  # 3 px of offset are less than 0.1 x 40
        # offset (30, 16) shrinks to (26, 12): 12 / 28.6 = 0.42 is not enough for "below"
        ((80, 66, 20, 20), {Relation.RIGHT}),
        # offset (30, 20) shrinks to (26, 16): 16 / 30.5 = 0.52 is
        ((80, 70, 20, 20), {Relation.RIGHT, Relation.BELOW}),
    ],
)
def test_geneval_rule(subject, expected):
    assert {r for r in FOUR if position_holds(subject, r, (50, 50, 20, 20))} == expected


@given(boxes, boxes)
def test_a_relation_holds_exactly_when_its_opposite_holds_the_other_way_round(a, b):
    for relation in FOUR:
        assert position_holds(a, relation, b) == position_holds(b, relation.opposite, a)


@given(boxes, boxes)
def test_opposites_exclude_each_other(a, b):
    assert not (position_holds(a, Relation.LEFT, b) and position_holds(a, Relation.RIGHT, b))
    assert not (position_holds(a, Relation.ABOVE, b) and position_holds(a, Relation.BELOW, b))


def test_a_relation_without_direction_is_refused():
    with pytest.raises(ValueError, match="behind"):
        position_holds((0, 0, 1, 1), Relation.BEHIND, (9, 9, 1, 1))


@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_bounds_solve_the_score_equation(successes, trials):
    successes = min(successes, trials)
    p = successes / trials
    for bound in wilson_interval(successes, trials):
        assert 0 <= bound <= 1
        if 1e-9 < bound < 1 - 1e-9:  # |p - bound| = z * standard error at the bound
            assert abs(p - bound) == pytest.approx(1.96 * math.sqrt(bound * (1 - bound) / trials), abs=1e-9)


def test_wilson_of_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)
