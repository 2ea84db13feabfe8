"""Features of diffusers that make calls of a model cheaper, and what an evaluation makes of them."""

from dataclasses import replace

import diffusers
import pytest
import torch
from diffusers import hooks

from learn_to_steer.attention import token_weights
from learn_to_steer.hosts.diffusers import denoiser, generate, record_unet
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

from .made import fingerprint, plain_images

PROMPT = "a dog above a cat"
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, step_size=0.1, reached=None)
WATCHING = replace(PLAN, reached=1e-9)
RUN = {"num_inference_steps": 8, "guidance_scale": 4.0, "output_type": "pt", "height": 32, "width": 32}
KINDS = ["pipe", "xl_pipe", "flux_pipe", "dev_pipe"]


def steered(pipe, **changes):
    return generate(
        pipe, PROMPT, **{"objective": CentroidObjective(), "plan": PLAN, "seed": 3, **RUN, **changes}
    )


def plainly(pipe, **changes):
    return plain_images(pipe, [PROMPT], 3, **{**RUN, **changes})


# Caches


def first_block(pipe):
    return diffusers.FirstBlockCacheConfig(threshold=0.5)


def taylor(pipe):
    return diffusers.TaylorSeerCacheConfig(cache_interval=3, disable_cache_before_step=2, max_order=1)


def magnitudes(pipe):
    return diffusers.MagCacheConfig(
        threshold=0.5, max_skip_steps=2, num_inference_steps=8, retention_ratio=0.1, mag_ratios=[1.0] * 8
    )


def pyramid(pipe):
    return diffusers.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(0, 1001),
        spatial_attention_block_identifiers=("transformer_blocks", "single_transformer_blocks", "blocks"),
        cross_attention_block_skip_range=3,
        cross_attention_timestep_skip_range=(0, 1001),
        cross_attention_block_identifiers=("transformer_blocks", "attn2"),
        current_timestep_callback=lambda: 500,
    )


def faster(pipe):
    return diffusers.FasterCacheConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 800),
        spatial_attention_block_identifiers=("transformer_blocks", "single_transformer_blocks"),
        attention_weight_callback=lambda module: 0.5,
        is_guidance_distilled=True,
        tensor_format="BCHW",
        current_timestep_callback=lambda: pipe._current_timestep,
    )


NEEDED = {
    first_block: "FirstBlockCacheConfig",
    taylor: "TaylorSeerCacheConfig",
    magnitudes: "MagCacheConfig",
    pyramid: "PyramidAttentionBroadcastConfig",
    faster: "FasterCacheConfig",
}


@pytest.fixture(params=list(NEEDED), ids=lambda made: made.__name__)
def cached(request, flux_pipe):
    """A Flux pipeline with a cache, and its pictures without and with it."""
    if not hasattr(diffusers, NEEDED[request.param]):
        pytest.skip("this diffusers has no such cache")
    without = plainly(flux_pipe)
    flux_pipe.transformer.enable_cache(request.param(flux_pipe))
    pictures = plainly(flux_pipe)
    assert not torch.equal(without, pictures), "the cache had nothing to do"
    assert torch.equal(plainly(flux_pipe), pictures)
    return flux_pipe, pictures


def test_an_evaluation_takes_no_part_in_a_cache(cached):
    pipe, pictures = cached
    before = fingerprint(pipe.transformer)
    assert torch.equal(steered(pipe, plan=WATCHING).images, pictures)
    # Under the former rule own passes are not read: what holds is evaluated at every step from 0 to 3.
    out = steered(pipe, plan=replace(WATCHING, step_rule="relative"))
    assert out.trace.evaluations == [4] and torch.equal(out.images, pictures)
    moved = steered(pipe)
    assert moved.trace.records[0].move > 0 and not torch.equal(moved.images, pictures)
    assert torch.equal(plainly(pipe), pictures)
    assert torch.equal(steered(pipe).images, moved.images)
    assert fingerprint(pipe.transformer) == before


def test_an_evaluation_reads_the_model_and_not_its_cache(cached):
    pipe, _ = cached
    first = replace(PLAN, end=0.1, evaluations_per_step=3)  # several at the same step, each after a move
    with_cache = [r.probability for r in steered(pipe, plan=first).trace.records]
    pipe.transformer.disable_cache()
    without = [r.probability for r in steered(pipe, plan=first).trace.records]
    assert with_cache == without and len(set(without)) == 3


