"""Which detection is meant by which words of the prompt."""

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.detections import asked_by_hand, asked_of, find, plain_name, thing

from .made import seen, square


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Dog", "dog"),
        ("a dog", "dog"),
        (" The  Teddy_Bear ", "teddy bear"),
        ("an", "an"),
        ("theatre", "theatre"),
    ],
)
def test_names_are_compared_without_case_article_and_spacing(name, expected):
    assert plain_name(name) == expected


def named(prompt, *names):
    """The names of the detections that are the prompt's first subject."""
    found = find([seen(name, square(0, 0)) for name in names], asked_of(prompt)[0].subject)
    return [d.name for d in found]


def test_the_noun_is_enough_unless_the_detector_knows_more():
    assert named("a red dog above a cat", "dog", "cat", "Dog") == ["dog", "Dog"]
    assert named("a red dog above a cat", "dog", "red dog") == ["red dog"]
    assert named("a dog above a cat", "red dog") == []


def test_a_teddy_bear_is_no_bear():
    assert named("a teddy bear above a cat", "bear", "the Teddy Bear") == ["the Teddy Bear"]
    assert named("a bear above a cat", "teddy bear") == []


def test_words_given_by_hand_have_a_noun_as_well():
    asked = asked_by_hand("the big red dog", "left_of", "hot dog")
    assert (asked.subject.noun, asked.object.noun, asked.relation.value) == (
        "dog",
        "hot dog",
        "to the left of",
    )
    assert thing("teddy bear").noun == "teddy bear"
    for odd in ("dog and cat", "dog left of cat", "!!", "chien"):
        assert thing(odd).noun == odd  # what is no single phrase to the parser is taken as it stands
    with pytest.raises(SteeringError, match="beyond"):
        asked_by_hand("dog", "beyond", "cat")
