"""GenEval's rule on two boxes: cases worked by hand from d = r / |o| (`rules.geneval`)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn_to_steer.evaluation.rules.geneval import stands
from learn_to_steer.language import Relation

FOUR = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)
boxes = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 60)] * 2)


def position_holds(a, relation, b):
    """Boxes as (centre x, centre y, width, height)."""
    return stands((a[0] - b[0], a[1] - b[1]), (a[2] + b[2], a[3] + b[3]), relation)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        # All boxes are 20 x 20, the reference stands at (50, 50): each axis of the offset o shrinks by
        # 0.1 (20 + 20) = 4 to r, and d = r / |o|.
        ((0, 50, 20, 20), {Relation.LEFT}),  # o (-50, 0), r (-46, 0), d.x = -46 / 50 = -0.92
        ((100, 50, 20, 20), {Relation.RIGHT}),
        ((50, 0, 20, 20), {Relation.ABOVE}),
        ((50, 100, 20, 20), {Relation.BELOW}),
        # o (50, 50), r (46, 46), |o| = 70.71, d = 0.65 on both axes: a diagonal counts as both
        ((100, 100, 20, 20), {Relation.RIGHT, Relation.BELOW}),
        ((53, 50, 20, 20), set()),  # o (3, 0) shrinks to nothing
        # o (30, 16), r (26, 12), |o| = 34: d = (0.76, 0.35)
        ((80, 66, 20, 20), {Relation.RIGHT}),
        # o (30, 20), r (26, 16), |o| = 36.06: d = (0.72, 0.444). Divided by |r| = 30.5 it would be 0.52, and "below".
        ((80, 70, 20, 20), {Relation.RIGHT}),
        # o (30, 23), r (26, 19), |o| = 37.80: d = (0.69, 0.503)
        ((80, 73, 20, 20), {Relation.RIGHT, Relation.BELOW}),
        # o (8, 0), r (4, 0): d.x = 4 / 8 does not exceed 0.5; o (9, 0), r (5, 0): 5 / 9 = 0.56 does
        ((58, 50, 20, 20), set()),
        ((59, 50, 20, 20), {Relation.RIGHT}),
        # Big boxes need distance: 80 + 20 shrinks by 10 on each axis, o (20, 20), r (10, 10), |o| = 28.3: d = 0.35
        ((70, 70, 80, 80), set()),
    ],
)
def test_geneval_rule(subject, expected):
    assert {r for r in FOUR if position_holds(subject, r, (50, 50, 20, 20))} == expected


def test_a_diagonal_needs_both_of_its_directions():
    # d = (0.65, 0.65), then (0.72, 0.444), as above
    assert position_holds((100, 100, 20, 20), Relation.BELOW_RIGHT, (50, 50, 20, 20))
    assert not position_holds((80, 70, 20, 20), Relation.BELOW_RIGHT, (50, 50, 20, 20))
    assert not position_holds((100, 100, 20, 20), Relation.ABOVE_RIGHT, (50, 50, 20, 20))


@given(boxes, boxes)
def test_a_relation_holds_exactly_when_its_opposite_holds_the_other_way_round(a, b):
    for relation in FOUR:
        assert position_holds(a, relation, b) == position_holds(b, relation.opposite, a)


@given(boxes, boxes)
def test_opposites_exclude_each_other(a, b):
    assert not (position_holds(a, Relation.LEFT, b) and position_holds(a, Relation.RIGHT, b))
    assert not (position_holds(a, Relation.ABOVE, b) and position_holds(a, Relation.BELOW, b))


def test_boxes_on_the_same_spot_stand_in_no_relation():
    for box in ((50, 50, 20, 20), (50, 50, 0, 0)):
        assert not any(position_holds(box, relation, box) for relation in FOUR)


def test_a_relation_without_direction_is_refused():
    with pytest.raises(ValueError, match="behind"):
        position_holds((0, 0, 1, 1), Relation.BEHIND, (9, 9, 1, 1))
