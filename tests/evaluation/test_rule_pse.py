"""PSE: the probability over pixel pairs, counted one by one."""

from itertools import product

import numpy as np
import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.rules.pse import judge, probability
from learn_to_steer.language import Relation

from .made import demand, seen

EIGHT = [r for r in Relation if r.signs is not None]


def mask(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_by_hand():
    # Columns 0, 1 against 1, 2: of the four pairs (0,1), (0,2), (1,2) are left of, (1,1) is neither.
    a, b = mask("##.."), mask(".##.")
    assert probability(a, Relation.LEFT, b) == 0.75
    assert probability(a, Relation.RIGHT, b) == 0
    assert probability(a, Relation.ABOVE, b) == 0
    assert probability(b, Relation.RIGHT, a) == 0.75
    # One pixel above and left of one pixel, of the other only above.
    a, b = mask("#..", "...", "..."), mask("...", "#.#", "...")
    assert probability(a, Relation.ABOVE, b) == 1
    assert probability(a, Relation.LEFT, b) == 0.5
    assert probability(a, Relation.ABOVE_LEFT, b) == 0.5


def test_random_masks_are_counted_pair_by_pair():
    rng = np.random.default_rng(3)
    for _ in range(40):
        a, b = rng.random((2, 5, 7)) < 0.4
        a[0, 0] = b[4, 6] = True
        pairs = list(product(np.argwhere(a), np.argwhere(b)))
        for relation in EIGHT:
            sx, sy = relation.signs
            fits = [
                (sx == 0 or (p[1] - q[1]) * sx > 0) and (sy == 0 or (p[0] - q[0]) * sy > 0) for p, q in pairs
            ]
            assert probability(a, relation, b) == pytest.approx(sum(fits) / len(fits)), relation


def test_a_picture():
    asked = demand(("dog", "left of", "cat"), ("dog", "above", "cat"))
    dogs = [seen("dog", None, 0.5, mask("...#")), seen("dog", None, 0.9, mask("##.."))]
    result = judge([*dogs, seen("cat", None, 1.0, mask(".##."))], asked)  # the surer dog
    assert [(r.holds, r.score) for r in result.relations] == [(True, 0.75), (False, 0)]
    assert (result.present, result.score) == (True, 0.375)
    assert judge(dogs, asked).score == 0 and not judge(dogs, asked).present


def test_even_is_not_more_probable():
    a, b = mask("#..", "..."), mask("...", "#.#")
    assert (
        not judge([seen("dog", None, 1, a), seen("cat", None, 1, b)], demand(("dog", "left of", "cat")))
        .relations[0]
        .holds
    )


def test_masks_of_two_sizes_and_none_at_all_are_refused():
    with pytest.raises(SteeringError, match="1 x 4 and 2 x 3"):
        probability(mask("##.."), Relation.LEFT, mask("...", "#.#"))
    with pytest.raises(SteeringError, match="mask"):
        judge([seen("dog", None), seen("cat", None)], demand(("dog", "left of", "cat")))
    with pytest.raises(ValueError, match="inside"):
        probability(mask("#"), Relation.INSIDE, mask("#"))
