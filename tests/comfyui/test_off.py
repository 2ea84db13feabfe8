"""Off is off, and on is the same twice."""

from __future__ import annotations

import pytest
import torch
from conftest import latents, options, steered, stock

SAMPLERS = ["euler", "dpmpp_2m", "ddim", "uni_pc", "dpmpp_sde"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_strength_zero_is_the_stock_sampler(node, world, sampler):
    plain = stock(world, sampler)
    off, log = steered(node, world, sampler, options=options(node, strength=0.0))
    assert torch.equal(off, plain)
    assert log.latest is None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_relation_is_the_stock_sampler(node, world, sampler):
    positive, relations, said = node("RelationPrompt", clip=world.clip, text="a dog and a teddy bear")
    assert "No relation" in said
    plain = stock(world, sampler, positive=positive)
    off, _ = steered(node, world, sampler, positive=positive, relations=relations)
    assert torch.equal(off, plain)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_outside_its_range_is_the_stock_sampler(node, world, sampler):
    plain = stock(world, sampler)
    off, _ = steered(node, world, sampler, options=options(node, start=0.3, end=0.3))
    assert torch.equal(off, plain)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steered_twice_is_the_same_and_is_not_the_plain_run(node, world, sampler):
    first, log = steered(node, world, sampler)
    second, _ = steered(node, world, sampler)
    assert torch.equal(first, second)
    assert not torch.equal(first, stock(world, sampler))
    # The host gives uni_pc nine steps and drops the last but one: 0, 1/9 and 2/9 of the schedule are under 1/4.
    assert [r.step for r in log.latest.records] == [0, 1, 2][: 3 if sampler == "uni_pc" else 2]
    assert all(r.move > 0 for r in log.latest.records)


def test_relation_prompt_encodes_as_the_host_does(node, world):
    import nodes as host_nodes

    with torch.inference_mode():
        (theirs,) = host_nodes.CLIPTextEncode().encode(world.clip, world.relations.text)
    assert torch.equal(theirs[0][0], world.positive[0][0])


def test_only_where_needed_leaves_the_others_as_they_are(node, world):
    plain = stock(world, latent=latents(3), steps=12)
    none, log = steered(node, world, latent=latents(3), steps=12, steer="only if needed", met_at=0.0)
    assert torch.equal(none, plain) and len(log.traces) == 1 and log.latest.backwards == 0
    seen = [r.probability for r in log.latest.records]
    assert len(seen) == 3
    between = (min(seen) + max(seen)) / 2
    some, log = steered(node, world, latent=latents(3), steps=12, steer="only if needed", met_at=between)
    for image, probability in enumerate(seen):
        assert torch.equal(some[image], plain[image]) == (probability >= between)
    assert [bool(labels) for labels in log.latest.labels] == [p < between for p in seen]


def test_the_probability_rises(node, world):
    """Over some seeds together, and whatever the shipped weights are worth."""
    _, log = steered(node, world, latent=latents(6), steps=20, options=options(node, evaluations_per_step=3))
    first, last = [], []
    for image in range(6):
        records = log.latest.image(image)
        first.append(records[0].probability)
        last.append(records[-1].probability)
    assert sum(last) / 6 > sum(first) / 6