def test_a_failed_evaluation_leaves_the_cache_in_place(cached):
    pipe, pictures = cached
    before = fingerprint(pipe.transformer)

    class Failing(CentroidObjective):
        def __call__(self, maps, targets, step):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steered(pipe, objective=Failing())
    assert fingerprint(pipe.transformer) == before
    assert torch.equal(plainly(pipe), pictures)


def test_attention_broadcast_on_a_unet(pipe):
    without = plainly(pipe)
    hooks.apply_pyramid_attention_broadcast(pipe.unet, pyramid(pipe))

    def fresh():
        # Only models with `enable_cache` are reset by the pipeline.
        for module in pipe.unet.modules():
            if hasattr(module, "_diffusers_hook"):
                module._diffusers_hook.reset_stateful_hooks(recurse=False)

    pictures = plainly(pipe)
    assert not torch.equal(pictures, without)
    fresh()
    assert torch.equal(steered(pipe, plan=WATCHING).images, pictures)
    fresh()
    assert steered(pipe).trace.records[0].move > 0
    fresh()
    assert torch.equal(plainly(pipe), pictures)


@pytest.mark.parametrize("kind", ["pipe", "xl_pipe"])
def test_deepcache(request, kind):
    helpers = pytest.importorskip("DeepCache")
    pipe = request.getfixturevalue(kind)
    without = plainly(pipe)
    helper = helpers.DeepCacheSDHelper(pipe=pipe)
    helper.set_params(cache_interval=3, cache_branch_id=0)
    helper.enable()
    pictures = plainly(pipe)
    assert not torch.equal(pictures, without)
    assert torch.equal(steered(pipe, plan=WATCHING).images, pictures)
    assert steered(pipe).trace.records[0].move > 0
    assert torch.equal(plainly(pipe), pictures)
    helper.disable()
    assert torch.equal(plainly(pipe), without)


# Gradient checkpointing


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_changes_nothing(request, kind):
    pipe = request.getfixturevalue(kind)
    model = denoiser(pipe).requires_grad_(True)
    expected = steered(pipe)
    model.enable_gradient_checkpointing()
    before = fingerprint(model)
    out = steered(pipe)
    assert out.trace.backwards == 8 and torch.allclose(out.latents, expected.latents, atol=1e-5)
    assert fingerprint(model) == before and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("layers", [None, ("down.0.0",), ("mid.0", "up.1.0")])
@pytest.mark.parametrize("stop", [True, False])
def test_checkpointing_of_a_unet_gives_the_same_gradient_and_keeps_less(pipe, layers, stop):
    def gradient():
        torch.manual_seed(1)
        z, context = torch.randn(1, 4, 16, 16).requires_grad_(), torch.randn(1, 77, 32)
        kept = []

        def count(tensor):
            kept.append(tensor)
            return tensor

        weights = token_weights([[[2], [5, 6]]], 77)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            maps = record_unet(pipe.unet, z, torch.tensor(601), context, weights, layers, stop)
        loss = sum((m * torch.linspace(0, 1, m.shape[-1])).sum() for m in maps.maps)
        return torch.autograd.grad(loss, z)[0], len(kept)

    expected, all_kept = gradient()
    pipe.unet.enable_gradient_checkpointing()
    functions = [
        m._gradient_checkpointing_func for m in pipe.unet.modules() if hasattr(m, "gradient_checkpointing")
    ]
    found, less_kept = gradient()
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-7) and expected.abs().max() > 0
    assert less_kept < all_kept
    assert functions == [
        m._gradient_checkpointing_func for m in pipe.unet.modules() if hasattr(m, "gradient_checkpointing")
    ]


# Layerwise casting


