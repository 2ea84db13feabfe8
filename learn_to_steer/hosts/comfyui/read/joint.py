"""Reading a joint-attention transformer of ComfyUI: image rows x text columns of each block.

Q and K, normed and rotated, reach `optimized_attention` together; where text and image stand in them is the business of
`layouts.py`. They are taken there, by an `optimized_attention_override` that is chained to one that is already in
place. Only image queries and text keys are kept (Learn-to-Steer: the joint logits are cut to the text columns before the
softmax); a mask of text tokens is heeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ....attention import AttentionLayer, AttentionRecorder
from ....errors import SteeringError
from ..gradients.kernels import differentiable_attention
from .layouts import LAYOUTS, Arrangement, arrangement, blocks_of, layout_of
from .located import LocatedLayer, fit_rows, fit_text

NETWORKS = tuple(layout.network for layout in LAYOUTS)
"""Names of the host's classes that this module reads."""

located_layers = blocks_of


def calls_wrappers(network: Any) -> bool:
    """Whether the network calls the host's wrappers around its own forward pass."""
    return layout_of(network).wrapped


def listen(
    recorder: AttentionRecorder,
    located: Sequence[LocatedLayer],
    network: Any,
    given: dict[str, Any],
    options: dict[str, Any],
    gradients: bool = True,
) -> None:
    """Hang recording into the transformer options of one pass. given: the network's arguments, of which `x`
    (b, c, h, w) and `context` (b, T, width) say how the tokens are arranged. gradients: attention has a derivative;
    without, the host's own kernels do it.

    Raises SteeringError, here or in the pass, for text of another length, for tokens that are neither text nor image, and
    for a mask that differs from image token to image token.
    """
    text = given["context"].shape[1]
    fit_text(recorder, text, layout_of(network).padded_in_front(network))
    place = arrangement(network, text, given["x"], given.get("ref_latents") or ())
    there = options.get("optimized_attention_override")
    attend = differentiable_attention(there) if gradients else there or _by_the_host
    by_place = {one.block[:2]: one.layer for one in located}
    calls = 0

    def override(func: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kw: Any) -> Tensor:
        nonlocal calls
        said = kw.get("transformer_options") or {}
        tokens = q.shape[2 if kw.get("skip_reshape") else 1]
        if tokens != place.total and tokens in place.streams:
            return attend(func, q, k, v, heads, *args, **kw)
        layer = block_calling(by_place, located, said, calls)
        calls += 1
        if layer is not None and recorder.wants(layer):
            if tokens != place.total:
                raise SteeringError(
                    f"Expected {text} text and {place.total - text} image tokens in block {layer.name}, got "
                    f"{tokens} tokens; remove the node that adds tokens to this model."
                )
            fit_rows(recorder, q.shape[0])
            query, key = (t if kw.get("skip_reshape") else _by_head(t, heads) for t in (q, k))
            scale = kw.get("scale") or query.shape[-1] ** -0.5
            mask = args[0] if args else kw.get("mask")
            query, key = _image_and_text(query, key, place, mask, scale)
            recorder.record(layer, query, key, scale, *place.grid)
        return attend(func, q, k, v, heads, *args, **kw)

    options["optimized_attention_override"] = override


def _by_the_host(func: Callable[..., Tensor], *args: Any, **kw: Any) -> Tensor:
    return func(*args, **kw)


def _image_and_text(
    query: Tensor, key: Tensor, place: Arrangement, mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Image rows of the queries (b, heads, N, d) and text columns of the keys (b, heads, T, d).

    With a mask both get one more dimension, 1 and bias / scale, whose product adds the mask's bias to the logits.
    """
    rows, columns = query[:, :, place.image], key[:, :, place.text]
    if columns.shape[1] != rows.shape[1]:  # several heads of queries share one of keys
        columns = columns.repeat_interleave(rows.shape[1] // columns.shape[1], 1)
    if mask is None:
        return rows, columns
    bias = _bias(mask, place).div(scale).clamp(-3e4, 3e4).to(columns.dtype)
    bias = bias.mT.expand(*columns.shape[:3], 1)
    return torch.cat([rows, torch.ones_like(rows[..., :1])], -1), torch.cat([columns, bias], -1)


def _bias(mask: Tensor, place: Arrangement) -> Tensor:
    """(b or 1, heads or 1, 1, T): what an attention mask adds to the logits of every image row."""
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim == 3:
        mask = mask[:, None]
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))
    mask = mask[..., place.text].float()
    mask = mask if mask.shape[2] == 1 else mask[:, :, place.image]
    if not torch.equal(mask, mask[:, :, :1].expand_as(mask)):
        raise SteeringError(
            "Expected an attention mask that hides the same text from every image token, got one that differs among them; "
            "remove the node that masks attention by region."
        )
    return mask[:, :, :1]


def _by_head(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "b n (heads d) -> b heads n d", heads=heads)


def block_calling(
    by_place: dict[tuple[str, int], AttentionLayer],
    located: Sequence[LocatedLayer],
    options: dict[str, Any],
    calls: int,
) -> AttentionLayer | None:
    """Which block is calling: the host says so, and where it does not (all of 0.3.64, Stable Diffusion 3 everywhere) the
    joint attentions are counted."""
    if "block_type" in options and "block_index" in options:
        return by_place.get((options["block_type"], options["block_index"]))
    return located[calls].layer if calls < len(located) else None
