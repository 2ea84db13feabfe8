"""Boxes of a node graph: relations that drawn ones state, verdicts on found ones. Expected values by hand."""

from __future__ import annotations

import pytest

from learn_to_steer.evaluation.boxes import composed, frames_of, judged_boxes, relations_of_boxes
from learn_to_steer.language import read_prompt


def box(x, y, width=20, height=20, **more):
    return {"x": x, "y": y, "width": width, "height": height, **more}


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        (box(0, 40), box(80, 40), "to the left of"),
        (box(80, 45), box(0, 40), "to the right of"),
        (box(40, 0), box(45, 80), "above"),
        (box(40, 80), box(30, 0), "below"),
        (box(0, 0), box(80, 60), "to the left of"),  # aslant: the longer side of the offset
        (box(0, 0), box(60, 80), "above"),
    ],
)
def test_two_boxes(first, second, relation):
    assert relations_of_boxes([first, second], ["dog", "cat"]) == [("dog", relation, "cat")]


def test_boxes_in_one_another_state_nothing():
    # centres 4 apart, sizes summed 120: nothing is left of the offset after 0.1 of that is taken off
    assert relations_of_boxes([box(0, 0, 100, 100), box(44, 40, 20, 20)], ["table", "cup"]) == []


def test_what_follows_is_left_out():
    three = [box(0, 0, label="a"), box(50, 0, label="b"), box(100, 0, label="c")]
    assert relations_of_boxes(three) == [("a", "to the left of", "b"), ("b", "to the left of", "c")]
    corner = [box(0, 0, label="a"), box(100, 0, label="b"), box(100, 90, label="c")]
    assert relations_of_boxes(corner) == [
        ("a", "to the left of", "b"), ("a", "to the left of", "c"), ("b", "above", "c")
    ]  # fmt: skip


def test_a_prompt_of_names():
    assert composed([("owl", "above", "red car")]) == "an owl above a red car"
    assert composed([("a", "x", "b")]) == "a x a b"
    three = [("dog", "above", "cat"), ("cat", "above", "the moon")]
    assert composed(three) == "a dog, a cat and the moon"


def test_forms_of_boxes():
    one = box(1, 2)
    assert frames_of(one) == [[one]] == frames_of([one]) == frames_of([[one]])
    assert frames_of([one], 2) == [[one], [one]]  # the same for every picture
    assert frames_of([[one]], 3) == [[one], [], []]
    assert frames_of(None, 2) == [[], []] == frames_of([], 2)
    for wrong in ("left", [1], {"x": 1}, [[{"x": 1, "y": 2, "width": -3, "height": 1}]], [[box("1", 2)]]):
        with pytest.raises(ValueError, match="^Expected") as error:
            frames_of(wrong)
        assert str(error.value).endswith(".")


def test_verdicts():
    prompt = "a red dog to the left of a cat"
    triplets = read_prompt(prompt).relations
    left, right = box(0, 40), box(80, 40)
    dog, cat = {"label": "Dog", "score": 0.9}, {"label": "cat", "score": 0.9}
    faint = {**cat, "score": 0.2}
    frames = [
        [{**left, **dog}, {**right, **cat}],
        [{**right, **dog}, {**left, **cat}],
        [{**left, **dog}, {**right, **faint}],
        [],
    ]
    said = judged_boxes(prompt, triplets, frames)
    assert [one.obeyed for one in said] == [True, False, False, False]
    assert [one.words for one in said] == [
        "obeyed",
        "not obeyed: red dog to the left of cat",
        "not obeyed: red dog to the left of cat (cat not found)",
        "not obeyed: red dog to the left of cat (red dog, cat not found)",
    ]
    assert judged_boxes("a dog", (), [[]])[0].obeyed
