"""What others put into a graph: attention patches, batches, masks, areas, scheduled prompts, custom sampling."""

from __future__ import annotations

import pytest
import torch
from conftest import latents, options, steered, stock


def test_attention_override_of_another_pack_is_called(node, world):
    calls = []

    def override(func, *args, **kwargs):
        calls.append(torch.is_grad_enabled())
        return func(*args, **kwargs)

    model = world.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    result, log = steered(node, world, model=model)
    assert calls.count(True) > 0 and calls.count(False) > 0
    assert log.latest.records[0].move > 0
    theirs, _ = steered(node, world)
    assert torch.allclose(result, theirs, atol=1e-3)


def test_override_without_a_gradient_is_replaced_for_the_gradient_only(node, world):
    def override(func, q, k, v, *args, **kwargs):
        with torch.no_grad():
            return func(q, k, v, *args, **kwargs)

    model = world.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    _, log = steered(node, world, model=model)
    assert log.latest.records[0].move > 0


@pytest.mark.parametrize("key", [("middle", 0), ("middle", 0, 0)])
def test_attn2_patch_of_another_pack_is_called_and_recorded_through(node, world, key):
    calls = []

    def patch(q, k, v, extra):
        import comfy.ldm.modules.attention as attention

        calls.append(torch.is_grad_enabled())
        return 0.5 * attention.optimized_attention(q, k, v, extra["n_heads"])

    model = world.model.clone()
    model.set_model_attn2_replace(patch, *key)
    result, log = steered(node, world, model=model)
    assert calls.count(True) > 0 and calls.count(False) > 0
    assert log.latest.records[0].move > 0
    assert not torch.equal(result, steered(node, world)[0])


def test_each_latent_of_a_batch_is_steered_for_itself(node, world):
    import comfy.sample

    three, log = steered(node, world, latent=latents(3))
    assert {r.image for r in log.latest.records} == {0, 1, 2}
    noise = comfy.sample.prepare_noise(torch.zeros(3, 4, 16, 16), 11)
    alone = latents(1, batch_index=[1])
    assert torch.equal(comfy.sample.prepare_noise(alone["samples"], 11, [1]), noise[1:2])
    one, own = steered(node, world, latent=alone)
    assert torch.allclose(one[0], three[1], atol=2e-2)  # other sums in other batch sizes
    mine = [r.probability for r in log.latest.image(1)]
    assert [r.probability for r in own.latest.records] == pytest.approx(mine, abs=1e-3)


def test_masked_out_regions_are_left_alone(node, world):
    start = stock(world, seed=4)
    mask = torch.zeros(1, 128, 128)
    mask[:, :, 64:] = 1.0
    latent = {"samples": start, "noise_mask": mask}
    plain = stock(world, latent=latent)
    result, log = steered(node, world, latent=latent)
    assert log.latest.records and log.latest.records[0].move > 0
    assert torch.allclose(result[..., :7], start[..., :7], atol=1e-5)
    assert torch.allclose(plain[..., :7], start[..., :7], atol=1e-5)
    assert not torch.allclose(result[..., 9:], plain[..., 9:], atol=1e-2)


def test_image_to_image(node, world):
    start = {"samples": stock(world, seed=4)}
    result, log = steered(node, world, latent=start, denoise=0.85)
    assert log.latest.records[0].step == 0
    assert not torch.equal(result, stock(world, latent=start, denoise=0.85))


def test_a_second_pass_at_low_noise_is_plain_and_says_why(node, world):
    """At denoise 0.6 the run begins at 40% of the schedule; the plan ends at a quarter."""
    start = {"samples": stock(world, seed=4)}
    result, log = steered(node, world, latent=start, denoise=0.6)
    assert torch.equal(result, stock(world, latent=start, denoise=0.6))
    assert log.latest.evaluations == [0] and "Left plain" in log.latest.notes[0]


