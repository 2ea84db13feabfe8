"""The protocol of the published tables: fixed, unseen, unmixed."""

import hashlib
import json

import pytest

from learn_to_steer.emojiworld.prompts import chains, object_pairs, one_relation, protocol
from learn_to_steer.emojiworld.world import OBJECTS
from learn_to_steer.errors import SteeringError
from learn_to_steer.language import parse_relations


def test_the_prompts_are_those_that_were_fixed():
    tables = protocol()["tables"]
    for table in tables.values():
        asked = "test", table["images"], table["seed"]
        draws = one_relation(*asked) if table["relations"] == 1 else chains(*asked, table["relations"])
        listed = json.dumps([[d.prompt, d.seed] for d in draws]).encode()
        assert hashlib.sha256(listed).hexdigest() == table["prompts"]
    assert len({table["seed"] for table in tables.values()}) == len(tables)


def test_the_parts_share_no_pair_and_know_every_object_alike():
    """66 pairs of 12 objects in rounds of 6: 36 to train on, 6 to choose by, 24 to report."""
    parts = {name: [frozenset(p) for p in object_pairs(name)] for name in ("train", "validation", "test")}
    assert {name: len(set(pairs)) for name, pairs in parts.items()} == {
        "train": 36,
        "validation": 6,
        "test": 24,
    }
    assert len(set().union(*parts.values())) == 66
    for pairs in parts.values():
        assert len({sum(name in pair for pair in pairs) for name in OBJECTS}) == 1
    assert protocol()["test_pairs"] == [list(p) for p in object_pairs("test")]


def test_every_related_pair_of_a_chain_is_unseen():
    unseen = {frozenset(p) for p in object_pairs("test")}
    for relations in (2, 3):
        for draw in chains("test", 60, 5, relations):
            found = parse_relations(draw.prompt)
            assert len(found) == relations and {frozenset((t.subject, t.object)) for t in found} <= unseen
            assert len(draw.names) == relations + 1


def test_pairs_that_make_no_chain_are_refused():
    """The validation pairs are six pairs apart from one another."""
    with pytest.raises(
        SteeringError, match="Expected pairs that make chains of 2 relations, got those of the part valid"
    ):
        chains("validation", 1)
