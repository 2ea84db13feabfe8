"""Guided cross-attentions of a UNet of diffusers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ....guidance import folded_key, folded_query, folded_width, mask, sampled_rows
from ..guidance import GuidedProcessor, Place, WideHeads, unwatched
from .unet import _located


def places(unet: Any, height: int, width: int) -> list[Place]:
    """The cross-attentions of a UNet and the grids that they see. height, width: of the latent."""
    found = []
    grids = {"mid": (height, width)}
    size = (height, width)
    levels = [size]
    for block in unet.down_blocks:
        if getattr(block, "downsamplers", None) is not None:
            size = (-(-size[0] // 2), -(-size[1] // 2))
        levels.append(size)
    grids["mid"] = levels[-1]
    sizes_down = levels[:-1]
    sizes_up = _sizes_up(unet, levels)
    for one in _located(unet):
        stage, _, rest = one.layer.name.partition(".")
        grid = grids["mid"]
        if stage == "down":
            grid = sizes_down[int(rest.split(".")[0])]
        elif stage == "up":
            grid = sizes_up[int(rest.split(".")[0])]
        found.append(Place(one.layer, one.attention, *grid))
    return found


def _sizes_up(unet: Any, levels: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The grid of each block on the way up: the sizes of the way down, backwards."""
    below = list(dict.fromkeys(levels))
    at, sizes = len(below) - 1, []
    for block in unet.up_blocks:
        sizes.append(below[at])
        if getattr(block, "upsamplers", None) is not None:
            at -= 1
    return sizes


class GuidedCrossAttention(GuidedProcessor):
    """See `GuidedProcessor`."""

    folds = ("AttnProcessor2_0",)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        return self.called(attn, hidden_states, encoder_hidden_states, attention_mask, temb, *args, **kwargs)

    def guided(
        self,
        attention: Any,
        hidden: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """See `GuidedProcessor.guided`."""
        if encoder_hidden_states is None or encoder_hidden_states.shape[1] != self.guiding.columns.shape[-1]:
            return self.plain(attention, hidden, encoder_hidden_states, attention_mask, *args, **kwargs)
        given: Any = attention
        if self.folding and attention_mask is None and attention.norm_q is None and attention.norm_k is None:
            given = _WideCrossHeads(attention, self)
        else:
            bias = self._mask(attention, hidden, encoder_hidden_states)
            attention_mask = bias if attention_mask is None else attention_mask + bias
        return self.plain(given, hidden, encoder_hidden_states, attention_mask, *args, **kwargs)

    def _mask(self, attention: Any, hidden: Tensor, text: Tensor) -> Tensor:
        """(b * heads, N, T): the bias as the mask that processors take."""
        some = hidden[:, sampled_rows(hidden.shape[1], hidden.device)]
        query = unwatched(attention.to_q, some)
        if getattr(attention, "fused_projections", False):
            key = unwatched(attention.to_kv, text).chunk(2, dim=-1)[0]
        else:
            key = unwatched(attention.to_k, text)
        query, key = (x.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for x in (query, key))
        query = query if attention.norm_q is None else attention.norm_q(query)
        key = key if attention.norm_k is None else attention.norm_k(key)
        columns = self.strong_columns(query, key, attention.scale)
        fields = self.rows(self.fields, len(key))[:, None].expand(-1, attention.heads, -1, -1)
        return mask(fields, columns).flatten(0, 1).to(hidden.dtype)


class _WideCrossHeads(WideHeads):
    """See `WideHeads`."""

    guided: GuidedCrossAttention

    def to_q(self, hidden: Tensor, *args: Any) -> Tensor:
        query = self._by_head(self.own.to_q(hidden, *args))
        self.width = query.shape[-1]
        self.wide = folded_width(self.width, self.guided.fields.shape[1])
        self.some = query[:, :, sampled_rows(query.shape[2], query.device)]
        fields = self.guided.rows(self.guided.fields, len(query))
        return self._together(folded_query(self._longer(query), fields, self.wide, self.wide**-0.5))

    def to_k(self, text: Tensor, *args: Any) -> Tensor:
        key = self._by_head(self.own.to_k(text, *args))
        assert self.some is not None  # queries come first
        columns = self.guided.strong_columns(self.some, key, self.width**-0.5)
        return self._together(folded_key(key, columns, self.wide))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _together(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)
