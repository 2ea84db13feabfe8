"""Reading a UNet of diffusers (UNet2DConditionModel): the maps of its cross-attentions, layer by layer.

Q and K are taken by forward hooks on the projections of each cross-attention, so whatever attention processor
is in place (LoRA, IP-Adapter, xformers) stays in place; the hooks are gone when an evaluation ends, however it
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ....attention import AttentionLayer, AttentionRecorder, MapStack, StopForward
from ...families import UNET_FAMILIES
from ...modules import hooked
from ..evaluating import checkpointed, unchecked


@dataclass(frozen=True)
class _LocatedAttention:
    """One cross-attention, the transformer block that it is a part of, and the module around that block that knows the
    grid's height and width."""

    layer: AttentionLayer
    attention: nn.Module
    block: nn.Module
    around: nn.Module


def attention_layers(unet: Any) -> list[AttentionLayer]:
    """The cross-attentions of a UNet2DConditionModel in execution order, named "down.<block>.<attention>",
    "mid.<attention>" or "up.<block>.<attention>", with ".<transformer block>" behind where there is more than
    one of these."""
    return [one.layer for one in _located(unet)]


def model_family(unet: Any) -> str:
    """The family by the width of the text states: "sd1", "sd2", "sdxl", else "custom"."""
    width = unet.config.cross_attention_dim
    return UNET_FAMILIES.get(width, "custom") if isinstance(width, int) else "custom"


def _located(unet: Any) -> list[_LocatedAttention]:
    found: list[_LocatedAttention] = []
    stages = [("down", f"down.{i}", block) for i, block in enumerate(unet.down_blocks)]
    stages += [("mid", "mid", unet.mid_block)] if unet.mid_block is not None else []
    stages += [("up", f"up.{i}", block) for i, block in enumerate(unet.up_blocks)]
    for stage, prefix, block in stages:
        for j, transformer in enumerate(getattr(block, "attentions", None) or ()):
            inner = getattr(transformer, "transformer_blocks", ())
            for k, part in enumerate(inner):
                attention = getattr(part, "attn2", None)
                if attention is None:
                    continue
                name = f"{prefix}.{j}" + (f".{k}" if len(inner) > 1 else "")
                layer = AttentionLayer(name, stage, len(found), attention.heads)  # type: ignore[arg-type]
                found.append(_LocatedAttention(layer, attention, part, transformer))
    return found


def record_unet(
    unet: Any,
    latents: Tensor,
    timestep: Tensor | float,
    context: Tensor,
    weights: Tensor,
    layers: Sequence[str] | None = None,
    stop: bool = True,
    **unet_arguments: Any,
) -> MapStack:
    """The cross-attention maps of one forward pass (the conditional branch only).

    latents (B, c, h, w): the model's input, already scaled for `timestep`; may require a gradient. context
    (B, T, width). weights (B, O, T): see `tokens.token_weights`. layers: names to read, None = all. stop: end
    the pass after the last of them. unet_arguments: further arguments of the UNet's forward.

    Where the UNet's gradient checkpointing is enabled, only what enters its blocks is kept for the backward pass.

    Raises SteeringError for layers the UNet does not have. No hook is left behind, whatever happens.
    """
    located = _located(unet)
    recorder = AttentionRecorder(weights, [one.layer for one in located], layers, stop)
    last = [one.block for one in located if recorder.wants(one.layer)][-1]
    with hooked(listen(unet, recorder)), checkpointed(unet, last if stop else None):
        try:
            unet(latents, timestep, encoder_hidden_states=context, return_dict=False, **unet_arguments)
        except StopForward:
            pass
    return recorder.maps()


def listen(unet: Any, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
    """Hooks that hand Q and K of the wanted layers to a recorder, until they are removed."""
    handles: list[torch.utils.hooks.RemovableHandle] = []
    for one in _located(unet):
        if recorder.wants(one.layer):
            _listen(one, recorder, handles)
    return handles


def _listen(
    one: _LocatedAttention, recorder: AttentionRecorder, handles: list[torch.utils.hooks.RemovableHandle]
) -> None:
    attention: Any = one.attention
    grid: list[int] = []
    seen: dict[str, Tensor] = {}

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        grid[:] = (args[0] if args else kwargs["hidden_states"]).shape[-2:]

    def take(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            seen[name] = output
            if len(seen) == 2:
                # Not a part of the block, so not of what checkpointing drops and runs again.
                with unchecked():
                    map_of(seen.pop("query"), seen.pop("key"))

        def map_of(query: Tensor, key: Tensor) -> None:
            if fused:
                key = key.chunk(2, dim=-1)[0]
            query, key = (
                rearrange(x, "b n (heads d) -> b heads n d", heads=attention.heads) for x in (query, key)
            )
            if getattr(attention, "norm_q", None) is not None:
                query = attention.norm_q(query)
            if getattr(attention, "norm_k", None) is not None:
                key = attention.norm_k(key)
            with torch.autocast(query.device.type, enabled=False):
                recorder.record(one.layer, query, key, attention.scale, grid[0], grid[1])

        return hook

    fused = bool(getattr(attention, "fused_projections", False))
    handles.append(one.around.register_forward_pre_hook(enter, with_kwargs=True))
    handles.append(attention.to_q.register_forward_hook(take("query")))
    handles.append((attention.to_kv if fused else attention.to_k).register_forward_hook(take("key")))
