"""What a model may have on it when it is steered: LoRA, ControlNet, weights in half and quarter precision, quantised
ones, weights that stay outside of the device's memory. Nothing is downloaded: adapters of the host's own formats with
random weights, on EmojiWorld and on the tiny Flux of `test_flux.py`."""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace

import pytest
import test_flux as tiny
import torch
from conftest import PACK, latents, options, steered, stock

FIRST_LAYER = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2"


@pytest.fixture
def lora():
    """A LoRA file of rank 4 for queries and keys of the first cross-attention."""
    generator = torch.Generator().manual_seed(5)
    found = {}
    with torch.inference_mode():
        for name, width in (("to_q", 64), ("to_k", 128)):
            found[f"{FIRST_LAYER}.{name}.lora_up.weight"] = torch.randn(64, 4, generator=generator) / 2
            found[f"{FIRST_LAYER}.{name}.lora_down.weight"] = torch.randn(4, width, generator=generator) / 2
            found[f"{FIRST_LAYER}.{name}.alpha"] = torch.tensor(4.0)
    return found


def _with_lora(world, lora):
    """(MODEL with the LoRA's patches, conditioning with the LoRA as a hook)."""
    import comfy.hooks
    import comfy.sd

    with torch.inference_mode():
        model, _ = comfy.sd.load_lora_for_models(world.model, None, lora, 0.7, 0.0)
        hooks = comfy.hooks.create_hook_lora(lora=lora, strength_model=0.7, strength_clip=0.0)
        positive = comfy.hooks.set_hooks_for_conditioning(world.positive, hooks=hooks)
        negative = comfy.hooks.set_hooks_for_conditioning(world.negative, hooks=hooks)
    assert model.patches
    return model, SimpleNamespace(**{**vars(world), "positive": positive, "negative": negative})


def test_lora_merged_and_lora_as_a_hook_steer_alike(node, own, lora):
    model, hooked = _with_lora(own, lora)
    merged, log = steered(node, own, model=model)
    assert log.latest.records[0].move > 0
    by_hook, hooked_log = steered(node, hooked)
    without, plain_log = steered(node, own)
    first = [x.latest.records[0].probability for x in (log, hooked_log, plain_log)]
    assert first[0] == pytest.approx(first[1], abs=1e-4) and abs(first[0] - first[2]) > 1e-4
    assert torch.allclose(merged, by_hook, atol=1e-3)
    assert not torch.allclose(merged, without, atol=1e-2)


def test_off_is_off_with_a_lora(node, own, lora):
    _, hooked = _with_lora(own, lora)
    off, _ = steered(node, hooked, options=options(node, strength=0.0))
    assert torch.equal(off, stock(hooked)) and not torch.equal(off, stock(own))


def _with_control(world, network, **more):
    """The world with a ControlNet of random weights on its conditioning - its output layers, zero in a new one,
    too - and a list that hears of each of its calls, whether they had a gradient."""
    import comfy.controlnet

    import nodes as host_nodes

    generator, seen = torch.Generator().manual_seed(6), []
    network.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    hint = torch.rand(1, 128, 128, 3, generator=generator)
    with torch.inference_mode():
        for weight in network.parameters():
            scale = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1
            weight.copy_(scale * torch.randn(weight.shape, generator=generator))
        control_net = comfy.controlnet.ControlNet(network.eval(), load_device=world.model.load_device, **more)
        positive, negative = host_nodes.ControlNetApplyAdvanced().apply_controlnet(
            world.positive, world.negative, control_net, hint, 0.2, 0.0, 1.0
        )
    return SimpleNamespace(**{**vars(world), "positive": positive, "negative": negative}), seen


def _unet_control(world):
    from comfy.cldm.cldm import ControlNet

    config = dict(world.model.model.model_config.unet_config)
    for name in ("out_channels", "transformer_depth_output"):
        config.pop(name)
    with torch.inference_mode():
        network = ControlNet(**config, hint_channels=3)
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.num_groups = 16
    return _with_control(world, network)


def _flux_control(flux):
    import comfy.ops
    from comfy.ldm.flux.controlnet import ControlNetFlux

    config = dict(flux.model.model.model_config.unet_config, dtype=torch.float32)
    config["control_latent_channels"] = 16  # what comes of a hint, whatever the model's own latents have
    with torch.inference_mode():
        network = ControlNetFlux(operations=comfy.ops.disable_weight_init, device="cpu", **config)
    return _with_control(flux, network, extra_conds=["y", "guidance"])


