"""Apply Relation Steering after Apply Relation Steering: both relations are steered, and both traces tell of it."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch
from conftest import PACK, PROMPT, options, steered, stock


def _applied(node, world, *steps, model=None):
    """Apply Relation Steering once for each of these inputs, one after the other: (model, their logs)."""
    model, logs = model or world.model, []
    for inputs in steps:
        given = {
            "relations": world.relations,
            "classifier": world.classifier,
            "options": PLAN(node),
            **inputs,
        }
        model, log = node("ApplyRelationSteering", model=model, **given)
        logs.append(log)
    return model, logs


def PLAN(node, **more):
    return options(node, reached=1.0, **more)


def _by_hand(node, world, triplets, text=PROMPT):
    return node("RelationPrompt", clip=world.clip, text=text, triplets=triplets)[1]


def _labels(log):
    return {record.label for trace in log.runs[-1].traces for record in trace.records}


RIGHT, ABOVE = "dog to the right of teddy bear", "dog above teddy bear"


def test_two_relations_of_one_prompt_are_those_of_one_node(node, world):
    """One after the other is the same as both written into one node, to the bit."""
    plan = PLAN(node)
    right, above, both = (
        _by_hand(node, world, t)
        for t in ("dog | right of | teddy bear", "dog | above | teddy bear",
                  "dog | right of | teddy bear\ndog | above | teddy bear")
    )  # fmt: skip
    model, (first, second) = _applied(
        node, world, {"relations": right, "options": plan}, {"relations": above, "options": plan}
    )
    result = stock(world, model=model)
    once, _ = _applied(node, world, {"relations": both, "options": plan})
    assert torch.equal(result, stock(world, model=once))
    assert _labels(second) == {RIGHT, ABOVE} and _labels(first) == {RIGHT, ABOVE}
    assert not torch.equal(result, stock(world, model=_applied(node, world, {"relations": above})[0]))


@pytest.mark.parametrize("sampler", ["euler", "uni_pc", "dpmpp_sde"])
@pytest.mark.parametrize("kind", ["another classifier", "another plan"])
def test_different_steerings_take_turns(node, world, sampler, kind):
    above = _by_hand(node, world, "dog | above | teddy bear")
    more = {"relations": above}
    if kind == "another classifier":
        (more["classifier"], _) = node(
            "LoadRelationClassifier", classifier_name="none: compare centres of attention"
        )
    else:
        more["options"] = PLAN(node, step_size=0.1)
    model, (_, log) = _applied(node, world, {}, more)
    result = stock(world, sampler, model=model)
    assert _labels(log) == {RIGHT, ABOVE} and result.isfinite().all()
    moved = {r.label: r.move for t in log.runs[0].traces for r in t.records}
    assert moved[RIGHT] > 0 and moved[ABOVE] > 0
    assert not torch.equal(result, stock(world, sampler, model=_applied(node, world, {})[0]))
    assert not torch.equal(result, stock(world, sampler, model=_applied(node, world, more)[0]))


def test_two_prompts_are_each_steered_where_they_stand(node, world):
    """Two conditionings combined: the one has the dog, the other the frog; in one run both are read."""
    other, frog, _ = node("RelationPrompt", clip=world.clip, text="a frog above a car")
    model, (_, log) = _applied(node, world, {}, {"relations": frog})
    stock(world, model=model, positive=world.positive + other)
    assert _labels(log) == {RIGHT, "frog above car"}
    # With one of them alone, the other is left alone, and that is said.
    stock(world, model=model)
    run = log.runs[-1]
    assert {r.label for t in run.traces for r in t.records} == {RIGHT} and "a frog above a car" in run.notes[
        0
    ]


def test_switched_off_after_steering_is_the_first_alone(node, world):
    model, (first, second) = _applied(node, world, {}, {"options": PLAN(node, strength=0.0)})
    alone, _ = _applied(node, world, {})
    assert torch.equal(stock(world, model=model), stock(world, model=alone))
    assert _labels(second) == {RIGHT} and second.reasons == ["Steering is switched off: the strength is 0."]


def test_a_steering_sampler_with_a_steered_model(node, world):
    above = _by_hand(node, world, "dog | above | teddy bear")
    model, _ = _applied(node, world, {})
    _, log = steered(node, world, model=model, relations=above)
    assert _labels(log) == {RIGHT, ABOVE}


def test_the_models_on_the_way_stay_as_they_are(node, world):
    first, _ = _applied(node, world, {})
    before = stock(world, model=first)
    steer = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.steer")
    second, _ = _applied(
        node, world, {"relations": _by_hand(node, world, "dog | above | teddy bear")}, model=first
    )
    assert torch.equal(stock(world, model=first), before)
    assert len(steer.chain_of(first).steerings) == 1 and not steer.chain_of(world.model).steerings
    assert not steer.chain_of(steer.without_steering(second)).steerings
