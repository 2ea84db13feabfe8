"""Relations given by hand: articles are free, and two things are two mentions."""

from __future__ import annotations

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.language import (
    Relation,
    RelationTriplet,
    read_prompt,
    understandings,
    understood_triplets,
)


def given(prompt: str, *triplet: str) -> RelationTriplet:
    ((found,),) = understood_triplets([prompt], [triplet], single=True)  # type: ignore[list-item]
    return found


@pytest.mark.parametrize(
    ("prompt", "subject", "other", "spans"),
    [
        ("a dog and a teddy bear", "the dog", "the teddy bear", ((2, 5), (12, 22))),
        ("a dog and a teddy bear", "Dog", "a Teddy  bear", ((2, 5), (12, 22))),
        # The same words twice: the first and the second mention.
        ("a dog and a dog", "dog", "dog", ((2, 5), (12, 15))),
        ("a dog and the dog", "the dog", "dog", ((14, 17), (2, 5))),
        # "dog" stands in "brown dog" too: another mention of it is meant.
        ("a brown dog and a dog", "dog", "brown dog", ((18, 21), (2, 11))),
        ("ein Hund und eine Katze", "der Hund", "die Katze", ((4, 8), (18, 23))),
        ("l'arbre et un chat", "l'arbre", "le chat", ((2, 7), (14, 18))),
        ("一只猫在狗旁边", "猫", "狗", ((2, 3), (4, 5))),
    ],
)
def test_words_are_found(
    prompt: str, subject: str, other: str, spans: tuple[tuple[int, int], tuple[int, int]]
):
    found = given(prompt, subject, "left of", other)
    assert (found.subject_span, found.object_span) == spans
    assert (found.subject_noun, found.object_noun) == spans
    assert found.relation is Relation.LEFT
    assert found.subject == prompt[slice(*spans[0])]
    assert found.doubt == ""


@pytest.mark.parametrize(("subject", "other"), [("dog", "dog"), ("the dog", "dog"), ("brown dog", "dog")])
def test_one_mention_is_not_two_things(subject: str, other: str):
    with pytest.raises(SteeringError, match="Expected two mentions") as caught:
        given("a brown dog on a mat", subject, "left of", other)
    assert "\n" not in str(caught.value) and f'"{subject}"' in str(caught.value)


def test_a_ready_triplet_of_one_place_is_refused():
    same = RelationTriplet("dog", Relation.LEFT, "dog", (2, 5), (2, 5), (2, 5), (2, 5))
    with pytest.raises(SteeringError, match="same place"):
        understood_triplets(["a dog"], [same], single=True)


def test_sixteen_by_hand_and_the_others_are_named():
    nouns = [f"thing{i}" for i in range(19)]
    lines = [(a, "above", b) for a, b in zip(nouns, nouns[1:], strict=False)]
    (understood,) = understandings([", ".join(nouns)], [lines])
    assert [t.subject for t in understood.relations] == nouns[:16]
    assert understood.note == (
        "Only the first 16 relations are used, left out: thing16 above thing17; thing17 above thing18."
    )
    assert understandings([", ".join(nouns)], [lines[:16]])[0].note == ""


@pytest.mark.parametrize(
    "prompt", ["a bear on its hind legs", "a lamp on the wall", "a poster of Knights Under the Moon"]
)
def test_a_doubtful_relation_is_taken_by_hand(prompt: str):
    (doubted,) = read_prompt(prompt).doubtful
    found = given(prompt, doubted.subject, str(doubted.relation), doubted.object)
    assert (found.subject_span, found.object_span) == (doubted.subject_span, doubted.object_span)
    assert found.doubt == ""
    (understood,) = understandings([prompt], [[doubted]])
    assert understood.relations == (doubted,) and understood.doubtful == ()


def test_words_that_are_not_there():
    with pytest.raises(SteeringError, match='mention "the horse"'):
        given("a dog and a cat", "the horse", "left of", "cat")
