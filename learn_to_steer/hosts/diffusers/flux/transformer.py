"""Reading a Flux transformer of diffusers (FluxTransformer2DModel): image rows x text columns of its joint
attention.

Q and K are taken by forward hooks after their RMS norms, RoPE is applied to them here as the model's
processor does, and only image queries and text keys are kept (Learn-to-Steer: the joint logits are cut to the
text columns before the softmax). No processor is replaced; the hooks are gone when an evaluation ends, however it
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models import embeddings
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn

from ....attention import AttentionLayer, AttentionRecorder, MapStack, StopForward
from ....errors import SteeringError
from ...families import FLUX_LAYOUT
from ...modules import hooked
from ..evaluating import checkpointed, unchecked


def flux_attention_layers(transformer: Any) -> list[AttentionLayer]:
    """Joint attentions in execution order: "double.0", ..., then "single.0", ..."""
    layers: list[AttentionLayer] = []
    for stage, blocks in (
        ("double", transformer.transformer_blocks),
        ("single", transformer.single_transformer_blocks),
    ):
        for i, block in enumerate(blocks):
            heads = int(block.attn.heads)
            layers.append(AttentionLayer(f"{stage}.{i}", stage, len(layers), heads))  # type: ignore[arg-type]
    return layers


def flux_family(transformer: Any) -> str:
    """ "flux" for the layout of FLUX.1 (19 + 38 blocks of 24 heads), else "custom"."""
    blocks = len(transformer.transformer_blocks), len(transformer.single_transformer_blocks)
    return "flux" if (*blocks, transformer.config.num_attention_heads) == FLUX_LAYOUT else "custom"


def record_flux(
    transformer: Any,
    latents: Tensor,
    timestep: Tensor,
    context: Tensor,
    weights: Tensor,
    height: int,
    width: int,
    layers: Sequence[str] | None = None,
    stop: bool = True,
    **transformer_arguments: Any,
) -> MapStack:
    """The maps of one forward pass.

    latents (B, height * width, channels): packed, row-major; may require a gradient. timestep (B,): 1..0.
    context (B, T, width): T5 states. weights (B, O, T): see `tokens.token_weights`. height, width: of the
    packed grid. layers: names to read, None = all. stop: end the pass after the last of them.
    transformer_arguments: pooled_projections, img_ids, txt_ids, guidance, ...

    Where the transformer's gradient checkpointing is enabled, only each block's input is kept for the backward pass,
    and the block is run again there: at one megapixel the activations of all blocks are larger than the weights.

    Raises SteeringError for layers the transformer does not have and for text states that do not fit the
    weights.
    """
    if context.shape[1] != weights.shape[2]:
        raise SteeringError(
            f"Expected token weights for {context.shape[1]} text tokens, got {weights.shape[2]}; locate the "
            "objects for the length the text is padded to."
        )
    names = flux_attention_layers(transformer)
    recorder = AttentionRecorder(weights, names, layers, stop)
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    last = max(i for i, layer in enumerate(names) if recorder.wants(layer))
    listening = hooked(listen(transformer, context.shape[1], (height, width), recorder))
    with listening, checkpointed(transformer, blocks[last] if stop else None):
        try:
            transformer(
                hidden_states=latents,
                encoder_hidden_states=context,
                timestep=timestep,
                return_dict=False,
                **transformer_arguments,
            )
        except StopForward:
            pass
    return recorder.maps()


def listen(
    transformer: Any, text: int, grid: tuple[int, int], recorder: AttentionRecorder
) -> list[torch.utils.hooks.RemovableHandle]:
    """Hooks that hand Q and K of the wanted layers to a recorder, until they are removed. text: tokens. grid: height
    and width of the picture in tokens."""
    handles: list[torch.utils.hooks.RemovableHandle] = []
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    for layer, block in zip(flux_attention_layers(transformer), blocks, strict=True):
        if recorder.wants(layer):
            _listen(layer, block.attn, text, recorder, grid, handles)
    return handles


def _listen(
    layer: AttentionLayer,
    attention: Any,
    text: int,
    recorder: AttentionRecorder,
    grid: tuple[int, int],
    handles: list[torch.utils.hooks.RemovableHandle],
) -> None:
    seen: dict[str, Any] = {}
    heads_first = isinstance(attention, Attention)  # before diffusers had an attention of Flux's own

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen["rope"] = kwargs.get("image_rotary_emb", args[3] if len(args) > 3 else None)

    def take(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            seen[name] = output if heads_first else rearrange(output, "b n heads d -> b heads n d")
            if "query" not in seen or "key" not in seen:
                return
            query, key, rope = seen.pop("query"), seen.pop("key"), seen.pop("rope")
            # Not a part of the block, so not of what checkpointing drops and runs again.
            with unchecked():
                map_of(query, key, rope)

        def map_of(query: Tensor, key: Tensor, rope: Any) -> None:
            if layer.stage == "single":  # one sequence, text first
                query, key = query[:, :, text:], key[:, :, :text]
            if rope is not None:
                cos, sin = rope  # (T + N, d) each
                query = _rotated(query, cos[text:], sin[text:])
                key = _rotated(key, cos[:text], sin[:text])
            with torch.autocast(query.device.type, enabled=False):
                recorder.record(layer, query, key, query.shape[-1] ** -0.5, *grid)

        return hook

    text_key = attention.norm_added_k if layer.stage == "double" else attention.norm_k
    handles.append(attention.register_forward_pre_hook(enter, with_kwargs=True))
    handles.append(attention.norm_q.register_forward_hook(take("query")))
    handles.append(text_key.register_forward_hook(take("key")))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding as the model's own processor applies it. x (B, heads, n, d), cos and sin (n, d)."""
    rotate: Any = embeddings.apply_rotary_emb
    return rotate(x, (cos, sin))
