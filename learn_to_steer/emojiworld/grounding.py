"""A noun attends to its object: the part of the generator's loss that ties words to places.

Left alone, a small UNet learns to draw some of its objects without ever asking *where* their word is meant: the
maps of "sunflower" or "frog" were as strong beside the object as on it, and no classifier can read a relation out of
such maps. Large text-to-image models have maps that outline the objects (DAAM, Tang et al., ACL 2023). The token loss
of TokenCompose (Wang et al., CVPR 2024) teaches it: (1 - share of a noun's attention inside its object) ** 2. It says
nothing about relation words, which stay as badly understood as the captions leave them.

These a small model does not find by itself at all, however true the captions: text states without a trace of them give
the UNet nothing to use, and a UNet that uses nothing gives the text encoder nothing to learn from. `placing_loss` breaks
this circle: a linear layer, thrown away after training, must tell from a noun's text state where its object stands. Maps
then follow the words too, and a classifier reads those under wrong words less well; the shipped UNet was made without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import FluxTransformer2DModel, UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor

from ..attention.positions import find_runs
from .world import IMAGE_SIZE, Scene

OBJECTS_AT_MOST = 5

GROUNDED = ("double.1", "double.2", "double.3")
"""Blocks whose nouns learn to attend to their object: early ones, so that an evaluation can end early."""


class _Keeping:
    """What was attended to in the last pass: probabilities (B * heads, image positions, text tokens), None before."""

    def __init__(self) -> None:
        self.probabilities: Tensor | None = None


class GroundedAttention(_Keeping):
    """A cross-attention by plain matrix products that also keeps its probabilities."""

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: object
    ) -> Tensor:
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        self.probabilities = attn.get_attention_scores(query, key)
        mixed = attn.batch_to_head_dim(torch.bmm(self.probabilities.to(value.dtype), value))
        return attn.to_out[1](attn.to_out[0](mixed))


def ground(unet: UNet2DConditionModel) -> list[GroundedAttention]:
    """Make the cross-attentions of the up blocks keep their probabilities; all attentions become plain products."""
    processors = {
        name: GroundedAttention() if name.startswith("up_blocks") and "attn2" in name else AttnProcessor()
        for name in unet.attn_processors
    }
    unet.set_attn_processor(dict(processors))
    return [p for p in processors.values() if isinstance(p, GroundedAttention)]


class GroundedJointAttention(_Keeping):
    """A joint attention of a double block that also keeps its image rows x text columns: softmax over the text
    tokens, (B * heads, image tokens, text tokens), as steering reads them."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        def by_head(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1))

        text = encoder_hidden_states.shape[1]
        image_qk = (
            attn.norm_q(by_head(attn.to_q(hidden_states))),
            attn.norm_k(by_head(attn.to_k(hidden_states))),
        )
        text_qk = (
            attn.norm_added_q(by_head(attn.add_q_proj(encoder_hidden_states))),
            attn.norm_added_k(by_head(attn.add_k_proj(encoder_hidden_states))),
        )
        values = by_head(attn.add_v_proj(encoder_hidden_states)), by_head(attn.to_v(hidden_states))
        query, key = (torch.cat(pair, dim=1) for pair in zip(text_qk, image_qk, strict=True))
        if image_rotary_emb is not None:
            query = apply_rotary_emb(query, image_rotary_emb, sequence_dim=1)
            key = apply_rotary_emb(key, image_rotary_emb, sequence_dim=1)
        query, key, value = (x.transpose(1, 2) for x in (query, key, torch.cat(values, dim=1)))
        scores = query[:, :, text:] @ key[:, :, :text].mT * query.shape[-1] ** -0.5
        self.probabilities = scores.float().softmax(-1).flatten(0, 1)
        mixed = F.scaled_dot_product_attention(query, key, value.to(query.dtype), attn_mask=attention_mask)
        mixed = mixed.transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](mixed[:, text:])), attn.to_add_out(mixed[:, :text])


