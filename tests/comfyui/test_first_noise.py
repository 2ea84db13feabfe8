"""Best First Noise: which seed is kept, what it costs, and that samplers draw from the noise that was read."""

from __future__ import annotations

import re

import pytest
import torch
from conftest import latents, stock

SEED = 11


def _tried(node, world, count=4, latent=None, **more):
    inputs = {
        "model": world.model, "positive": world.positive, "relations": world.relations,
        "classifier": world.classifier, "latent_image": latent or latents(), "noise_seed": SEED,
        "seeds_tried": count, **more,
    }  # fmt: skip
    noise, seed, text = node("BestFirstNoise", **inputs)
    table = [
        (int(s), float(v), bool(kept)) for s, v, kept in re.findall(r"seed (\d+): ([\d.]+)( \(kept\))?", text)
    ]
    return noise, seed, text, table


def test_the_noise_with_the_highest_score_is_kept(node, world):
    noise, seed, text, table = _tried(node, world, 6)
    assert len(table) == 6 and table[0][0] == SEED and len({s for s, _, _ in table}) == 6
    assert [s for s, _, kept in table if kept] == [seed]
    assert dict((s, v) for s, v, _ in table)[seed] == max(v for _, v, _ in table)
    assert min(v for _, v, _ in table) < max(v for _, v, _ in table)  # or there was nothing to choose
    assert "6 passes" in text
    again = _tried(node, world, 6)
    assert again[1] == seed and again[2] == text and noise.seed == seed


def test_a_seed_is_scored_by_what_the_classifier_reads_of_its_noise(node, world):
    """Times the presence of the weaker object, so never above it."""
    *_, table = _tried(node, world, 4)
    for seed, score, _ in table:
        (attention,) = node(
            "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations,
            latent=latents(), noise_level=1.0, seed=seed,
        )  # fmt: skip
        probability, _ = node("ClassifyRelation", attention=attention, classifier=world.classifier)
        assert score <= probability + 1e-3


def test_both_outputs_draw_the_same_picture(node, world):
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced

    noise, seed, *_ = _tried(node, world, 4)
    with torch.inference_mode():
        guider = comfy.samplers.CFGGuider(world.model)
        guider.set_conds(world.positive, world.negative)
        guider.set_cfg(6.0)
        sigmas = comfy.samplers.calculate_sigmas(world.model.get_model_object("model_sampling"), "simple", 4)
        sampler = comfy.samplers.sampler_object("euler")
        custom = SamplerCustomAdvanced
        given = (noise, guider, sampler, sigmas, latents())
        drawn = custom.execute(*given)[0] if hasattr(custom, "execute") else custom().sample(*given)[0]
    assert torch.equal(drawn["samples"], stock(world, steps=4, seed=seed))


def test_every_noise_costs_one_pass_that_ends_early_and_has_no_gradient(node, world):
    calls = {"first": 0, "last": 0, "gradients": 0}
    network = world.model.model.diffusion_model

    def first(module, args, output):
        calls["first"] += 1
        calls["gradients"] += output.requires_grad

    def last(module, args, output):
        calls["last"] += 1

    hooks = [network.input_blocks[0][0].register_forward_hook(first), network.out.register_forward_hook(last)]
    try:
        _tried(node, world, 5)
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == {"first": 5, "last": 0, "gradients": 0}


def test_a_batch_keeps_one_seed_that_is_best_on_average(node, world):
    *_, alone = _tried(node, world, 3)
    _, seed, text, table = _tried(node, world, 3, latents(2))
    assert len(table) == 3 and "3 passes" in text and seed in [s for s, _, _ in table]
    assert [v for _, v, _ in table] != [v for _, v, _ in alone]


@pytest.mark.parametrize("case", ["one", "no relation"])
def test_nothing_to_choose_costs_nothing(node, world, case):
    def count(module, args):
        calls.append(1)

    calls: list[int] = []
    hook = world.model.model.diffusion_model.register_forward_pre_hook(count)
    try:
        if case == "one":
            noise, seed, text, _ = _tried(node, world, 1)
        else:
            positive, relations, _ = node("RelationPrompt", clip=world.clip, text="a dog")
            noise, seed, text, _ = _tried(node, world, 8, positive=positive, relations=relations)
    finally:
        hook.remove()
    assert seed == noise.seed == SEED and not calls and "no pass" in text


def test_a_conditioning_of_another_prompt_is_refused(node, world):
    positive, _, _ = node("RelationPrompt", clip=world.clip, text="a frog above a car")
    with pytest.raises(ValueError, match="that of another prompt"):
        _tried(node, world, positive=positive)


def test_an_interrupt_between_two_noises(node, world):
    import comfy.model_management as management

    def interrupt(module, args):
        management.interrupt_current_processing(True)

    hook = world.model.model.diffusion_model.register_forward_pre_hook(interrupt)
    try:
        with pytest.raises(management.InterruptProcessingException):
            _tried(node, world, 4)
    finally:
        hook.remove()
        management.interrupt_current_processing(False)
    assert _tried(node, world, 2)[3][0][0] == SEED  # and the next one works


def test_a_steered_model_is_read_plainly(node, world):
    model, log = node(
        "ApplyRelationSteering", model=world.model, relations=world.relations, classifier=world.classifier
    )
    assert _tried(node, world, 3, model=model)[2] == _tried(node, world, 3)[2]
    assert not log.runs