def test_control_net(node, world):
    """Its residuals take part in the evaluations, it is called without a gradient, and strength 0 is the stock sampler."""
    controlled, seen = _unet_control(world)
    result, log = steered(node, controlled, seed=3)
    evaluations = len(log.latest.records)
    assert evaluations and log.latest.records[0].move > 0 and result.isfinite().all()
    assert len(seen) == 8 + evaluations and not any(seen)
    _, without = steered(node, world, seed=3)
    assert abs(log.latest.records[0].probability - without.latest.records[0].probability) > 1e-4
    off, _ = steered(node, controlled, seed=3, options=options(node, strength=0.0))
    assert torch.equal(off, stock(controlled, seed=3)) and not torch.equal(off, stock(world, seed=3))
    both, own = steered(node, controlled, seed=3, latent=latents(2))
    for seed in range(4, 10):
        once, again = (steered(node, controlled, seed=seed, steps=4, latent=latents(2))[0] for _ in range(2))
        assert torch.equal(once, again)
    assert {r.image for r in own.latest.records} == {0, 1}
    assert own.latest.image(0)[0].probability == pytest.approx(log.latest.records[0].probability, abs=1e-4)
    assert torch.allclose(both[:1], result, atol=2e-2)  # other sums in other batch sizes


def test_control_net_of_flux(pack, node):
    flux = tiny._world(node, tiny._model())
    controlled, seen = _flux_control(flux)
    result, log = tiny.steered(node, controlled, latent=tiny.empty(size=(16, 16)))
    assert log.latest.records[0].move > 0 and result.isfinite().all()
    assert len(seen) == 4 + len(log.latest.records) and not any(seen)
    _, without = tiny.steered(node, flux, latent=tiny.empty(size=(16, 16)))
    assert abs(log.latest.records[0].probability - without.latest.records[0].probability) > 1e-4
    off, _ = tiny.steered(node, controlled, options=options(node, strength=0.0))
    assert torch.equal(off, tiny.plain(controlled)) and not torch.equal(off, tiny.plain(flux))


