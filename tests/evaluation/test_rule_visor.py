"""VISOR: signs of the centres' difference, for any pair of boxes."""

import random

import pytest

from learn_to_steer.evaluation.rules.visor import holds, judge
from learn_to_steer.language import Relation

from .made import demand, seen, square

LEFT = demand(("dog", "to the left of", "cat"))


def test_there_is_no_margin():
    a, b = square(50, 50), square(50.5, 49.5)
    assert [holds(a, r, b) for r in (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert holds(a, Relation.BELOW_LEFT, b) and not holds(a, Relation.ABOVE_LEFT, b)
    assert not any(holds(a, r, a) for r in (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW))


def test_1500_random_pairs():
    rng = random.Random(7)
    for _ in range(1500):
        x0, y0, u0, v0 = (rng.uniform(0, 300) for _ in range(4))
        a, b = (x0, y0, x0 + rng.uniform(0, 200), y0 + rng.uniform(0, 200)), (
            u0, v0, u0 + rng.uniform(0, 200), v0 + rng.uniform(0, 200),
        )  # fmt: skip
        assert holds(a, Relation.LEFT, b) == ((a[0] + a[2]) / 2 < (b[0] + b[2]) / 2)
        assert holds(a, Relation.RIGHT, b) == ((a[0] + a[2]) / 2 > (b[0] + b[2]) / 2)
        assert holds(a, Relation.ABOVE, b) == ((a[1] + a[3]) / 2 < (b[1] + b[3]) / 2)
        assert holds(a, Relation.BELOW, b) == ((a[1] + a[3]) / 2 > (b[1] + b[3]) / 2)


def test_any_pair_will_do():
    cat, far, near = (
        seen("cat", square(50, 50)),
        seen("dog", square(90, 50), 0.9),
        seen("dog", square(10, 50), 0.1),
    )
    assert judge([far, cat], LEFT).score == 0
    assert judge([far, near, cat], LEFT).score == 1
    unsure = seen("dog", square(10, 50), 0.09)
    result = judge([far, unsure, cat], LEFT)
    assert (result.present, result.relations[0].holds, result.score) == (True, False, 0)


def test_both_must_be_found():
    for found in ([], [seen("dog", square(10, 50))], [seen("cat", square(10, 50))]):
        result = judge(found, LEFT)
        assert (result.present, result.relations[0].holds, result.score) == (False, False, 0)


def test_one_dog_is_not_beside_itself():
    twice = demand(("dog", "left of", "dog"))
    one, other = seen("dog", square(10, 50)), seen("dog", square(90, 50))
    assert not judge([one], twice).present
    assert judge([other, one], twice).score == 1


def test_other_relations_are_refused():
    with pytest.raises(ValueError, match="next to"):
        holds(square(0, 0), Relation.NEXT_TO, square(9, 9))