def cast(model, storage=torch.float8_e4m3fn):
    if not hasattr(model, "enable_layerwise_casting"):
        pytest.skip("this diffusers has no layerwise casting")
    model.enable_layerwise_casting(storage_dtype=storage, compute_dtype=torch.float32)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_layerwise_casting_steers_as_weights_rounded_once(request, kind, checkpointing):
    pipe = request.getfixturevalue(kind)
    model = denoiser(pipe).requires_grad_(False)
    kept = {name: p.clone() for name, p in model.named_parameters()}
    cast(model)
    stored = {name: p.dtype for name, p in model.named_parameters()}
    assert torch.float8_e4m3fn in stored.values()
    if checkpointing:
        model.enable_gradient_checkpointing()
    out = steered(pipe)
    assert {name: p.dtype for name, p in model.named_parameters()} == stored
    again = steered(pipe)
    assert torch.equal(again.latents, out.latents)

    # The same numbers without the casting: each weight that is stored in eight bits, rounded by hand.
    for module in model.modules():
        if hasattr(module, "_diffusers_hook"):
            module.forward = type(module).forward.__get__(module)
    for name, parameter in model.named_parameters():
        parameter.data = kept[name].to(stored[name]).float()
    assert torch.allclose(steered(pipe).latents, out.latents, atol=1e-5)
    assert not torch.equal(steered(pipe, objective=None).latents, out.latents)


def test_a_failed_pass_leaves_cast_weights_as_they_are_stored(pipe, monkeypatch):
    cast(pipe.unet.requires_grad_(False))
    inner = pipe.unet.mid_block.resnets[0].conv1
    before, expected = fingerprint(pipe.unet), steered(pipe)

    def fails(*arguments):
        assert inner.weight.dtype == torch.float32
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inner, "_conv_forward", fails)
        steered(pipe)
    assert fingerprint(pipe.unet) == before
    assert torch.equal(steered(pipe).images, expected.images)


# Weights and calls under inference mode


@pytest.mark.parametrize("kind", KINDS)
def test_weights_made_under_inference_mode(request, kind):
    pipe = request.getfixturevalue(kind)
    expected = steered(pipe)
    with torch.inference_mode():
        for module in denoiser(pipe).modules():
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    module._parameters[name] = torch.nn.Parameter(parameter.clone(), requires_grad=False)
            for name, buffer in module._buffers.items():
                module._buffers[name] = buffer.clone() if buffer is not None else None
    assert all(p.is_inference() for p in denoiser(pipe).parameters())
    before = fingerprint(denoiser(pipe))
    assert torch.equal(steered(pipe).latents, expected.latents)
    assert fingerprint(denoiser(pipe)) == before


@pytest.mark.parametrize("kind", KINDS)
def test_called_under_inference_mode(request, kind):
    pipe = request.getfixturevalue(kind)
    expected = steered(pipe)
    with torch.inference_mode():
        found = steered(pipe)
    assert torch.equal(found.latents, expected.latents)


# Autocast


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
def test_autocast_is_for_the_model_and_nothing_else(request, kind, dtype):
    pipe, seen = request.getfixturevalue(kind), []

    class Watching(CentroidObjective):
        def __call__(self, maps, targets, step):
            seen.append((torch.is_autocast_enabled("cpu"), maps.maps[0].dtype))
            return super().__call__(maps, targets, step)

    inside = []
    name = "to_q"
    layer = next(m for n, m in denoiser(pipe).named_modules() if n.endswith(name))
    layer.register_forward_hook(lambda module, args, output: inside.append(output.dtype))
    # The first step of a Stable Diffusion pipeline begins after an eighth of the schedule.
    first = replace(PLAN, end=0.2, evaluations_per_step=1)
    exact = steered(pipe, plan=first)
    inside.clear()
    with torch.autocast("cpu", dtype=dtype):
        expected = plainly(pipe)
        watched = steered(pipe, plan=WATCHING)
        out = steered(pipe, objective=Watching())
        near = steered(pipe, plan=first)
        assert torch.is_autocast_enabled("cpu")
    assert set(inside) == {dtype}
    # Two evaluations at each of four steps, and the own passes of all of these but the last.
    assert set(seen) == {(False, torch.float32)} and len(seen) == 8 + 3
    assert torch.equal(watched.images, expected)
    assert watched.trace.evaluations == [4]  # four steps are far apart: each is evaluated
    assert out.trace.records[0].move > 0 and out.latents.isfinite().all()
    assert near.trace.records[0].probability == pytest.approx(exact.trace.records[0].probability, abs=1e-3)
