"""Guided joint attentions of a Flux transformer of diffusers: image rows x text columns, in double and single blocks.

The rotation of positions turns the channels of queries and keys after they are folded: the further channels are given the
angle 0.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ....guidance import folded_key, folded_query, folded_width, mask, sampled_rows
from ..guidance import GuidedProcessor, Place, WideHeads, narrow_heads, unwatched, wide_heads
from .transformer import _rotated, flux_attention_layers

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines (T + N, d)."""


def places(transformer: Any, height: int, width: int) -> list[Place]:
    """The joint attentions of a transformer. height, width: of the picture in tokens."""
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    layers = flux_attention_layers(transformer)
    return [Place(layer, block.attn, height, width) for layer, block in zip(layers, blocks, strict=True)]


class GuidedJointAttention(GuidedProcessor):
    """See `GuidedProcessor`."""

    folds = ("FluxAttnProcessor",)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotation | None = None,
    ) -> Any:
        return self.called(attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)

    def guided(
        self,
        attention: Any,
        hidden: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotation | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """See `GuidedProcessor.guided`."""
        text = self.guiding.columns.shape[-1]
        tokens = hidden.shape[1] + (
            encoder_hidden_states.shape[1] if encoder_hidden_states is not None else 0
        )
        if tokens != text + self.fields.shape[-1]:
            given = encoder_hidden_states, attention_mask, image_rotary_emb
            return self.plain(attention, hidden, *given, *args, **kwargs)
        fused = bool(getattr(attention, "fused_projections", False))
        if self.folding and attention_mask is None and not fused:
            wide = _WideJointHeads(attention, self, encoder_hidden_states is None, image_rotary_emb)
            result = self.plain(wide, hidden, encoder_hidden_states, None, wide.rotation(), *args, **kwargs)
            # A single block projects outside of its attention.
            return result if isinstance(result, tuple) else narrow_heads(result, wide.heads, wide.width)
        bias = self._mask(attention, hidden, encoder_hidden_states, image_rotary_emb, fused)
        attention_mask = bias if attention_mask is None else attention_mask + bias
        return self.plain(
            attention, hidden, encoder_hidden_states, attention_mask, image_rotary_emb, *args, **kwargs
        )

    def turned_columns(self, query: Tensor, key: Tensor, where: Tensor, rotation: Rotation | None) -> Tensor:
        """As `strong_columns`, of what is not rotated yet. query (b, heads, n, d): the image rows `where`; key (b, heads,
        T, d): the text's."""
        text = key.shape[2]
        if rotation is not None:
            cos, sin = rotation
            query = _rotated(query, cos[text:][where], sin[text:][where])
            key = _rotated(key, cos[:text], sin[:text])
        return self.strong_columns(query, key, query.shape[-1] ** -0.5)

    def _mask(
        self, attention: Any, hidden: Tensor, states: Tensor | None, rotation: Rotation | None, fused: bool
    ) -> Tensor:
        """(b, heads, T + N, T + N): the bias as the mask that processors take, where no better way is known."""
        heads, length = attention.heads, self.guiding.columns.shape[-1]
        image, text = (hidden[:, length:], hidden[:, :length]) if states is None else (hidden, states)
        where = sampled_rows(image.shape[1], image.device)
        if fused:
            query = unwatched(attention.to_qkv, image[:, where]).chunk(3, dim=-1)[0]
            project = attention.to_qkv if states is None else attention.to_added_qkv
            key = unwatched(project, text).chunk(3, dim=-1)[1]
        else:
            query = unwatched(attention.to_q, image[:, where])
            key = unwatched(attention.to_k if states is None else attention.add_k_proj, text)
        query, key = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key))
        query = unwatched(attention.norm_q, query)
        key = unwatched(attention.norm_k if states is None else attention.norm_added_k, key)
        columns = self.turned_columns(query, key, where, rotation)
        fields = self.rows(self.fields, len(key))[:, None].expand(-1, heads, -1, -1)
        bias = mask(fields, columns).to(hidden.dtype)
        return F.pad(bias, (0, image.shape[1], length, 0))


class _WideJointHeads(WideHeads):
    """See `WideHeads`. single: text and image come as one sequence, text first."""

    guided: GuidedJointAttention

    def __init__(
        self, attention: Any, guided: GuidedJointAttention, single: bool, rotation: Rotation | None
    ) -> None:
        super().__init__(attention, guided)
        self.single, self._rotation = single, rotation
        self.width = attention.to_q.out_features // attention.heads
        self.wide = folded_width(self.width, guided.fields.shape[1])
        self.head_dim = self.wide
        self.text = guided.guiding.columns.shape[-1]
        self.where: Tensor | None = None

    def rotation(self) -> Rotation | None:
        """The same rotation, and none of the further channels."""
        if self._rotation is None:
            return None
        cos, sin = self._rotation
        more = (0, self.wide - self.width)
        return F.pad(cos, more, value=1.0), F.pad(sin, more)

    def to_q(self, x: Tensor) -> Tensor:
        return wide_heads(self.own.to_q(x), self.heads, self.wide)

    def to_k(self, x: Tensor) -> Tensor:
        return wide_heads(self.own.to_k(x), self.heads, self.wide)

    def add_q_proj(self, x: Tensor) -> Tensor:
        return wide_heads(self.own.add_q_proj(x), self.heads, self.wide)

    def add_k_proj(self, x: Tensor) -> Tensor:
        return wide_heads(self.own.add_k_proj(x), self.heads, self.wide)

    def add_v_proj(self, x: Tensor) -> Tensor:
        return wide_heads(self.own.add_v_proj(x), self.heads, self.wide)

    def norm_q(self, query: Tensor) -> Tensor:
        """The image's queries, of a single block the text's before them. (b, n, heads, wide)."""
        query = self.own.norm_q(query[..., : self.width]).transpose(1, 2)
        fields = self.guided.rows(self.guided.fields, len(query))
        before = self.text if self.single else 0
        self.where = sampled_rows(query.shape[2] - before, query.device)
        self.some = query[:, :, before + self.where]
        return folded_query(
            self._longer(query), F.pad(fields, (before, 0)), self.wide, self.wide**-0.5
        ).transpose(1, 2)

    def norm_added_q(self, query: Tensor) -> Tensor:
        return F.pad(
            self._longer(self.own.norm_added_q(query[..., : self.width])), (0, self.wide - self.width)
        )

    def norm_k(self, key: Tensor) -> Tensor:
        key = self.own.norm_k(key[..., : self.width])
        if not self.single:
            return F.pad(key, (0, self.wide - self.width))
        return self._folded(key.transpose(1, 2))

    def norm_added_k(self, key: Tensor) -> Tensor:
        return self._folded(self.own.norm_added_k(key[..., : self.width]).transpose(1, 2))

    def to_add_out(self, x: Tensor) -> Tensor:
        return self.own.to_add_out(narrow_heads(x, self.heads, self.width))

    def _folded(self, key: Tensor) -> Tensor:
        """Keys (b, heads, n, d), the text's first, with the columns folded in."""
        assert self.some is not None and self.where is not None
        columns = self.guided.turned_columns(self.some, key[:, :, : self.text], self.where, self._rotation)
        columns = F.pad(columns, (0, key.shape[2] - self.text))
        return folded_key(key, columns, self.wide).transpose(1, 2)
