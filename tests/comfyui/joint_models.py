"""Tiny models of the host's own joint-attention classes, with random weights, made as the host makes the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK

_LUMINA = {
    "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "n_layers": 3, "n_refiner_layers": 1, "multiple_of": 32,
    "ffn_dim_multiplier": 1.0, "qk_norm": True, "cap_feat_dim": 32, "axes_lens": [300, 64, 64],
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One class of network.

    model: of `comfy.supported_models`. layout: the network's arguments. tokenizer: module and class of the host's text
    encoder. names: of the joint attentions, heads each. before: tokens in front of the text. filled: text and image are
    filled up to a multiple of it. least: a shorter text is filled up in front. channels, size: of its latents, always
    8 x 12 tokens. masked: its text encoder gives a mask. replaceable: the host lets others stand in for its blocks.
    """

    model: str
    layout: dict
    tokenizer: tuple[str, str]
    names: tuple[str, ...]
    heads: int
    channels: int = 16
    size: tuple[int, int] = (16, 24)
    before: int = 0
    filled: int = 1
    least: int = 0
    masked: bool = False
    replaceable: bool = True


KINDS = {
    "sd3": Kind(
        "SD3",
        {
            "depth": 2, "num_blocks": 3, "patch_size": 2, "in_channels": 16, "adm_in_channels": 24, "input_size": None,
            "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 32, "out_features": 128}},
            "pos_embed_max_size": 16, "num_patches": 256, "pos_embed_scaling_factor": None, "qk_norm": "rms",
            "x_block_self_attn_layers": [0, 1],
        },
        ("sd3_clip", "SD3Tokenizer"),
        ("double.0", "double.1", "double.2"),
        heads=2,
        replaceable=False,
    ),
    "qwen": Kind(
        "QwenImage",
        {
            "image_model": "qwen_image", "in_channels": 64, "out_channels": 16, "num_layers": 3, "attention_head_dim": 16,
            "num_attention_heads": 2, "joint_attention_dim": 32, "axes_dims_rope": (4, 6, 6),
        },
        ("qwen_image", "QwenImageTokenizer"),
        ("double.0", "double.1", "double.2"),
        heads=2,
    ),
    # Tokenizers of Flux.2: Mistral's is in its checkpoint, Qwen's is newer than the model. One of the same kind stands in.
    "flux2": Kind(
        "Flux2",
        {
            "image_model": "flux2", "in_channels": 128, "out_channels": 128, "vec_in_dim": None, "context_in_dim": 32,
            "hidden_size": 32, "mlp_ratio": 3.0, "num_heads": 2, "depth": 2, "depth_single_blocks": 2, "theta": 2000,
            "axes_dim": [4, 4, 4, 4], "patch_size": 1, "qkv_bias": False, "guidance_embed": True, "txt_ids_dims": [3],
            "global_modulation": True, "mlp_silu_act": True, "ops_bias": False, "default_ref_method": "index",
            "ref_index_scale": 10.0,
        },
        ("z_image", "ZImageTokenizer"),
        ("double.0", "double.1", "single.0", "single.1"),
        heads=2,
        channels=128,
        size=(8, 12),
        least=512,
    ),
    "zimage": Kind(
        "ZImage",
        _LUMINA
        | {
            "dim": 256, "n_heads": 4, "n_kv_heads": 4, "axes_dims": [16, 24, 24], "z_image_modulation": True,
            "time_scale": 1000.0, "pad_tokens_multiple": 40, "rope_theta": 256.0,
        },
        ("z_image", "ZImageTokenizer"),
        ("single.0", "single.1", "single.2"),
        heads=4,
        filled=40,
        replaceable=False,
    ),
    # Its own tokenizer is in its checkpoint; tokens of another one, of the same kind, stand in.
    "lumina2": Kind(
        "Lumina2",
        _LUMINA | {"dim": 64, "n_heads": 4, "n_kv_heads": 2, "axes_dims": [4, 6, 6]},
        ("omnigen2", "Omnigen2Tokenizer"),
        ("single.0", "single.1", "single.2"),
        heads=4,
        masked=True,
        replaceable=False,
    ),
    "aura": Kind(
        "AuraFlow",
        {
            "in_channels": 4, "out_channels": 4, "patch_size": 2, "dim": 32, "n_layers": 3, "n_double_layers": 2,
            "n_heads": 2, "global_conddim": 32, "cond_seq_dim": 32, "max_seq": 256,
        },
        ("aura_t5", "AuraT5Tokenizer"),
        ("double.0", "double.1", "single.0"),
        heads=2,
        channels=4,
        before=8,
    ),
    "omnigen2": Kind(
        "Omnigen2",
        {
            "image_model": "omnigen2", "in_channels": 16, "hidden_size": 64, "num_layers": 3, "num_refiner_layers": 1,
            "num_attention_heads": 4, "num_kv_heads": 2, "multiple_of": 32, "axes_dim_rope": (4, 6, 6),
            "axes_lens": (300, 64, 64), "text_feat_dim": 32, "timestep_scale": 1000.0,
        },
        ("omnigen2", "Omnigen2Tokenizer"),
        ("single.0", "single.1", "single.2"),
        heads=4,
        masked=True,
        replaceable=False,
    ),
}  # fmt: skip


