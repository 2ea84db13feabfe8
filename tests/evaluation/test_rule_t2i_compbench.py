"""T2I-CompBench's 2-D rule: cases by hand, random boxes against a second writing, and the picture's score."""

import random

import pytest

from learn_to_steer.evaluation.rules.t2i_compbench import (
    intersection_over_union,
    judge,
    picture_score,
    position_score,
)
from learn_to_steer.language import Relation

from .made import demand, seen, square

LEFT, RIGHT, ABOVE, BELOW = Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW


@pytest.mark.parametrize(
    ("subject", "reference", "expected"),
    [
        (square(0, 0), square(100, 0), {LEFT: 1}),
        (square(100, 0), square(0, 0), {RIGHT: 1}),
        (square(0, 0), square(0, 100), {ABOVE: 1}),
        (square(0, 100), square(0, 0), {BELOW: 1}),
        (square(0, 0), square(100, 99), {LEFT: 1}),  # |dx| > |dy| by a pixel: one relation only
        (square(0, 0), square(100, 100), {}),  # a true diagonal is neither
        (square(0, 0), square(0, 0), {}),
        # Two squares of 100 px, shifted by 50: they share 5000 of 15000 px, IoU 1/3, so 0.1 / (1/3) = 0.3
        ((0, 0, 100, 100), (50, 0, 150, 100), {LEFT: 0.3}),
        # Shifted by 90: 1000 of 19000 px, IoU 0.053 < 0.1
        ((0, 0, 100, 100), (90, 0, 190, 100), {LEFT: 1}),
        # Points without an area
        ((0, 0, 0, 0), (5, 0, 5, 0), {LEFT: 1}),
    ],
)
def test_sides(subject, reference, expected):
    scores = {r: position_score(subject, r, reference) for r in (LEFT, RIGHT, ABOVE, BELOW)}
    assert {r: s for r, s in scores.items() if s} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        ((200, 100), 1),  # 100 px on one axis are enough
        ((100, 900), 1),
        ((149.9, 149.9), 1),
        ((200, 300), 0.5),  # 150 / 300
        ((-600, 200), 0.25),  # 150 / 600
    ],
)
def test_nearness(offset, expected):
    assert position_score(square(0, 0), Relation.NEXT_TO, square(*offset)) == pytest.approx(expected)


def by_the_source(a, relation, b):
    """The rule from its description, for corner boxes."""
    dx, dy = (b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2
    if relation == Relation.NEXT_TO:
        if abs(dx) < 150 or abs(dy) < 150:
            return 1
        return 150 / max(abs(dx), abs(dy))
    fits = {
        LEFT: dx > 0 and abs(dx) > abs(dy),
        RIGHT: dx < 0 and abs(dx) > abs(dy),
        ABOVE: dy > 0 and abs(dy) > abs(dx),
        BELOW: dy < 0 and abs(dy) > abs(dx),
    }
    if not fits[relation]:
        return 0
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else 0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    iou = shared / (sum(areas) - shared)
    return 1 if iou < 0.1 else 0.1 / iou


def test_1500_random_pairs_are_scored_as_by_the_source():
    rng = random.Random(18)
    soft = 0
    for _ in range(1500):
        corners = [(rng.uniform(0, 500), rng.uniform(0, 500)) for _ in range(2)]
        a, b = ((x, y, x + rng.uniform(1, 400), y + rng.uniform(1, 400)) for x, y in corners)
        for relation in (LEFT, RIGHT, ABOVE, BELOW, Relation.NEXT_TO):
            expected = by_the_source(a, relation, b)
            assert position_score(a, relation, b) == pytest.approx(expected), (a, relation, b)
            soft += 0 < expected < 1
    assert soft > 100


def test_overlap_of_equal_apart_and_empty_boxes():
    assert intersection_over_union((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert intersection_over_union((0, 0, 10, 10), (20, 20, 30, 30)) == 0
    assert intersection_over_union((5, 5, 5, 5), (5, 5, 5, 5)) == 0


def test_the_score_of_a_picture():
    assert picture_score(0.8, 0.6, 1) == pytest.approx(0.85)  # 0.2 + 0.15 + 0.5
    assert picture_score(0.5, 0.5, 0.3) == 0  # 0.125 + 0.125 + 0.15 = 0.4, under 0.5
    assert picture_score(1, 1, 0) == 0.5  # not under it


ASKED = demand(("frog", "on the left of", "man"))


def test_the_first_detection_of_each_counts_and_a_man_is_a_person():
    frog, other = seen("frog", square(0, 0), 0.4), seen("frog", square(300, 0), 0.9)
    person = seen("person", square(100, 0), 0.8)
    result = judge([frog, other, person], ASKED)
    assert (result.present, result.relations[0].holds) == (True, True)
    assert result.score == pytest.approx(0.8)  # 0.25 * 0.4 + 0.25 * 0.8 + 0.5
    result = judge([other, frog, person], ASKED)
    assert (result.relations[0].holds, result.relations[0].score) == (False, 0)
    assert result.score == 0  # 0.225 + 0.2 + 0 is under 0.5


def test_a_relation_holds_at_its_full_score_only():
    # The two squares of 100 px from above: position 0.3, so 0.5 + 0.15
    result = judge([seen("frog", (0, 0, 100, 100)), seen("man", (50, 0, 150, 100))], ASKED)
    assert (result.relations[0].holds, result.relations[0].score) == (False, pytest.approx(0.3))
    assert result.score == pytest.approx(0.65)


def test_one_object_alone_is_worth_nothing():
    result = judge([seen("frog", square(0, 0))], ASKED)
    assert (result.present, result.relations[0].holds, result.score) == (False, False, 0)


def test_a_man_and_a_woman_are_two_persons():
    asked = demand(("man", "on the left of", "woman"))
    one, two = seen("person", square(100, 0), 0.8), seen("person", square(0, 0), 0.6)
    assert judge([one, two], asked).score == pytest.approx(0.85)  # 0.2 + 0.15 + 0.5
    assert not judge([one], asked).present


def test_several_relations_are_averaged():
    asked = demand(("frog", "left of", "cup"), ("frog", "above", "cup"))
    result = judge([seen("frog", square(0, 0)), seen("cup", square(100, 0))], asked)
    assert [r.score for r in result.relations] == [1, 0]
    assert result.score == 0.75  # (1 + 0.5) / 2


def test_other_relations_are_refused():
    with pytest.raises(ValueError, match="behind"):
        position_score(square(0, 0), Relation.BEHIND, square(9, 9))
