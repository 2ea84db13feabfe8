"""GenEval: the formula on random boxes against a second writing of it, and which boxes are judged."""

import random

import pytest

from learn_to_steer.evaluation.detections import Demand, Thing
from learn_to_steer.evaluation.rules.geneval import holds, judge
from learn_to_steer.language import Relation

from .made import demand, seen, square

NAMES = {
    "left of": Relation.LEFT,
    "right of": Relation.RIGHT,
    "above": Relation.ABOVE,
    "below": Relation.BELOW,
}
DOG, CAT = square(20, 50), square(80, 50)  # d.x of the dog: (-60 + 4) / 60 = -0.93


def relations_by_the_source(a, b):
    """GenEval's formula from its description, term by term: boxes (x0, y0, x1, y1)."""
    centre_a = (a[0] + a[2]) / 2, (a[1] + a[3]) / 2
    centre_b = (b[0] + b[2]) / 2, (b[1] + b[3]) / 2
    size_a = a[2] - a[0], a[3] - a[1]
    size_b = b[2] - b[0], b[3] - b[1]
    o = [centre_a[i] - centre_b[i] for i in (0, 1)]
    r = []
    for i in (0, 1):
        left_over = abs(o[i]) - 0.1 * (size_a[i] + size_b[i])
        if left_over < 0:
            left_over = 0
        r.append(left_over if o[i] > 0 else -left_over)
    if abs(r[0]) < 0.001 and abs(r[1]) < 0.001:
        return set()
    length_before_shrinking = (o[0] * o[0] + o[1] * o[1]) ** 0.5
    dx, dy = r[0] / length_before_shrinking, r[1] / length_before_shrinking
    found = set()
    if dx < -0.5:
        found.add("left of")
    if dx > 0.5:
        found.add("right of")
    if dy < -0.5:
        found.add("above")
    if dy > 0.5:
        found.add("below")
    return found


def random_box(rng):
    x0, y0 = rng.uniform(0, 400), rng.uniform(0, 400)
    return x0, y0, x0 + rng.uniform(0, 300), y0 + rng.uniform(0, 300)


def test_1500_random_pairs_are_judged_as_by_the_source():
    rng = random.Random(14)
    met = {0: 0, 1: 0, 2: 0}
    for _ in range(1500):
        a, b = random_box(rng), random_box(rng)
        expected = relations_by_the_source(a, b)
        assert {name for name, relation in NAMES.items() if holds(a, relation, b)} == expected, (a, b)
        met[len(expected)] += 1
    assert min(met.values()) > 20, f"the boxes must show all three kinds: {met}"


def verdict(detections, asked):
    result = judge(detections, asked)
    return result.present, [r.holds for r in result.relations], result.score


LEFT = demand(("dog", "left of", "cat"))


def test_a_position_prompt_needs_its_objects_and_its_relation():
    assert verdict([seen("dog", DOG), seen("cat", CAT)], LEFT) == (True, [True], 1.0)
    assert verdict([seen("dog", CAT), seen("cat", DOG)], LEFT) == (True, [False], 0.0)
    assert verdict([seen("dog", DOG)], LEFT) == (False, [False], 0.0)
    assert verdict([], LEFT) == (False, [False], 0.0)


def test_scores_must_exceed_the_threshold():
    assert verdict([seen("dog", DOG, 0.31), seen("cat", CAT)], LEFT)[0]
    assert not verdict([seen("dog", DOG, 0.3), seen("cat", CAT)], LEFT)[0]


def test_the_best_box_of_each_counts():
    wrong, right = square(140, 50), DOG
    for scores, expected in (((0.5, 0.6), True), ((0.6, 0.5), False)):
        dogs = [seen("dog", wrong, scores[0]), seen("dog", right, scores[1])]
        assert verdict([*dogs, seen("cat", CAT)], LEFT)[1] == [expected]


def test_two_of_one_class_may_stand_either_way_round():
    two_dogs = demand(("dog", "left of", "dog"))
    assert verdict([seen("dog", DOG), seen("dog", CAT)], two_dogs) == (True, [True], 1.0)
    assert verdict([seen("dog", DOG)], two_dogs) == (False, [False], 0.0)
    # one above the other; the third, which would stand right, is not among the best two
    stacked = [seen("dog", square(50, 20), 0.9), seen("dog", square(50, 80), 0.8), seen("dog", DOG, 0.7)]
    assert verdict(stacked, two_dogs) == (True, [False], 0.0)
    # a detector without colours
    colours = demand(("red dog", "left of", "blue dog"))
    assert verdict([seen("dog", DOG), seen("dog", CAT)], colours) == (True, [True], 1.0)
    assert verdict([seen("dog", DOG)], colours) == (False, [False], 0.0)


def count_of(count, too_many, counting=True):
    dog = Thing("dog", "dog")
    return Demand(counts=((dog, count),), limits=((dog, too_many),), counting=counting)


def test_counting_prompts_want_sure_detections_and_not_too_many():
    dogs = [seen("dog", DOG, 0.95), seen("dog", CAT, 0.91), seen("dog", CAT, 0.9)]
    assert judge(dogs, count_of(2, 3)).score == 1  # the third does not exceed 0.9
    assert judge(dogs, count_of(2, 3, counting=False)).score == 0  # there it counts, and is one too many
    assert not judge(dogs, count_of(3, 4)).present
    assert judge(dogs[:1], count_of(2, 3)).score == 0


def test_sixteen_of_a_class_are_kept():
    dogs = [seen("dog", DOG)] * 20
    assert judge(dogs, count_of(16, 17, counting=False)).score == 1
    assert not judge(dogs, count_of(17, 18, counting=False)).present


def test_of_two_asked_for_both_must_stand_there():
    two = Demand(demand(("dog", "left of", "cat")).relations, counts=((Thing("dog", "dog"), 2),))
    cat = seen("cat", CAT)
    assert judge([seen("dog", DOG), seen("dog", square(30, 50)), cat], two).score == 1
    assert judge([seen("dog", DOG), seen("dog", square(140, 50)), cat], two).score == 0


def test_nothing_asked_is_no_score():
    assert judge([seen("dog", DOG)], Demand()).score is None


def test_other_relations_are_refused():
    with pytest.raises(ValueError, match="inside"):
        holds(DOG, Relation.INSIDE, CAT)
