"""Relations that follow from others."""

import pytest

from learn_to_steer.language import implied_relations, parse_relations, understood_triplets


def implied(prompt):
    return [f"{t.subject} {t.relation} {t.object}" for t in implied_relations(parse_relations(prompt))]


@pytest.mark.parametrize(
    "prompt, expected",
    [
        ("a dog above a fox above a car", ["dog above car"]),
        ("a dog below a fox below a car", ["car above dog"]),
        ("a dog above a fox to the left of a car", []),
        ("a dog above a fox", []),
        ("a dog next to a fox next to a car", []),
        (
            "a dog left of a fox left of a car left of a pig",
            ["dog to the left of car", "dog to the left of pig", "fox to the left of pig"],
        ),
    ],
)
def test_a_chain_along_one_axis(prompt, expected):
    assert implied(prompt) == expected


def test_what_is_stated_is_not_implied():
    (triplets,) = understood_triplets(
        ["dog fox car"], [[("dog", "above", "fox"), ("fox", "above", "car"), ("dog", "above", "car")]]
    )
    assert implied_relations(triplets) == []


def test_a_diagonal_counts_along_both_axes():
    (triplets,) = understood_triplets(
        ["dog fox car"], [[("dog", "above-left of", "fox"), ("fox", "to the left of", "car")]]
    )
    (one,) = implied_relations(triplets)
    assert (one.subject, str(one.relation), one.object) == ("dog", "to the left of", "car")
    assert one.subject_noun == (0, 3) and one.object_noun == (8, 11)
