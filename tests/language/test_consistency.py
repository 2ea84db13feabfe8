"""What can hold at once: worked out on paper, one picture a case."""

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.targets import batch_targets
from learn_to_steer.language import RelationTriplet, canonical_relation
from learn_to_steer.language.consistency import contradiction
from learn_to_steer.objectives import CentroidObjective


def wishes(*texts):
    """Triplets of "a left of b", objects known by their letter."""
    made = []
    for text in texts:
        subject, _, rest = text.partition(" ")
        relation, _, other = rest.rpartition(" ")
        one, two = ((ord(c), ord(c) + 1) for c in (subject, other))
        made.append(RelationTriplet(subject, canonical_relation(relation), other, one, two, one, two))
    return made


@pytest.mark.parametrize(
    ("texts", "ring"),
    [
        (["a left of b", "a right of b"], 2),
        (["a left of b", "b left of a"], 2),
        (["a above b", "b above c", "c above a"], 3),
        (["a above b", "c below b", "a below c"], 3),
        (["a above-left of b", "a right of b"], 2),
        (["a above-left of b", "b above a"], 2),
        (["a left of a"], 1),
    ],
)
def test_what_cannot_hold_is_found(texts, ring):
    assert len(contradiction(wishes(*texts))) == ring


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["a left of b", "b right of a"],
        ["a left of b", "a above b"],
        ["a left of b", "b left of c", "a left of c"],
        ["a above b", "b above c", "c left of a"],
        ["a in front of b", "b in front of a"],
        ["a next to b", "a left of b"],
    ],
)
def test_what_can_hold_is_let_through(texts):
    assert contradiction(wishes(*texts)) == []


def test_contradictory_wishes_are_refused_at_the_door():
    with pytest.raises(SteeringError, match="cannot all hold") as caught:
        batch_targets([wishes("a left of b", "a right of b")], CentroidObjective(), lambda i, span: [1], 8)
    assert "a to the left of b" in str(caught.value) and "a to the right of b" in str(caught.value)
