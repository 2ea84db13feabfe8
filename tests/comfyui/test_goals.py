"""Goals of Steering Options: objects apart and present, with a relation and without one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from conftest import options, steered, stock

TWO = "a photo of a dog and a car"
CHAIN = "a dog above a car to the left of a fox"


def _prompted(node, world, text, triplets=""):
    positive, relations, _ = node("RelationPrompt", clip=world.clip, text=text, triplets=triplets)
    return SimpleNamespace(**{**vars(world), "positive": positive, "relations": relations})


def _read(log):
    return {record.label for run in log.runs for trace in run.traces for record in trace.records}


def _words(relations):
    return [one.text for one in relations.objects]


def test_a_prompt_without_a_relation_is_steered_by_its_objects_alone(node, world):
    two = _prompted(node, world, TWO)
    assert not two.relations.triplets and _words(two.relations) == ["dog", "car"]
    plain = stock(two)
    samples, log = steered(node, two, options=options(node, goals="relation"))
    assert torch.equal(samples, plain) and not _read(log)
    samples, log = steered(node, two, options=options(node, goals="relation, presence, separation"))
    assert _read(log) == {"dog is there", "car is there", "dog apart from car"}
    assert not torch.equal(samples, plain) and samples.isfinite().all()
    assert not log.reasons


def test_attention_gives_each_thing_a_place_where_a_goal_keeps_them_apart(node, world):
    two = _prompted(node, world, TWO)
    plain = stock(two)
    guided = options(node, goals="relation, presence", method="attention")
    samples, log = steered(node, two, options=guided)
    assert not torch.equal(samples, plain) and samples.isfinite().all() and not log.reasons
    layout = log.runs[-1].guided[0].to_dict()["layouts"][0]
    assert layout["objects"] == ["dog", "car"]
    (left, high), (right, low) = layout["places"]
    assert right - left >= 0.36 - 1e-9 and abs(high - low) < 0.05
    for text, chosen in ((TWO, options(node, method="attention")), ("a dog", guided)):
        other = _prompted(node, world, text)
        samples, log = steered(node, other, options=chosen)
        assert torch.equal(samples, stock(other)) and "states no relation" in " ".join(log.reasons)


def test_each_goal_has_its_targets_beside_the_relations(node, world):
    chain = _prompted(node, world, CHAIN)
    stated = {"dog above car", "car to the left of fox"}
    apart = {"dog apart from car", "dog apart from fox", "car apart from fox"}
    there = {f"{name} is there" for name in ("dog", "car", "fox")}
    for goals, more in (
        ("relation", set()),
        ("relation, separation", apart),
        ("relation, presence", there),
        ("relation, presence, separation", apart | there),
    ):
        _, log = steered(node, chain, options=options(node, goals=goals))
        assert _read(log) == stated | more, goals


def test_what_is_implied_is_a_target_of_its_own(node, world):
    chain = _prompted(node, world, "a dog above a car above a fox")
    chosen = options(node, goals="relation, implied, presence, separation, single")
    _, log = steered(node, chain, options=chosen)
    assert {"dog above fox", "fox only once"} <= _read(log)


@pytest.mark.parametrize("goals", ["relation", "relation, separation"])
def test_an_object_beyond_the_text_is_no_error(node, world, goals):
    """What the text encoder cuts off can be drawn by nobody: the others are steered all the same."""
    long = _prompted(node, world, "a dog above a car, " + "very " * 40 + "nice, and a fox")
    samples, log = steered(node, long, options=options(node, goals=goals))
    assert samples.isfinite().all() and "dog above car" in _read(log)


def test_two_nodes_with_the_same_goals_are_one_steering(node, world):
    first, second = (
        _prompted(node, world, CHAIN, triplets) for triplets in ("dog | above | car", "car | left of | fox")
    )
    chosen, model = options(node, goals="relation, separation"), world.model
    for one in (first, second):
        model, log = node(
            "ApplyRelationSteering", model=model, relations=one.relations, classifier=world.classifier, options=chosen
        )  # fmt: skip
    stock(first, model=model)
    assert len(log.runs[-1].traces) == 1
    assert {"dog above car", "car to the left of fox", "dog apart from fox"} <= _read(log)
