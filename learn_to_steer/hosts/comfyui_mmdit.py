"""Reading a joint-attention transformer of ComfyUI (Flux, Chroma): image rows x text columns of each block.

Q and K, normed and rotated, reach `optimized_attention` with text first and image after it. They are taken there, by an
`optimized_attention_override` that is chained to one that is already in place. Only image queries and text keys are kept
(Learn-to-Steer: the joint logits are cut to the text columns before the softmax).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy.ldm.chroma.model import Chroma
from comfy.ldm.flux.model import Flux
from einops import rearrange
from torch import Tensor

from ..attention import AttentionLayer, AttentionRecorder
from ..errors import SteeringError
from .comfyui_gradients import differentiable_attention
from .comfyui_site import Site, fit_text

NETWORKS = (Flux, Chroma)
"""The host's classes that this module reads."""


def attention_sites(network: Any) -> list[Site]:
    """The joint attentions in execution order, named as in diffusers: "double.0", ..., then "single.0", ..."""
    found: list[Site] = []
    for stage, blocks in (("double", network.double_blocks), ("single", network.single_blocks)):
        for i, block in enumerate(blocks):
            layer = AttentionLayer(f"{stage}.{i}", stage, len(found), int(block.num_heads))  # type: ignore[arg-type]
            found.append(Site(layer, (stage, i, 0)))
    return found


def listen(
    recorder: AttentionRecorder,
    sites: Sequence[Site],
    network: Any,
    given: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Hang recording into the transformer options of one pass. given: the network's arguments, of which `x`
    (b, c, h, w) and `context` (b, T, width) say how the tokens are arranged.

    Raises SteeringError, here or in the pass, for text of another length and for tokens that are neither.
    """
    text, patch = given["context"].shape[1], network.patch_size
    fit_text(recorder, text)
    grid = _grid(given["x"], patch)
    pictures = [grid, *(_grid(reference, patch) for reference in given.get("ref_latents") or ())]
    expected = text + sum(height * width for height, width in pictures)
    attend = differentiable_attention(options.get("optimized_attention_override"))
    by_place = {site.block[:2]: site.layer for site in sites}
    calls = 0

    def override(func: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kw: Any) -> Tensor:
        nonlocal calls
        layer = _layer(by_place, sites, kw.get("transformer_options") or {}, calls)
        calls += 1
        if layer is not None and recorder.wants(layer):
            query, key = (t if kw.get("skip_reshape") else _by_head(t, heads) for t in (q, k))
            if query.shape[2] != expected:
                raise SteeringError(
                    f"Expected {text} text and {expected - text} image tokens in block {layer.name}, got "
                    f"{query.shape[2]} tokens; remove the node that adds tokens to this model."
                )
            rows = query[:, :, text : text + grid[0] * grid[1]]
            scale = kw.get("scale") or query.shape[-1] ** -0.5
            recorder.record(layer, rows, key[:, :, :text], scale, *grid)
        return attend(func, q, k, v, heads, *args, **kw)

    options["optimized_attention_override"] = override


def _grid(picture: Tensor, patch: int) -> tuple[int, int]:
    """Height and width in tokens of latents (..., h, w), which the model pads to whole patches."""
    return -(-picture.shape[-2] // patch), -(-picture.shape[-1] // patch)


def _by_head(x: Tensor, heads: int) -> Tensor:
    return rearrange(x, "b n (heads d) -> b heads n d", heads=heads)


def _layer(
    by_place: dict[tuple[str, int], AttentionLayer],
    sites: Sequence[Site],
    options: dict[str, Any],
    calls: int,
) -> AttentionLayer | None:
    """Which block is calling: the host says so, and where it does not (0.3.64) the calls are counted."""
    if "block_type" in options and "block_index" in options:
        return by_place.get((options["block_type"], options["block_index"]))
    return sites[calls].layer if calls < len(sites) else None