def _offloading(model):
    """A clone that keeps a third of its weights on the device, by the host's own means: the rest is brought there for
    each use."""

    class Offloading(type(model)):
        def load(self, device_to=None, lowvram_model_memory=0, force_patch_weights=False, full_load=False):
            super().load(device_to, self.model_size() // 3, force_patch_weights, full_load=False)

    clone = model.clone()
    clone.__class__ = Offloading
    return clone


def _is_offloaded(model):
    return model.model.model_lowvram and model.loaded_size() < model.model_size() / 2


@pytest.mark.parametrize("with_lora", [False, True], ids=["plain", "lora"])
def test_offloaded_weights(node, own, lora, with_lora):
    """Steered as with all weights at hand, with the LoRA applied at each use too."""
    import comfy.model_management

    model = _with_lora(own, lora)[0] if with_lora else own.model
    expected, _ = steered(node, own, model=model)
    comfy.model_management.unload_all_models()
    model = _offloading(model)
    result, log = steered(node, own, model=model)
    assert _is_offloaded(model) and log.latest.records[0].move > 0
    assert torch.allclose(result, expected, atol=1e-3)
    comfy.model_management.unload_all_models()


def test_offloaded_weights_of_flux(pack, node):
    import comfy.model_management

    flux = tiny._world(node, tiny._model())
    expected, _ = tiny.steered(node, flux)
    comfy.model_management.unload_all_models()
    model = _offloading(flux.model)
    result, log = tiny.steered(node, flux, model=model)
    assert _is_offloaded(model) and log.latest.records[0].move > 0
    assert torch.allclose(result, expected, atol=1e-3)
    comfy.model_management.unload_all_models()


def _quantised(model, quantisation):
    """A MODEL with the matrices of its blocks in one of the host's own quantised formats."""
    import comfy.latent_formats
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor

    loading = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.flux_model")
    mark = torch.tensor(list(json.dumps({"format": quantisation}).encode()), dtype=torch.uint8)
    tensors = {}
    for name, weight in model.model.diffusion_model.state_dict().items():
        tensors[name] = weight.clone()
        if "_blocks." in name and name.endswith(".weight") and weight.ndim == 2:
            layout = QUANT_ALGOS[quantisation]["comfy_tensor_layout"]
            small = QuantizedTensor.from_float(tensors.pop(name).bfloat16(), layout)
            tensors |= {**small.state_dict(name), name.removesuffix("weight") + "comfy_quant": mark}
    layout = json.loads((tiny.WEIGHTS / "config.json").read_text()) | {"guidance_embeds": False}
    config = loading._config_class(1.0, None)({"image_model": "flux", **loading.host_layout(layout)})
    config.latent_format, config.quant_config = comfy.latent_formats.LatentFormat(), {"mixed_ops": True}
    config.set_inference_dtype(torch.bfloat16, torch.bfloat16)
    with torch.inference_mode():
        made = config.get_model({}, "")
        made.diffusion_model.load_state_dict(tensors)
    kept = [p for p in made.diffusion_model.parameters() if isinstance(p, QuantizedTensor)]
    assert len(kept) > 20
    return loading.patcher_of(made)


@pytest.mark.parametrize(
    "quantisation", ["float8_e4m3fn", "float8_e5m2", "nvfp4", "mxfp8", "int8_tensorwise"]
)
def test_quantised_weights(pack, node, quantisation):
    """Steered as with whole weights, but for the format's coarseness. (On a CPU the host multiplies whole numbers.)"""
    formats = pytest.importorskip("comfy.quant_ops", reason="this host has no quantised weights").QUANT_ALGOS
    if quantisation not in formats or not hasattr(formats[quantisation], "keys"):
        pytest.skip(f"this host does not know {quantisation}")
    flux = tiny._world(node, tiny._model())
    wide = tiny.steered(node, flux)[1].latest.records
    result, log = tiny.steered(node, flux, model=_quantised(flux.model, quantisation))
    assert result.isfinite().all() and log.latest.records[0].move > 0
    for mine, theirs in zip(log.latest.records, wide, strict=True):
        assert mine.probability == pytest.approx(theirs.probability, abs=0.1)


@pytest.mark.parametrize(
    ("dtype", "atol"),
    [(torch.float16, 0.05), (torch.bfloat16, None), (torch.float8_e4m3fn, None)],
    ids=str,
)
def test_weights_in_half_and_quarter_precision(node, world, monkeypatch, dtype, atol):
    """As a GPU's owner loads them: stored small, cast at each use. bf16 and fp8 are other, coarser models:
    they must only steer."""
    loading = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.load")
    base = loading._ModelConfig.set_inference_dtype
    monkeypatch.setattr(
        loading._ModelConfig, "set_inference_dtype", lambda self, *_: base(self, dtype, torch.float32)
    )
    with torch.inference_mode():
        model, *_ = loading.load_emojiworld()
    assert next(model.model.diffusion_model.parameters()).dtype == dtype
    given = {"seed": 3, "options": options(node, reached=1.0, evaluations_per_step=2)}
    result, log = steered(node, world, model=model, **given)
    before, after = log.latest.records[:2]
    assert before.move > 0 and after.step == before.step and after.probability > before.probability
    assert result.isfinite().all()
    if atol is not None:
        assert torch.allclose(result, steered(node, world, **given)[0], atol=atol)


class _Bytes(torch.Tensor):
    """A weight as a pack that reads GGUF files keeps it: bytes, and what they mean as attributes."""

    def __new__(cls, data, scale):
        return super().__new__(cls, data)

    def __init__(self, data, scale):
        super().__init__()
        self.scale = scale

    def detach(self):
        return self  # attributes and all


def _packed(weight):
    scale = weight.abs().max() / 127
    return _Bytes((weight / scale).round().to(torch.int8), scale)


def _unpacking_operations():
    """The host's operations, but each matrix of a block is unpacked when it is used."""
    import comfy.ops

    class Linear(comfy.ops.manual_cast.Linear):
        def forward(self, x):
            if not isinstance(self.weight, _Bytes):
                return super().forward(x)
            weight = self.weight.to(x.dtype) * self.weight.scale
            assert not torch.is_inference_mode_enabled() or isinstance(weight, _Bytes)
            if isinstance(weight, _Bytes):
                weight = torch.Tensor(weight)
            return torch.nn.functional.linear(x, weight, self.bias)

    return type("Unpacking", (comfy.ops.manual_cast,), {"Linear": Linear})


def _unpacked_at_use(flux):
    """The tiny Flux with its matrices as bytes."""
    import comfy.latent_formats

    loading = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.flux_model")
    layout = json.loads((tiny.WEIGHTS / "config.json").read_text()) | {"guidance_embeds": False}
    config = loading._config_class(1.0, None)({"image_model": "flux", **loading.host_layout(layout)})
    config.latent_format = comfy.latent_formats.LatentFormat()
    config.custom_operations = _unpacking_operations()
    config.set_inference_dtype(torch.float32, None)
    with torch.inference_mode():
        made = config.get_model({}, "")
        made.diffusion_model.load_state_dict(flux.model.model.diffusion_model.state_dict())
        for name, module in made.diffusion_model.named_modules():
            if "_blocks." in name and isinstance(module, torch.nn.Linear):
                module.weight = torch.nn.Parameter(_packed(module.weight.data), requires_grad=False)
    return loading.patcher_of(made)


def test_bytes_that_a_pack_unpacks(pack, node):
    """The way of packs that read GGUF files (tried with ComfyUI-GGUF itself, too)."""
    flux = tiny._world(node, tiny._model())
    wide = tiny.steered(node, flux)[1].latest.records
    model = _unpacked_at_use(flux)
    result, log = tiny.steered(node, flux, model=model)
    assert result.isfinite().all() and log.latest.records[0].move > 0
    for mine, theirs in zip(log.latest.records, wide, strict=True):
        assert mine.probability == pytest.approx(theirs.probability, abs=0.05)
    off, _ = tiny.steered(node, flux, model=model, options=options(node, strength=0.0))
    assert torch.equal(off, tiny.plain(flux, model=model))
