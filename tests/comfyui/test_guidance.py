"""Attention guidance in the host: the pictures are those of the diffusers host, off is off, and what others have hung into
the model still runs."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

import pytest
import torch
from conftest import PACK, PROMPT, ROOT, latents, steered, stock, world_of

NONE = "none: compare centres of attention"


def attention(node, **changes):
    """Options of the method "attention"."""
    return node("SteeringOptions", **{"plan": "fast", "strength": 1.0, "method": "attention", **changes})[0]


def guided(node, world, sampler="euler", **more):
    """(latents, log) of a run that is guided, without a classifier."""
    more.setdefault("options", attention(node))
    return steered(node, world, sampler, **{"classifier": None, **more})


@pytest.fixture(scope="module")
def mmdit(node):
    return world_of(node, *node("LoadEmojiWorld", architecture="mmdit"), NONE)


@pytest.fixture(params=["unet", "mmdit"])
def each_world(request, world, mmdit):
    return world if request.param == "unet" else mmdit


@pytest.fixture(scope="module")
def importable():
    pytest.importorskip(
        "diffusers", reason="the host's interpreter has no diffusers; install it there to compare"
    )
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.mark.parametrize("model", ["unet", "mmdit"])
@pytest.mark.parametrize("text", [PROMPT, "a balloon above a dog to the left of a teddy bear"])
def test_same_pictures_as_the_diffusers_host(node, world, mmdit, importable, model, text):
    """To one level of 255, from the same seed."""
    from learn_to_steer.emojiworld import load_pipeline
    from learn_to_steer.hosts.diffusers import generate

    ours = world if model == "unet" else mmdit
    positive, relations, _ = node("RelationPrompt", clip=ours.clip, text=text)
    mine, log = guided(node, ours, steps=20, seed=3, positive=positive, relations=relations)
    pipe = load_pipeline(model=model)
    theirs = generate(
        pipe, text, method="attention", seed=3, num_inference_steps=20, guidance_scale=6.0, output_type="np"
    )
    with torch.inference_mode():
        levels = (ours.vae.decode(mine)[0] * 255).round()
    assert (levels - torch.from_numpy(theirs.images[0] * 255).round()).abs().max() <= 1
    record = log.runs[-1].guided[0].to_dict()
    expected = theirs.trace.guidance
    assert record["layouts"] == expected["layouts"] and record["steps"] == expected["steps"]
    assert record["strength"] == expected["strength"] and record["layers"] == len(expected["layers"])


@pytest.mark.parametrize("method", ["attention", "both"])
def test_nothing_is_kept_from_prompt_to_prompt(node, each_world, method):
    """As many tensors are alive after 24 prompts as after four."""
    prompts = import_module(f"{PACK}.learn_to_steer.emojiworld.prompts")
    kept = []
    for number, draw in enumerate(prompts.chains("train", 24, seed=5), 1):
        positive, relations, _ = node("RelationPrompt", clip=each_world.clip, text=draw.prompt)
        options = attention(node, method=method, plan="thorough")
        _, log = steered(
            node, each_world, options=options, positive=positive, relations=relations, steps=6, seed=number
        )
        assert log.runs[-1].guided
        del positive, relations, log
        if number in (4, 24):
            gc.collect()
            kept.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
    assert kept[0] == kept[1]


def test_off_is_off_bit_for_bit(node, each_world):
    """Strength 0, a prompt without a relation, and a run that begins below the noise that is guided."""
    plain = stock(each_world)
    off, log = guided(node, each_world, options=attention(node, strength=0.0))
    assert torch.equal(off, plain) and not log.runs
    positive, relations, _ = node("RelationPrompt", clip=each_world.clip, text="a dog and a teddy bear")
    off, _ = guided(node, each_world, positive=positive, relations=relations)
    assert torch.equal(off, stock(each_world, positive=positive))
    start = {"samples": plain}
    late, log = guided(node, each_world, latent=start, denoise=0.5)
    assert torch.equal(late, stock(each_world, latent=start, denoise=0.5))
    assert "Attention not guided" in log.runs[0].notes[0]


def test_no_gradient_and_no_pass_more_than_plain(node, each_world):
    calls = []
    network = each_world.model.model.diffusion_model
    handle = network.register_forward_pre_hook(lambda *a: calls.append(torch.is_grad_enabled()))
    try:
        stock(each_world)
        plain = len(calls)
        result, log = guided(node, each_world)
    finally:
        handle.remove()
    assert len(calls) == 2 * plain and not any(calls)
    assert not torch.equal(result, stock(each_world)) and log.latest.forwards == 0


def test_the_same_twice_and_every_image_of_a_batch_for_itself(node, each_world):
    import comfy.sample

    three, _ = guided(node, each_world, latent=latents(3))
    assert torch.equal(three, guided(node, each_world, latent=latents(3))[0])
    alone = latents(1, batch_index=[1])
    assert comfy.sample.prepare_noise(alone["samples"], 11, [1]).shape == alone["samples"].shape
    one, _ = guided(node, each_world, latent=alone)
    assert torch.allclose(one[0], three[1], atol=2e-2)  # other sums in other batch sizes


def test_branches_one_after_the_other_are_guided_as_together(node, each_world, monkeypatch):
    """Where memory is short the host runs the conditional rows in a pass of their own."""
    together, _ = guided(node, each_world)
    model = each_world.model.clone()
    monkeypatch.setattr(type(model.model), "memory_required", lambda self, *a, **k: 1e18)
    apart, log = guided(node, each_world, model=model)
    assert torch.allclose(apart, together, atol=1e-2) and log.runs[0].guided[0].done


def test_a_model_with_guidance_in_any_sampler(node, each_world):
    model, log = node(
        "ApplyRelationSteering",
        model=each_world.model,
        relations=each_world.relations,
        options=attention(node),
    )
    before = stock(each_world)
    once = stock(each_world, model=model)
    assert torch.equal(once, guided(node, each_world)[0])
    assert torch.equal(stock(each_world), before) and len(log.runs) == 1


def test_a_classifier_is_needed_for_moves_only(node, world):
    for method in ("gradient", "both"):
        with pytest.raises(ValueError, match='for the method "' + method) as error:
            guided(node, world, options=attention(node, method=method))
        assert "\n" not in str(error.value)


def test_both_guides_and_moves(node, world):
    options = attention(node, method="both", plan="custom", start=0.0, end=0.3, every=1, evaluations_per_step=1,
                        step_rule="rms", step_size=1.0, reached=1.0, combine="sum")  # fmt: skip
    result, log = steered(node, world, options=options)
    (run,) = log.runs
    assert run.guided[0].done and any(r.move > 0 for r in log.latest.records)
    assert not torch.equal(result, guided(node, world)[0])


def switching(strength=None, **more):
    guidance = import_module(f"{PACK}.learn_to_steer.guidance").GuidancePlan(strength=strength, **more)
    plan = import_module(f"{PACK}.learn_to_steer.steering").SteeringPlan()
    return import_module(f"{PACK}.learn_to_steer.hosts.comfyui.choice").Choice(plan, "attention", guidance)


def test_the_classifier_switches_off_what_holds(node, world):
    """At a probability that everything has, the first guided step is the only one; at one that nothing has, all are."""
    result, log = guided(node, world, classifier=world.classifier, options=switching(reached=1e-9), steps=10)
    assert log.runs[0].guided[0].steps_on(0, 0) == [0]
    always, log = guided(node, world, classifier=world.classifier, options=switching(reached=1.0), steps=10)
    assert log.runs[0].guided[0].steps_on(0, 0) == [0, 1, 2, 3, 4, 5]  # 60% of 10 steps
    assert torch.equal(always, guided(node, world, options=switching(), steps=10)[0])
    assert not torch.equal(result, always)


@pytest.mark.parametrize("kind", ["area", "two prompts"])
def test_a_conditioning_that_is_more_than_the_prompt_is_left_alone(node, world, kind):
    import nodes as host_nodes

    with torch.inference_mode():
        (more,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
        positive = world.positive
        if kind == "area":
            positive = host_nodes.ConditioningSetArea().append(positive, 128, 64, 0, 0, 1.0)[0]
        positive = positive + more if kind == "two prompts" else positive
    result, log = guided(node, world, positive=positive)
    assert torch.equal(result, stock(world, positive=positive))
    assert "more than this one prompt" in log.runs[0].notes[0] and not log.runs[0].guided[0].done


def test_a_scheduled_prompt_is_guided_in_its_turn(node, world):
    import nodes as host_nodes

    with torch.inference_mode():
        (first,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
        positive = (
            host_nodes.ConditioningSetTimestepRange().set_range(first, 0.0, 0.15)[0]
            + host_nodes.ConditioningSetTimestepRange().set_range(world.positive, 0.15, 1.0)[0]
        )
    _, log = guided(node, world, positive=positive, steps=20)
    steps = log.runs[0].guided[0].steps_on(0)
    assert steps and min(steps) >= 3 and max(steps) == 11  # 60% of 20 steps


def test_another_prompts_conditioning_is_left_alone(node, world):
    import nodes as host_nodes

    with torch.inference_mode():
        (other,) = host_nodes.CLIPTextEncode().encode(world.clip, "a cat")
    model, log = node(
        "ApplyRelationSteering", model=world.model, relations=world.relations, options=attention(node)
    )
    assert torch.equal(stock(world, model=model, positive=other), stock(world, positive=other))
    assert "got that of another prompt" in log.runs[0].notes[0]
