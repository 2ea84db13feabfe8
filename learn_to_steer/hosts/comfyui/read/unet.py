"""Reading a UNet of ComfyUI: where its cross-attentions are, and how Q and K are taken from each.

Q and K are taken where the host offers them: in `patches_replace["attn2"]`, chained to a patch that is already there.
`evaluation.py` puts this in place around one pass of the model only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from einops import rearrange
from torch import Tensor

from ....attention import AttentionLayer, AttentionRecorder
from ....errors import SteeringError
from ..gradients.kernels import attention_function, differentiable_attention
from .host_classes import is_a, is_exactly
from .located import LocatedLayer, fit_rows, fit_text

_PARTS = "modules.diffusionmodules.openaimodel."

NETWORKS = (f"{_PARTS}UNetModel",)
"""Names of the host's classes that this module reads."""


def located_layers(unet: Any) -> list[LocatedLayer]:
    """The cross-attentions of a host UNet in execution order, under the names they have in diffusers' layout
    ("down.1.0", "mid.0", "up.2.1", with ".<transformer block>" behind where there is more than one).

    Raises SteeringError for a UNet without cross-attentions over images.
    """
    found: list[LocatedLayer] = []
    level = 0
    for number, block in enumerate(unet.input_blocks):
        if any(is_a(part, f"{_PARTS}Downsample") or getattr(part, "updown", False) for part in block):
            level += 1
        _collect(found, block, ("input", number), "down", f"down.{level}")
    if unet.middle_block is not None:
        _collect(found, unet.middle_block, ("middle", 0), "mid", "mid")
    level = 0
    for number, block in enumerate(unet.output_blocks):
        _collect(found, block, ("output", number), "up", f"up.{level}")
        if any(is_a(part, f"{_PARTS}Upsample") or getattr(part, "updown", False) for part in block):
            level += 1
    if not found:
        raise SteeringError(
            "Expected a UNet that attends to text, got one without cross-attention; choose another model."
        )
    return found


def calls_wrappers(unet: Any) -> bool:
    """True: a UNet calls the host's wrappers around its own forward pass."""
    return True


def _collect(found: list[LocatedLayer], block: Any, place: tuple[str, int], stage: Any, prefix: str) -> None:
    for part in block:
        if not is_exactly(part, "modules.attention.SpatialTransformer"):
            continue
        earlier = {s.layer.name.removeprefix(f"{prefix}.").split(".")[0] for s in found if _of(s, prefix)}
        inner = part.transformer_blocks
        for k, transformer in enumerate(inner):
            if transformer.attn2 is None:
                continue
            name = f"{prefix}.{len(earlier)}" + (f".{k}" if len(inner) > 1 else "")
            layer = AttentionLayer(name, stage, len(found), transformer.attn2.heads)
            found.append(LocatedLayer(layer, (*place, k)))


def _of(one: LocatedLayer, prefix: str) -> bool:
    return one.layer.name.startswith(f"{prefix}.")


def listen(
    recorder: AttentionRecorder,
    located: Sequence[LocatedLayer],
    network: Any,
    given: dict[str, Any],
    options: dict[str, Any],
    gradients: bool = True,
) -> None:
    """Hang recording into the transformer options of one pass. given: the network's arguments. gradients: attention has a
    derivative; without, the host's own kernels do it."""
    if gradients:
        override = options.get("optimized_attention_override")
        options["optimized_attention_override"] = differentiable_attention(override)
    replace = dict(options.get("patches_replace", {}))
    attn2 = dict(replace.get("attn2", {}))
    for one in located:
        if recorder.wants(one.layer):
            there = attn2.get(one.block, attn2.get(one.block[:2]))
            attn2[one.block] = _listen(one.layer, recorder, there)
    replace["attn2"] = attn2
    options["patches_replace"] = replace


def _listen(
    layer: AttentionLayer, recorder: AttentionRecorder, there: Callable[..., Tensor] | None
) -> Callable[..., Tensor]:
    """An attn2 replacement that records and then does what would have been done without it."""

    def patch(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        heads = extra["n_heads"]
        query, key = (rearrange(t, "b n (heads d) -> b heads n d", heads=heads) for t in (q, k))
        height, width = extra["activations_shape"][-2:]
        fit_rows(recorder, query.shape[0])
        fit_text(recorder, key.shape[2])
        recorder.record(layer, query, key, query.shape[-1] ** -0.5, height, width)
        if there is not None:
            return there(q, k, v, extra)
        return attention_function("optimized_attention")(
            q, k, v, heads, attn_precision=extra.get("attn_precision"), transformer_options=extra
        )

    return patch
