"""A Flux transformer of diffusers as ComfyUI's Flux class: the same weights under the host's names.

Both have the same layers. The host joins Q, K and V - in single blocks the first layer of the MLP too - into one matrix,
names the rest differently, and keeps shift before scale in its last modulation. Its own loader (`comfy.utils`) knows
checkpoints of the full size only: it takes the MLP to be four times as wide and reads the sizes off a checkpoint's names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from ...errors import SteeringError

_OUTSIDE = {
    "x_embedder": "img_in",
    "context_embedder": "txt_in",
    "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}
_EMBEDDERS = {
    "timestep_embedder": "time_in",
    "text_embedder": "vector_in",
    "guidance_embedder": "guidance_in",
}
for _theirs, _ours in _EMBEDDERS.items():
    _OUTSIDE[f"time_text_embed.{_theirs}.linear_1"] = f"{_ours}.in_layer"
    _OUTSIDE[f"time_text_embed.{_theirs}.linear_2"] = f"{_ours}.out_layer"

_DOUBLE: dict[str, str] = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_SINGLE: dict[str, str] = {
    "norm.linear": "modulation.lin",
    "proj_out": "linear2",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
}
_JOINED: dict[str, dict[str, tuple[str, ...]]] = {
    "double": {
        "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
        "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    },
    "single": {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")},
}
_BLOCK = re.compile(r"(single_)?transformer_blocks\.(\d+)\.(.+)\.(weight|bias)$")


def host_layout(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the host's Flux for a FluxTransformer2DModel's config.json. Latents have `in_channels / 4`
    channels: the host packs 2 x 2 patches itself, the pipeline of diffusers outside the transformer."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    channels = config["in_channels"] // 4
    layout = {
        "in_channels": channels,
        "out_channels": (config.get("out_channels") or config["in_channels"]) // 4,
        "vec_in_dim": config["pooled_projection_dim"],
        "context_in_dim": config["joint_attention_dim"],
        "hidden_size": width,
        "mlp_ratio": 4.0,
        "num_heads": config["num_attention_heads"],
        "depth": config["num_layers"],
        "depth_single_blocks": config["num_single_layers"],
        "axes_dim": list(config["axes_dims_rope"]),
        "theta": 10000,
        "patch_size": 2,
        "qkv_bias": True,
        "guidance_embed": config["guidance_embeds"],
        "txt_ids_dims": [],
    }
    from comfy.ldm.flux.model import FluxParams  # only when a model of this kind is built

    known = {field.name for field in fields(FluxParams)}
    return {name: value for name, value in layout.items() if name in known}


def host_weights(tensors: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """The weights of a FluxTransformer2DModel under the names of the host's Flux.

    tensors: a state dict in diffusers' names. names: of the host's network; older hosts call the weight of an RMS norm
    "scale". The joined matrices are copies, everything else is the tensor given.

    Raises SteeringError where the two sets of names do not match one to one.
    """
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if (block := _BLOCK.match(name)) is not None:
            stage = "single" if block[1] else "double"
            prefix, inner, kind = f"{stage}_blocks.{block[2]}", block[3], block[4]
            joined = next((j for j, sources in _JOINED[stage].items() if inner in sources), None)
            if joined is not None:
                parts.setdefault(f"{prefix}.{joined}.{kind}", {})[inner] = tensor
                continue
            target = (_SINGLE if stage == "single" else _DOUBLE).get(inner)
            host_name = f"{prefix}.{target}.{kind}" if target else name
        else:
            inner, _, kind = name.rpartition(".")
            host_name = f"{_OUTSIDE[inner]}.{kind}" if inner in _OUTSIDE else name
            if inner == "norm_out.linear":
                scale, shift = tensor.chunk(2, dim=0)
                tensor = torch.cat([shift, scale], dim=0)
        if host_name not in names and host_name.endswith("_norm.weight"):
            host_name = host_name.removesuffix("weight") + "scale"
        found[host_name] = tensor
    for host_name, pieces in parts.items():
        stage, joined = host_name.split("_")[0], host_name.split(".", 2)[2].rpartition(".")[0]
        sources = [source for source in _JOINED[stage][joined] if source in pieces]
        found[host_name] = torch.cat([pieces[source] for source in sources], dim=0)
    if odd := sorted(found.keys() ^ set(names)):
        raise SteeringError(
            f"Expected the weights of a Flux transformer in diffusers' layout, but {len(odd)} names do not match the "
            f"host's, such as {odd[0]}; use a FluxTransformer2DModel."
        )
    return found
