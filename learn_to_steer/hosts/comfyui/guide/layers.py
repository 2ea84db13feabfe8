"""Where the bias is put into a pass of a host model: the attentions that are read, reached in the same ways (`read/`).

UNets: `patches_replace["attn2"]`, joint attention: `optimized_attention_override`, each chained to what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from ....attention import AttentionLayer
from ....guidance import AttentionGuidance, logit_spread, sampled_rows
from ..gradients.kernels import attention_function
from ..read import joint, unet
from ..read.host_classes import is_a
from ..read.layouts import Arrangement, arrangement, layout_of
from ..read.located import LocatedLayer, fitted
from .kernel import Bias, by_head, with_bias, with_difference


class GuidedPass:
    """What is guided in one pass of the model.

    guidance: the run's state. columns (b, K, T), tokens (b, 1, T): those of the objects and of the whole prompt in the
    conditioning's text. layers: names of the layers to guide. rows: of the pass that are the images', of `total` rows.
    missed: hears of attention that could not be guided, in a sentence.
    """

    def __init__(
        self,
        guidance: AttentionGuidance,
        columns: Tensor,
        tokens: Tensor,
        layers: Collection[str],
        rows: slice,
        total: int,
        missed: Callable[[str], None],
    ) -> None:
        self.guidance, self.layers = guidance, frozenset(layers)
        self._text = torch.cat([columns, tokens], 1)
        self.rows, self.total, self.missed = rows, total, missed
        self._fields: dict[tuple[int, int], Tensor] = {}
        self._of_length: dict[int, Tensor] = {}

    def wants(self, layer: AttentionLayer | None) -> bool:
        """Whether this layer is guided."""
        return layer is not None and layer.name in self.layers

    def fits(self, q: Tensor, images: int, grid: tuple[int, int]) -> bool:
        """Whether an attention has the rows of the pass and the image's tokens; says so where it has not."""
        if q.shape[0] != self.total:
            self.missed(
                f"Attention was not guided where another node gives it {q.shape[0]} rows instead of {self.total} (regional "
                "prompts, attention couple)."
            )
            return False
        if images != grid[0] * grid[1]:
            self.missed("Attention was not guided where another node changes the number of image tokens.")
            return False
        return True

    def bias(
        self, query: Tensor, key: Tensor, scale: float, place: Arrangement, padded_in_front: bool = False
    ) -> Bias:
        """The bias of a layer. query (B, heads, tokens, d), key (B, heads or fewer, tokens, d): of the whole attention."""
        images = place.image.start, place.grid[0] * place.grid[1]
        some = images[0] + sampled_rows(images[1], query.device)
        rows, columns = query[self.rows][:, :, some], key[self.rows, :, place.text]
        text = self._fitted(columns.shape[2], padded_in_front, query.device)
        if columns.shape[1] != rows.shape[1]:  # several heads of queries share one of keys
            columns = columns.repeat_interleave(rows.shape[1] // columns.shape[1], 1)
        spread = logit_spread(rows, columns, scale, text[:, -1])
        if place.grid not in self._fields:
            fields = self.guidance.fields(*place.grid).to(query.device)
            self._fields[place.grid] = self.guidance.strength * fields[:, None]
        return Bias(
            self.rows,
            place.image,
            place.text,
            self._fields[place.grid] * spread[..., None, None],
            text[:, :-1],
        )

    def _fitted(self, tokens: int, padded_in_front: bool, device: torch.device) -> Tensor:
        """Columns, and the prompt's tokens behind them, in the text that an attention is given."""
        if tokens not in self._of_length:
            self._of_length[tokens] = fitted(self._text, tokens, padded_in_front).to(device)
        return self._of_length[tokens]


def hang(
    guided: GuidedPass,
    located: Sequence[LocatedLayer],
    network: Any,
    given: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Hang the bias into the transformer options of one pass, which are changed in place.

    given: `x` (B, c, h, w), `context` (B, T, width) and `ref_latents` of the pass.
    """
    (_hang_cross if is_a(network, unet.NETWORKS) else _hang_joint)(guided, located, network, given, options)


def _hang_cross(
    guided: GuidedPass, located: Sequence[LocatedLayer], network: Any, given: dict[str, Any], options: dict[str, Any]
) -> None:  # fmt: skip
    replace = dict(options.get("patches_replace", {}))
    attn2 = dict(replace.get("attn2", {}))
    for one in located:
        if guided.wants(one.layer):
            there = attn2.get(one.block, attn2.get(one.block[:2]))
            attn2[one.block] = _cross(guided, there)
    replace["attn2"] = attn2
    options["patches_replace"] = replace


def _cross(guided: GuidedPass, there: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    @torch.compiler.disable
    def patch(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        heads, grid = extra["n_heads"], tuple(extra["activations_shape"][-2:])
        host = attention_function("optimized_attention")
        more = {"attn_precision": extra.get("attn_precision"), "transformer_options": extra}
        if not guided.fits(q, q.shape[1], grid):
            return there(q, k, v, extra) if there is not None else host(q, k, v, heads, **more)
        query, key = (by_head(t, heads, False) for t in (q, k))
        whole = Arrangement(slice(0, k.shape[1]), slice(0, q.shape[1]), 0, (0, 0), grid)
        bias = guided.bias(query, key, query.shape[-1] ** -0.5, whole)
        if there is not None:
            return with_difference(there(q, k, v, extra), q, k, v, heads, bias, **more)
        others = (lambda _, *a, **kw: host(*a, **kw)) if "optimized_attention_override" in extra else None
        return with_bias(others, host, q, k, v, heads, bias, **more)

    return patch


def _hang_joint(
    guided: GuidedPass, located: Sequence[LocatedLayer], network: Any, given: dict[str, Any], options: dict[str, Any]
) -> None:  # fmt: skip
    there = options.get("optimized_attention_override")
    text, padded = given["context"].shape[1], layout_of(network).padded_in_front(network)
    place = arrangement(network, text, given["x"], given.get("ref_latents") or ())
    by_place = {one.block[:2]: one.layer for one in located}
    calls = 0

    @torch.compiler.disable
    def override(func: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kw: Any) -> Tensor:
        nonlocal calls
        is_by_head = bool(kw.get("skip_reshape"))
        tokens, layer = q.shape[2 if is_by_head else 1], None
        if tokens == place.total or tokens not in place.streams:
            layer = joint.block_calling(by_place, located, kw.get("transformer_options") or {}, calls)
            calls += 1
        images = tokens - place.total + place.grid[0] * place.grid[1]
        if layer is None or not guided.wants(layer) or not guided.fits(q, images, place.grid):
            return there(func, q, k, v, heads, *args, **kw) if there else func(q, k, v, heads, *args, **kw)
        query = by_head(q, heads, is_by_head)
        key = k if is_by_head else k.unflatten(-1, (-1, query.shape[-1])).transpose(1, 2)
        bias = guided.bias(query, key, kw.get("scale") or query.shape[-1] ** -0.5, place, padded)
        return with_bias(there, func, q, k, v, heads, bias, *args, **kw)

    options["optimized_attention_override"] = override
