"""Attention guidance on models as people have them: with patches of other packs, quantised, offloaded, compiled, in every
sampler, and stopped in the middle."""

from __future__ import annotations

import pytest
import test_flux as tiny
import test_models_as_loaded as loaded
import torch
from conftest import latents, stock
from guided import choice
from test_guidance import guided


def _overridden(model, override):
    model = model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return model


def _flux_guided(node, flux, **more):
    return tiny.steered(node, flux, **{"options": choice(), "classifier": None, **more})


@pytest.fixture(scope="module")
def flux(pack, node):
    return tiny._world(node, tiny._model())


def test_an_override_of_another_pack_is_called_with_every_row(node, world):
    widths = set()

    def override(func, q, k, v, heads, *args, **kwargs):
        if k.shape[1] == 32:
            widths.add((q.shape[0], q.shape[2] // heads))
        return func(q, k, v, heads, *args, **kwargs)

    result, log = guided(node, world, model=_overridden(world.model, override), options=choice())
    assert torch.allclose(result, guided(node, world, options=choice())[0], atol=1e-3)
    assert log.runs[0].guided[0].done and {rows for rows, _ in widths} == {2}
    assert any(width % 8 == 0 for _, width in widths) and len({width for _, width in widths}) > 1


def test_an_override_that_takes_no_wider_heads_is_given_what_it_knows(node, flux):
    """Heads of the tiny Flux are 16 channels wide."""
    calls = []

    def narrow(func, q, k, v, heads, *args, **kwargs):
        if q.shape[-1] != 16:
            raise ValueError(f"heads of {q.shape[-1]} channels")
        calls.append(1)
        return 0.9 * func(q, k, v, heads, *args, **kwargs)

    def wide(func, q, k, v, heads, *args, **kwargs):
        result = func(q, k, v, heads, *args, **kwargs)
        return 0.9 * result if q.shape[-1] == 16 else result

    model = _overridden(flux.model, narrow)
    result, log = _flux_guided(node, flux, model=model)
    assert calls and log.runs[0].guided[0].done and result.isfinite().all()
    assert not torch.allclose(result, tiny.plain(flux, model=model), atol=1e-3)
    assert not torch.allclose(
        result, _flux_guided(node, flux, model=_overridden(flux.model, wide))[0], atol=1e-4
    )


@pytest.mark.parametrize("key", [("input", 1), ("input", 1, 0)])
def test_a_replaced_attention_keeps_what_it_does(node, world, key):
    """A patch that adds an attention of its own, as IPAdapter does: both are in the picture."""
    calls = []

    def patch(q, k, v, extra):
        import comfy.ldm.modules.attention as attention

        calls.append(q.shape)
        plain = attention.optimized_attention(q, k, v, extra["n_heads"])
        return plain + 0.5 * attention.optimized_attention(q, k.flip(1), v, extra["n_heads"])

    model = world.model.clone()
    model.set_model_attn2_replace(patch, *key)
    result, log = guided(node, world, model=model, options=choice())
    assert calls and {shape[0] for shape in calls} == {2} and log.runs[0].guided[0].done
    assert not torch.allclose(result, guided(node, world, options=choice())[0], atol=1e-3)
    assert not torch.allclose(result, stock(world, model=model), atol=1e-3)


def test_a_patch_that_multiplies_rows_leaves_attention_unguided(node, world):
    model = world.model.clone()
    model.set_model_attn2_patch(lambda q, k, v, extra: tuple(torch.cat([t] * 2) for t in (q, k, v)))
    model.set_model_attn2_output_patch(lambda out, extra: out[: len(out) // 2])
    result, log = guided(node, world, model=model)
    assert torch.allclose(result, stock(world, model=model), atol=1e-5)
    assert "regional prompts" in log.runs[0].notes[0] and len(log.runs[0].notes) == 1


def test_offloaded_weights(node, own):
    import comfy.model_management

    expected, _ = guided(node, own)
    comfy.model_management.unload_all_models()
    model = loaded._offloading(own.model)
    result, log = guided(node, own, model=model)
    assert loaded._is_offloaded(model) and log.runs[0].guided[0].done
    assert torch.allclose(result, expected, atol=1e-3)
    comfy.model_management.unload_all_models()


@pytest.mark.parametrize("quantisation", ["float8_e4m3fn", "nvfp4", "int8_tensorwise"])
def test_quantised_weights(node, flux, quantisation):
    formats = pytest.importorskip("comfy.quant_ops", reason="this host has no quantised weights").QUANT_ALGOS
    if quantisation not in formats or not hasattr(formats[quantisation], "keys"):
        pytest.skip(f"this host does not know {quantisation}")
    model = loaded._quantised(flux.model, quantisation)
    result, log = _flux_guided(node, flux, model=model)
    assert result.isfinite().all() and log.runs[0].guided[0].done
    assert not torch.equal(result, tiny.plain(flux, model=model))


def test_bytes_that_a_pack_unpacks(node, flux):
    """The way of packs that read GGUF files."""
    model = loaded._unpacked_at_use(flux)
    result, log = _flux_guided(node, flux, model=model)
    change = result - tiny.plain(flux, model=model)
    expected = _flux_guided(node, flux)[0] - tiny.plain(flux)
    assert log.runs[0].guided[0].done and (change - expected).norm() < 0.3 * expected.norm()


def test_a_kernel_without_a_backward_pass(node, flux):
    def override(func, q, k, v, *args, **kwargs):
        assert not torch.is_grad_enabled()
        with torch.inference_mode():
            return func(q.clone(), k.clone(), v.clone(), *args, **kwargs)

    result, _ = _flux_guided(node, flux, model=_overridden(flux.model, override))
    assert torch.allclose(result, _flux_guided(node, flux)[0], atol=1e-4)


def test_a_compiled_model(node, world):
    """By the host's own way, with a backend that counts graphs and runs them as they are. Another run compiles nothing."""
    helpers = pytest.importorskip("comfy_api.torch_helpers", reason="this host compiles in another way")
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    model = world.model.clone()
    helpers.set_torch_compile_wrapper(model=model, backend=backend)
    plain = stock(world, model=model, steps=4)
    assert torch.allclose(plain, stock(world, steps=4), atol=1e-3)
    result, log = guided(node, world, model=model, steps=4, options=choice())
    assert log.runs[0].guided[0].done
    assert torch.allclose(result, guided(node, world, steps=4, options=choice())[0], atol=1e-3)
    assert not torch.allclose(result, plain, atol=1e-2)
    compiled = len(graphs)
    guided(node, world, model=model, steps=4, options=choice(), seed=12)
    assert len(graphs) == compiled


def test_every_sampler(node, world):
    """Each is guided, and without its relation it is the stock sampler's picture."""
    import comfy.samplers

    for sampler in comfy.samplers.KSampler.SAMPLERS:
        result, log = guided(node, world, sampler, steps=4, options=choice())
        assert log.runs[0].guided[0].done, sampler
        assert not torch.equal(result, stock(world, sampler, steps=4)), sampler
        assert result.isfinite().all(), sampler


@pytest.mark.parametrize("kind", ["interrupt", "memory", "error"])
def test_stopped_in_the_middle_leaves_nothing(node, world, kind):
    import comfy.model_management as management

    error = {
        "interrupt": management.InterruptProcessingException(),
        "memory": management.OOM_EXCEPTION("no memory left"),
        "error": RuntimeError("broken"),
    }[kind]
    before, expected = stock(world), guided(node, world)[0]
    calls = []

    def stop(module, args):
        calls.append(1)
        if len(calls) == 3:
            raise error

    layer = world.model.model.diffusion_model.middle_block[1].transformer_blocks[0].attn2.to_k
    handle = layer.register_forward_pre_hook(stop)
    try:
        with pytest.raises(type(error)):
            guided(node, world)
    finally:
        handle.remove()
    assert torch.equal(stock(world), before) and torch.equal(guided(node, world)[0], expected)


def test_memory_stays_flat(node, world):
    """No tensor is left behind by a run: the log holds numbers."""
    import gc

    def tensors():
        gc.collect()
        return sum(isinstance(o, torch.Tensor) for o in gc.get_objects())

    model, log = node("ApplyRelationSteering", model=world.model, relations=world.relations, options=choice())
    for _ in range(2):
        stock(world, model=model, steps=2)
    first = tensors()
    for seed in range(4):
        stock(world, model=model, steps=2, seed=seed, latent=latents())
    assert tensors() <= first