def host_class(module: str, name: str) -> type:
    """A class of the host; the test is skipped, and says so, where the host has no such model or lacks a file for it."""
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        pytest.skip(f"this host has no {name}")


def tokenizer_of(module: str, name: str) -> SimpleNamespace:
    """A CLIP as far as prompts are read: the host's own tokenizer, without a text encoder."""
    made = host_class(f"comfy.text_encoders.{module}", name)
    try:
        return SimpleNamespace(tokenize=made().tokenize_with_weights, tokenizer=made())
    except OSError as error:
        pytest.skip(f"the host ships no files for {name}: {error}")


def model_of(kind: Kind):
    """A MODEL in float32, its weights made under inference mode as the host's are."""
    import comfy.model_management
    import comfy.model_patcher

    config = host_class("comfy.supported_models", kind.model)(dict(kind.layout))
    config.memory_usage_factor = 1.0
    config.set_inference_dtype(torch.float32, None)
    generator = torch.Generator().manual_seed(6)
    with torch.inference_mode():
        model = config.get_model({}, "")
        network = model.diffusion_model
        for tensor in [*network.parameters(), *network.buffers()]:
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise * tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 1 + 0.1 * noise)
    return comfy.model_patcher.ModelPatcher(
        model.eval(),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def check_slope(loss, start: torch.Tensor) -> None:
    """The gradient of `loss` at `start` has the length that finite differences along it have."""
    with _gradients():
        x = start.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(x), x)
        direction = slope / slope.norm()
        with torch.no_grad():
            step = 0.05
            measured = (loss(start + step * direction) - loss(start - step * direction)) / (2 * step)
    assert float(slope.norm()) > 0
    assert float(measured) == pytest.approx(float(slope.norm()), rel=2e-2)


def check_checkpointing(loss, start: torch.Tensor, keeps_less: bool) -> None:
    """`loss(x, checkpointing)` and its gradient are the same with checkpointing, and less is kept for the gradient."""
    values, slopes, kept = {}, {}, {}
    for checkpointing in (False, True):
        with _gradients():
            x = start.clone().requires_grad_(True)
            values[checkpointing] = loss(x, checkpointing)
            (slopes[checkpointing],) = torch.autograd.grad(values[checkpointing], x)
            sizes = {}

            def keep(tensor, sizes=sizes):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                loss(start.clone().requires_grad_(True), checkpointing)
            kept[checkpointing] = sum(sizes.values())
    assert torch.equal(values[True], values[False])
    assert (slopes[True] - slopes[False]).norm() <= 1e-6 * slopes[False].norm()
    if keeps_less:
        assert kept[True] < 0.7 * kept[False]


def _gradients():
    return import_module(f"{PACK}.learn_to_steer.hosts.comfyui.gradients.kernels").gradients()
