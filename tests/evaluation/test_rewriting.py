"""Prompts rewritten by rule: what is added, and that what stood there keeps its place."""

import pytest

from learn_to_steer.evaluation.rewriting import rewritten
from learn_to_steer.language import parse_relations

SIDES = {
    "a dog left of a cat": "The dog is on the left side of the picture, the cat is on the right side of the picture.",
    "a dog to the right of a cat": "The dog is on the right side of the picture, the cat is on the left side of the "
    "picture.",
    "a dog above a cat": "The dog is in the upper half of the picture, the cat is in the lower half of the picture.",
    "a dog below a cat": "The dog is in the lower half of the picture, the cat is in the upper half of the picture.",
    "a dog next to a cat": "The dog and the cat are close together.",
    "a dog in front of a cat": "The dog is near, the cat is further away.",
    "a dog behind a cat": "The dog is far away, the cat is nearer.",
}


@pytest.mark.parametrize(("prompt", "added"), SIDES.items())
def test_each_relation_is_said_again(prompt, added):
    assert rewritten(prompt) == f"{prompt}. {added}"


def test_a_diagonal_is_both():
    added = rewritten("a dog above and to the left of a cat").partition(". ")[2]
    assert added == (
        "The dog is in the upper half and on the left side of the picture, the cat is in the lower half and on the right "
        "side of the picture."
    )


def test_several_relations_and_ends_of_sentences():
    prompt = "A red dog left of a cat. The cat is above a frog!"
    text = rewritten(prompt)
    assert text.startswith(prompt + " The red dog is on the left side")
    assert text.endswith("the frog is in the lower half of the picture.")


@pytest.mark.parametrize("prompt", ["", "a dog and a cat", "a dog inside a box", "a photo of three dogs."])
def test_what_needs_no_words_stays(prompt):
    assert rewritten(prompt) == prompt


def test_words_keep_their_places():
    prompt = "  a dog to the left of a teddy bear  "
    (triplet,) = parse_relations(prompt)
    assert rewritten(prompt)[slice(*triplet.object_span)] == prompt[slice(*triplet.object_span)]
