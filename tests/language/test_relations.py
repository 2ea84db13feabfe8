"""The relation vocabulary: names, opposites, directions, synonyms."""

import json
import math

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.language import Relation, canonical_relation
from learn_to_steer.language.relations import SYNONYMS, combine, relation_of_offset

NAMES = [
    "to the left of", "to the right of", "above", "below", "next to", "inside", "in front of",
    "behind", "between",
    "above-left of", "above-right of", "below-left of", "below-right of",
]  # fmt: skip


def test_canonical_names():
    assert [r.value for r in Relation] == NAMES


@pytest.mark.parametrize("relation", Relation)
def test_a_relation_reads_as_its_name_everywhere(relation: Relation):
    assert str(relation) == f"{relation}" == relation.value == relation
    assert json.loads(json.dumps([relation])) == [relation.value]
    assert canonical_relation(relation.value) is relation
    assert canonical_relation(relation) is relation


@pytest.mark.parametrize("relation", [r for r in Relation if r is not Relation.INSIDE])
def test_opposite_is_an_involution_and_turns_the_direction_round(relation: Relation):
    other = relation.opposite
    assert other is not None and other.opposite is relation
    if relation.direction is None:
        assert other.direction is None
    else:
        assert other.direction == pytest.approx((-relation.direction[0], -relation.direction[1]))


def test_opposites_without_a_direction():
    assert Relation.INSIDE.opposite is None
    assert Relation.NEXT_TO.opposite is Relation.NEXT_TO
    assert Relation.BETWEEN.opposite is Relation.BETWEEN
    assert Relation.IN_FRONT_OF.opposite is Relation.BEHIND


@pytest.mark.parametrize(
    ("relation", "direction"),
    [
        (Relation.LEFT, (-1, 0)),
        (Relation.RIGHT, (1, 0)),
        (Relation.ABOVE, (0, -1)),
        (Relation.BELOW, (0, 1)),
        (Relation.ABOVE_LEFT, (-math.sqrt(0.5), -math.sqrt(0.5))),
        (Relation.BELOW_RIGHT, (math.sqrt(0.5), math.sqrt(0.5))),
    ],
)
def test_direction_is_a_unit_vector_with_y_down(relation: Relation, direction: tuple[float, float]):
    assert relation.direction == pytest.approx(direction)


def test_offsets_and_directions_agree():
    for relation in Relation:
        if relation.direction is not None:
            assert relation_of_offset(*relation.direction) is relation
    assert relation_of_offset(0, 0) is None


def test_combine():
    assert (
        combine(Relation.ABOVE, Relation.LEFT)
        is combine(Relation.LEFT, Relation.ABOVE)
        is Relation.ABOVE_LEFT
    )
    assert combine(Relation.LEFT, Relation.RIGHT) is None
    assert combine(Relation.LEFT, Relation.BEHIND) is None


@pytest.mark.parametrize(
    ("name", "relation"),
    [
        ("left_of", Relation.LEFT), ("left of", Relation.LEFT), ("LEFT", Relation.LEFT),
        ("to_the_right_of", Relation.RIGHT), ("on the right-hand side of", Relation.RIGHT),
        ("on top of", Relation.ABOVE), ("over", Relation.ABOVE), ("on", Relation.ABOVE),
        ("under", Relation.BELOW), (" underneath ", Relation.BELOW), ("on-the-bottom-of", Relation.BELOW),
        ("on side of", Relation.NEXT_TO), ("near", Relation.NEXT_TO), ("within", Relation.INSIDE),
        ("in_front_of", Relation.IN_FRONT_OF), ("top-left", Relation.ABOVE_LEFT),
        ("to the lower right of", Relation.BELOW_RIGHT), ("in between", Relation.BETWEEN),
    ],
)  # fmt: skip
def test_synonyms(name: str, relation: Relation):
    assert canonical_relation(name) is relation


@pytest.mark.parametrize("name", ["", "sideways", "left right", "to the left of a dog", "_"])
def test_unknown_name_is_refused_with_the_known_ones(name: str):
    with pytest.raises(SteeringError) as caught:
        canonical_relation(name)
    message = str(caught.value)
    assert repr(name) in message
    assert all(known in message for known in NAMES)


def test_every_synonym_is_in_the_form_the_parser_looks_for():
    for phrase in SYNONYMS:
        assert phrase == " ".join(phrase.lower().replace("-", " ").split())
        assert canonical_relation(phrase) is SYNONYMS[phrase]