@pytest.mark.parametrize("kind", ["area", "mask", "schedule", "two lengths", "another pack's text node"])
def test_conditioning_of_every_kind(node, world, kind):
    import nodes as host_nodes

    with torch.inference_mode():
        positive = world.positive
        if kind == "area":
            (more,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
            positive = host_nodes.ConditioningSetArea().append(positive, 128, 64, 0, 0, 1.0)[0] + more
        elif kind == "mask":
            mask = torch.ones(1, 128, 128)
            (more,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
            positive = host_nodes.ConditioningSetMask().append(positive, mask, "default", 1.0)[0] + more
        elif kind == "schedule":
            (later,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
            positive = (
                host_nodes.ConditioningSetTimestepRange().set_range(positive, 0.0, 0.5)[0]
                + host_nodes.ConditioningSetTimestepRange().set_range(later, 0.5, 1.0)[0]
            )
        elif kind == "two lengths":
            (more,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat " * 30)
            positive = positive + more
        else:
            (positive,) = host_nodes.CLIPTextEncode().encode(world.clip, world.relations.text)
    result, log = steered(node, world, positive=positive)
    assert log.latest.records and log.latest.records[0].move > 0
    assert result.isfinite().all()


def test_a_scheduled_prompt_is_steered_only_in_its_turn(node, world):
    import nodes as host_nodes

    with torch.inference_mode():
        (first,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
        positive = (
            host_nodes.ConditioningSetTimestepRange().set_range(first, 0.0, 0.25)[0]
            + host_nodes.ConditioningSetTimestepRange().set_range(world.positive, 0.25, 1.0)[0]
        )
    _, log = steered(node, world, positive=positive, options=options(node, end=1.0))
    steps = sorted({r.step for r in log.latest.records})
    assert steps and steps[0] > 0


def test_custom_sampling_and_advanced_sampler(node, world):
    import comfy.samplers
    import comfy_extras.nodes_custom_sampler as custom

    inputs = {
        "relations": world.relations,
        "classifier": world.classifier,
        "options": options(node, reached=1.0),
    }
    model, log = node("ApplyRelationSteering", model=world.model, **inputs)
    sigmas = comfy.samplers.calculate_sigmas(world.model.get_model_object("model_sampling"), "simple", 8)
    with torch.inference_mode():
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(world.positive, world.negative)
        guider.set_cfg(6.0)
        noise = custom.Noise_RandomNoise(11).generate_noise(latents())
        result = guider.sample(noise, latents()["samples"], comfy.samplers.sampler_object("euler"), sigmas)
    expected, _ = steered(node, world)
    assert torch.allclose(result, expected, atol=1e-5) and log.latest.records
    advanced, own = node(
        "SteeringKSamplerAdvanced", model=world.model, add_noise="enable", noise_seed=11, steps=8, cfg=6.0,
        sampler_name="euler", scheduler="simple", positive=world.positive, negative=world.negative, latent_image=latents(),
        start_at_step=0, end_at_step=8, return_with_leftover_noise="disable", **inputs,
    )  # fmt: skip
    assert torch.allclose(advanced["samples"], expected, atol=1e-5) and own.latest.records


def test_two_relations(node, world):
    text = "a dog to the left of a teddy bear above a balloon"
    positive, relations, said = node("RelationPrompt", clip=world.clip, text=text)
    assert len(said.splitlines()) == 2
    _, log = steered(node, world, positive=positive, relations=relations)
    assert {r.relation for r in log.latest.records} == {0, 1}


def test_gradient_is_the_slope_of_the_loss(node, world):
    """One tiny gradient step changes the loss by as much as its length says (finite difference)."""
    size = 2e-4
    plan = options(node, step_rule="gradient", step_size=size, evaluations_per_step=2, reached=1.0)
    _, log = steered(node, world, options=plan)
    first, second = log.latest.records[:2]
    predicted = first.move**2 / size
    assert first.loss - second.loss == pytest.approx(predicted, rel=0.05)