def ground_joint(
    transformer: FluxTransformer2DModel, names: Sequence[str] = GROUNDED
) -> list[GroundedJointAttention]:
    """Make these double blocks keep their probabilities."""
    kept = []
    for name in names:
        processor = GroundedJointAttention()
        transformer.transformer_blocks[int(name.removeprefix("double."))].attn.set_processor(processor)
        kept.append(processor)
    return kept


def scene_boxes(scenes: Sequence[Scene]) -> Tensor:
    """(N, 5, 4) float32: x0, x1, y0, y1 of each object as fractions of the picture; zeros where there is none."""
    boxes = torch.zeros(len(scenes), OBJECTS_AT_MOST, 4)
    for i, scene in enumerate(scenes):
        for j, box in enumerate(placed.box for placed in scene.objects):
            edges = (
                box.x - box.width / 2,
                box.x + box.width / 2,
                box.y - box.height / 2,
                box.y + box.height / 2,
            )
            boxes[i, j] = torch.tensor(edges) / IMAGE_SIZE
    return boxes


def noun_tokens(ids: Tensor, scenes: Sequence[Scene], words: dict[str, list[int]]) -> Tensor:
    """(B, 5, T) averaging weights over each object's tokens in its caption; zeros where the caption does not name it.

    ids (B, T): the captions. words: token ids of each object's name.
    """
    weights = torch.zeros(len(scenes), OBJECTS_AT_MOST, ids.shape[1])
    for i, (caption, scene) in enumerate(zip(ids.tolist(), scenes, strict=True)):
        for j, placed in enumerate(scene.objects):
            word = words[placed.name]
            for start in find_runs(caption, word)[:1]:
                weights[i, j, start : start + len(word)] = 1 / len(word)
    return weights


def grounding_loss(probabilities: Sequence[Tensor], nouns: Tensor, boxes: Tensor) -> Tensor:
    """Mean of (1 - share of attention inside the object) ** 2 over layers and named objects; scalar float32.

    probabilities: per layer (B * heads, H * W, T), square grids; heads are averaged first. nouns (B, 5, T): see
    :func:`noun_tokens`. boxes (B, 5, 4): see :func:`scene_boxes`.
    """
    named = nouns.sum(-1)
    total = nouns.new_zeros(())
    for layer in probabilities:
        heads = layer.float().unflatten(0, (len(nouns), -1)).mean(1)
        maps = torch.einsum("bot,bnt->bon", nouns, heads)
        inside = (maps * _coverage(boxes, round(maps.shape[-1] ** 0.5)).flatten(2)).sum(-1)
        share = inside / (maps.sum(-1) + 1e-8)
        total = total + ((1 - share) ** 2 * named).sum() / named.sum().clamp(min=1)
    return total / len(probabilities)


def placing_loss(places: Tensor, nouns: Tensor, boxes: Tensor) -> Tensor:
    """Mean squared error of the centres of the named objects, in picture widths; scalar float32.

    places (B, T, 2): x and y as told from each token's state. nouns (B, 5, T): see :func:`noun_tokens`. boxes (B, 5, 4):
    see :func:`scene_boxes`.
    """
    named = nouns.sum(-1)
    told = torch.einsum("bot,btc->boc", nouns, places.float())
    centres = boxes.unflatten(-1, (2, 2)).mean(-1)
    return (((told - centres) ** 2).sum(-1) * named).sum() / named.sum().clamp(min=1)


def _coverage(boxes: Tensor, size: int) -> Tensor:
    """(B, O, size, size): how much of each cell of the grid lies inside the box, 0..1."""
    cells = torch.arange(size, dtype=boxes.dtype, device=boxes.device)
    low, high = boxes[..., 0::2, None] * size, boxes[..., 1::2, None] * size  # (B, O, 2, 1): x and y
    covered = F.relu(torch.minimum(high, cells + 1) - torch.maximum(low, cells))
    return covered[..., 1, :, None] * covered[..., 0, None, :]
