"""The host's own nodes that change a MODEL, in front of the steering ones: evaluations are made with what they add, moves
are made, and with strength 0 nothing differs from the stock sampler."""

from __future__ import annotations

from importlib import import_module

import pytest
import test_flux as tiny
import torch
from conftest import options, steered, stock

ON_A_UNET = {
    "freelunch.FreeU_V2": {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2},
    "hypertile.HyperTile": {"tile_size": 64, "swap_size": 2, "max_depth": 0, "scale_depth": False},
    "model_downscale.PatchModelAddDownscale": {
        "block_number": 2, "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 0.35,
        "downscale_after_skip": True, "downscale_method": "bicubic", "upscale_method": "bicubic",
    },
    "tomesd.TomePatchModel": {"ratio": 0.3},
    "model_advanced.RescaleCFG": {"multiplier": 0.7},
    "model_advanced.ModelSamplingDiscrete": {"sampling": "v_prediction", "zsnr": True},
    "model_advanced.ModelSamplingContinuousEDM": {"sampling": "v_prediction", "sigma_max": 40.0, "sigma_min": 0.02},
    "pag.PerturbedAttentionGuidance": {"scale": 3.0},
    "sag.SelfAttentionGuidance": {"scale": 0.5, "blur_sigma": 2.0},
    "attention_multiply.UNetSelfAttentionMultiply": {"q": 1.1, "k": 1.0, "v": 1.0, "out": 0.9},
    "attention_multiply.UNetCrossAttentionMultiply": {"q": 1.1, "k": 1.0, "v": 1.0, "out": 0.9},
    "perpneg.PerpNeg": {"empty_conditioning": None, "neg_scale": 1.0},
    "differential_diffusion.DifferentialDiffusion": {},
    "apg.APG": {"eta": 1.0, "norm_threshold": 5.0, "momentum": 0.0},
    "cfg.CFGZeroStar": {},
    "fresca.FreSca": {"scale_low": 1.0, "scale_high": 1.25, "freq_cutoff": 20},
    "tcfg.TCFG": {},
    "nag.NAGuidance": {"nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5},
    "easycache.EasyCacheNode": {"reuse_threshold": 0.5, "start_percent": 0.0, "end_percent": 1.0, "verbose": False},
    "easycache.LazyCacheNode": {"reuse_threshold": 0.5, "start_percent": 0.0, "end_percent": 1.0, "verbose": False},
}  # fmt: skip

ON_FLUX = {
    "slg.SkipLayerGuidanceDiT": {
        "double_layers": "1", "single_layers": "1", "scale": 3.0, "start_percent": 0.0, "end_percent": 0.5,
    },
    "model_advanced.ModelSamplingFlux": {"max_shift": 1.15, "base_shift": 0.5, "width": 128, "height": 192},
    "nag.NAGuidance": ON_A_UNET["nag.NAGuidance"],
    "rope.ScaleROPE": {
        "scale_x": 1.5, "shift_x": 0.0, "scale_y": 1.5, "shift_y": 0.0, "scale_t": 1.0, "shift_t": 0.0,
    },
    "easycache.EasyCacheNode": ON_A_UNET["easycache.EasyCacheNode"],
}  # fmt: skip


def _patched(name, model, inputs):
    """The MODEL that a node of the host makes of this one."""
    module, kind = name.split(".")
    try:
        node = getattr(import_module(f"comfy_extras.nodes_{module}"), kind)
    except (ImportError, AttributeError):
        pytest.skip(f"this host has no {kind}")
    with torch.inference_mode():
        if hasattr(node, "execute"):
            made = node.execute(model=model, **inputs)
            return getattr(made, "args", made)[0]
        return getattr(node(), node.FUNCTION)(model=model, **inputs)[0]


@pytest.mark.parametrize("name", ON_A_UNET)
def test_on_a_unet(node, own, name):
    inputs, before = dict(ON_A_UNET[name]), stock(own)
    if "empty_conditioning" in inputs:
        inputs["empty_conditioning"] = own.negative
    model = _patched(name, own.model, inputs)
    result, log = steered(node, own, model=model)
    assert log.latest.records[0].move > 0 and result.isfinite().all()
    expected = stock(own, model=model)
    assert torch.equal(steered(node, own, model=model, options=options(node, strength=0.0))[0], expected)
    assert torch.equal(stock(own, model=model), expected) and not torch.equal(result, expected)
    assert torch.equal(stock(own), before)


@pytest.mark.parametrize("name", ON_FLUX)
def test_on_flux(pack, node, name):
    flux = tiny._world(node, tiny._model())
    model = _patched(name, flux.model, ON_FLUX[name])
    result, log = tiny.steered(node, flux, model=model, steps=8)
    assert log.latest.records[0].move > 0 and result.isfinite().all()
    expected = tiny.plain(flux, model=model, steps=8)
    off, _ = tiny.steered(node, flux, model=model, steps=8, options=options(node, strength=0.0))
    assert torch.equal(off, expected) and not torch.equal(result, expected)
