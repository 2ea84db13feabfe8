"""The layouts of Stable Diffusion 1.5, 2.1 and XL in the host's own UNet: names, order, heads. On the meta device, where
weights have shapes but no memory, and once at reduced width with a real gradient."""

from __future__ import annotations

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK, ROOT

COMMON = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "use_spatial_transformer": True, "legacy": False,
    "adm_in_channels": None,
}  # fmt: skip
SD1 = {
    "model_channels": 320, "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "num_heads": 8,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], "context_dim": 768,
    "use_linear_in_transformer": False,
}  # fmt: skip
SD2 = {
    **SD1,
    "num_heads": -1,
    "num_head_channels": 64,
    "context_dim": 1024,
    "use_linear_in_transformer": True,
}
SDXL = {
    "model_channels": 320, "num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "num_heads": -1,
    "num_head_channels": 64, "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10,
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "context_dim": 2048, "use_linear_in_transformer": True,
    "num_classes": "sequential", "adm_in_channels": 2816,
}  # fmt: skip


@pytest.fixture(scope="module")
def reading(pack, node):
    return import_module(f"{PACK}.learn_to_steer.hosts.comfyui.read.evaluation")


def _unet(config, **more):
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return UNetModel(**{**COMMON, **config}, **more)


def _channels(located):
    return sum(one.layer.heads for one in located)


def test_stable_diffusion_1(reading):
    located = reading.located_layers(_unet(SD1, device="meta"))
    assert [one.layer.name for one in located] == [
        "down.0.0", "down.0.1", "down.1.0", "down.1.1", "down.2.0", "down.2.1", "mid.0",
        "up.1.0", "up.1.1", "up.1.2", "up.2.0", "up.2.1", "up.2.2", "up.3.0", "up.3.1", "up.3.2",
    ]  # fmt: skip
    assert {one.layer.heads for one in located} == {8} and _channels(located) == 128


def test_stable_diffusion_2(reading):
    located = reading.located_layers(_unet(SD2, device="meta"))
    assert [one.layer.heads for one in located] == [
        5,
        5,
        10,
        10,
        20,
        20,
        20,
        20,
        20,
        20,
        10,
        10,
        10,
        5,
        5,
        5,
    ]
    assert _channels(located) == 195


def test_stable_diffusion_xl(reading):
    located = reading.located_layers(_unet(SDXL, device="meta"))
    names = [one.layer.name for one in located]
    assert len(names) == 70 and len(set(names)) == 70
    assert names[:3] == ["down.1.0.0", "down.1.0.1", "down.1.1.0"] and "mid.0.9" in names
    assert names[-1] == "up.1.2.1"
    assert {one.layer.heads for one in located} == {10, 20}


def test_names_are_those_of_diffusers(reading, monkeypatch):
    diffusers = pytest.importorskip("diffusers")
    # The pack itself must never import diffusers.
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    layers = import_module("learn_to_steer.hosts.diffusers").attention_layers
    with torch.device("meta"):
        theirs = {
            "sd1": diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8),
            "sd2": diffusers.UNet2DConditionModel(
                cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True
            ),
            "sdxl": diffusers.UNet2DConditionModel(
                cross_attention_dim=2048, attention_head_dim=[5, 10, 20], transformer_layers_per_block=[1, 2, 10],
                block_out_channels=(320, 640, 1280), use_linear_projection=True,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            ),
        }  # fmt: skip
    for name, config in (("sd1", SD1), ("sd2", SD2), ("sdxl", SDXL)):
        mine = [one.layer for one in reading.located_layers(_unet(config, device="meta"))]
        assert [(a.name, a.stage, a.heads) for a in mine] == [
            (b.name, b.stage, b.heads) for b in layers(theirs[name])
        ]


def test_families(reading):
    for width, family in ((768, "sd1"), (1024, "sd2"), (2048, "sdxl"), (99, "custom")):
        config = SimpleNamespace(unet_config={"context_dim": width})
        assert reading.model_family(SimpleNamespace(model_config=config)) == family


@pytest.mark.parametrize("config", [SD1, SD2, SDXL], ids=["sd1", "sd2", "sdxl"])
def test_a_narrow_model_of_the_same_layout_has_gradients(reading, config):
    """Maps of the right shapes, and their slope by finite differences."""
    attention = import_module(f"{PACK}.learn_to_steer.attention")
    gradients = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.gradients.kernels")
    import comfy.patcher_extension

    narrow = {**config, "model_channels": 64, "context_dim": 16}
    if config is not SD1:
        narrow["num_head_channels"] = 32
    if config is SDXL:
        narrow |= {"transformer_depth": [0, 0, 2, 2, 3, 3], "transformer_depth_middle": 3, "adm_in_channels": 8,
                   "transformer_depth_output": [0, 0, 0, 2, 2, 2, 3, 3, 3]}  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        unet = _unet(narrow, dtype=torch.float64).eval()
        for parameter in unet.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(
                noise * (2 / max(1, parameter[0].numel())) ** 0.5 if parameter.ndim > 1 else 1 + 0.1 * noise
            )
    located = reading.located_layers(unet)
    weights = torch.zeros(1, 2, 8, dtype=torch.float64)
    weights[0, 0, 2] = weights[0, 1, 5] = 1.0

    def loss(x):
        recorder = attention.AttentionRecorder(weights, [s.layer for s in located])
        options: dict = {"cond_or_uncond": [0]}
        comfy.patcher_extension.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL,
            "test",
            reading.watching(recorder, located),
            options,
        )
        y = torch.ones(1, 8, dtype=torch.float64) if config is SDXL else None
        try:
            unet(x, torch.tensor([500.0], dtype=torch.float64), context, y, None, options)
        except attention.StopForward:
            pass
        maps = recorder.maps()
        for place, one in zip(located, maps.maps, strict=True):
            assert one.shape[1:3] == (2, place.layer.heads) and one.shape[-1] == one.shape[-2]
        return sum((m * torch.linspace(0, 1, m.shape[-1], dtype=m.dtype)).mean() for m in maps.maps)

    context = torch.randn(1, 8, 16, generator=generator, dtype=torch.float64)
    start = torch.randn(1, 4, 16, 16, generator=generator, dtype=torch.float64)
    with gradients.gradients():
        x = start.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(x), x)
        direction = slope / slope.norm()
        with torch.no_grad():
            step = 1e-4
            measured = (loss(start + step * direction) - loss(start - step * direction)) / (2 * step)
    assert float(measured) == pytest.approx(float(slope.norm()), rel=1e-3)
    assert all(p.is_inference() for p in unet.parameters())
