"""Which things of a prompt have a place in its layout."""

import pytest

from learn_to_steer.hosts.guiding import guidance_targets
from learn_to_steer.language import read_prompt


def laid_out(prompt, apart=True, **more):
    """The guidance of one prompt whose words are its tokens."""
    read = read_prompt(prompt)

    def positions(image, span):
        return [len(prompt[: span[0]].split())]

    named = [read.objects if apart else ()]
    return guidance_targets([prompt], [read.relations], positions, 20, named=named, **more)


def test_things_that_are_only_named_stand_side_by_side():
    made = laid_out("a cat and a dog")
    assert made.objects == [["cat", "dog"]]
    assert made.columns[0].nonzero().tolist() == [[0, 1], [1, 4]]
    layout = made.layouts[0]
    assert layout.places[1, 0] - layout.places[0, 0] >= 0.36 - 1e-9
    assert layout.places[0, 1] == pytest.approx(layout.places[1, 1], abs=0.05)
    assert made.targets == [[]]  # nothing was stated, so nothing is told to hold


def test_without_such_a_goal_only_relations_have_places():
    assert laid_out("a cat and a dog", apart=False).layouts == [None]
    assert laid_out("a dog above a cat, and a fox", apart=False).objects == [["dog", "cat"]]


def test_what_is_named_beside_a_relation_has_a_place_apart_from_it():
    made = laid_out("a dog above a cat, and a fox")
    assert made.objects == [["dog", "cat", "fox"]]
    layout = made.layouts[0]
    assert layout.places[1, 1] - layout.places[0, 1] >= 0.36 - 1e-9
    assert min(abs(layout.places[2] - layout.places[k]).max() for k in (0, 1)) > 0.2


@pytest.mark.parametrize("prompt", ["a fox", "two dogs and a fox", "a sunset over the sea"])
def test_one_thing_alone_needs_no_place_and_several_of_a_kind_have_none(prompt):
    assert laid_out(prompt).layouts == [None]


def test_what_may_lie_on_the_other_is_not_kept_apart():
    """Of a relation that says nothing about places."""
    made = laid_out("a dog behind a car")
    assert made.layouts == [None]
    assert len(made.left_out[0]) == 1


def test_a_box_is_a_place_of_what_is_named():
    made = laid_out("a cat and a dog", boxes=[{"dog": (0.0, 0.4, 0.4, 1.0)}])
    assert made.objects == [["cat", "dog"]]
    assert made.layouts[0].places[1] == pytest.approx([0.2, 0.7])


def test_a_thing_beyond_the_text_leaves_the_others_their_places():
    from learn_to_steer.errors import SteeringError

    def positions(image, span):
        if span[0] > 10:
            raise SteeringError("beyond the text")
        return [span[0]]

    prompt = "a cat, a dog and a fox"
    read = read_prompt(prompt)
    made = guidance_targets([prompt], [()], positions, 40, named=[read.objects])
    assert made.objects == [["cat", "dog"]]
