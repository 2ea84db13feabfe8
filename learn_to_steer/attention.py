"""Queries and keys -> cross-attention maps -> what a classifier reads.

A *map* says, for one head of one layer, how much each image position attends to one object's words
(Learn-to-Steer, section on cross-attention maps). Three things live here: the maths of a map
(`attention_maps`), the bookkeeping during a forward pass (`AttentionRecorder`) and the result (`MapStack`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from .errors import SteeringError

Stage = Literal["down", "mid", "up", "double", "single"]
Renormalise = Literal["official", "always"]

_ORDER = {stage: rank for rank, stage in enumerate(get_args(Stage))}
_CHUNK = 1 << 24  # scores held at a time: 64 MiB in fp32


@dataclass(frozen=True)
class AttentionLayer:
    """One attention of a model.

    name: stable and readable, such as "up.1.0". stage: "down" | "mid" | "up" for a UNet's cross-attentions,
    "double" | "single" for a Flux-like transformer's joint attentions. index: place in the order of execution
    over the whole model. heads: number of heads = channels this layer adds to a classifier's input.
    """

    name: str
    stage: Stage
    index: int
    heads: int


class StopForward(Exception):
    """Raised inside a forward pass once everything wanted is recorded; the host that started the pass
    catches it."""


class _ObjectColumns(torch.autograd.Function):
    """softmax over the text tokens, then the objects' columns, without keeping the (rows x tokens) matrix.

    Only Q, K and the result are kept for backward; the scores are computed again there, chunk by chunk.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, weights: Tensor, scale: float) -> Tensor:
        # query (G, N, d), key (G, T, d), weights (G, O, T), G = batch * heads
        out = query.new_empty(query.shape[0], weights.shape[1], query.shape[1], dtype=_wide(query))
        for part in _chunks(query.shape[0], query.shape[1] * key.shape[1]):
            probability = _probabilities(query[part], key[part], scale)
            torch.matmul(weights[part], probability.mT, out=out[part])
        ctx.save_for_backward(query, key, weights, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[override]
        query, key, weights, out = ctx.saved_tensors
        grad_query, grad_key = torch.empty_like(query), torch.empty_like(key)
        for part in _chunks(query.shape[0], query.shape[1] * key.shape[1]):
            probability = _probabilities(query[part], key[part], ctx.scale)
            inner = (grad_out[part] * out[part]).sum(1)[..., None]  # (g, N, 1)
            grad_scores = (
                torch.matmul(grad_out[part].mT, weights[part]).sub_(inner).mul_(probability).mul_(ctx.scale)
            )
            grad_query[part] = torch.matmul(grad_scores, key[part].to(grad_scores.dtype)).to(query.dtype)
            grad_key[part] = torch.matmul(grad_scores.mT, query[part].to(grad_scores.dtype)).to(key.dtype)
        return grad_query, grad_key, None, None


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _chunks(total: int, scores_each: int) -> list[slice]:
    size = max(1, _CHUNK // max(1, scores_each))
    return [slice(i, min(i + size, total)) for i in range(0, total, size)]


def _probabilities(query: Tensor, key: Tensor, scale: float) -> Tensor:
    return torch.matmul(query.to(_wide(query)), key.to(_wide(query)).mT).mul_(scale).softmax(-1)


def attention_maps(query: Tensor, key: Tensor, weights: Tensor, scale: float) -> Tensor:
    """How much each image position attends to each object, per head.

    query (B, heads, N, d): image rows, N = H * W row-major. key (B, heads, T, d): text tokens only.
    weights (B, O, T): see `tokens.token_weights`. scale: usually d ** -0.5.

    Returns (B, O, heads, N) in float32 (float64 for float64 input): softmax(scale * Q K^T) over all T text
    tokens, then the weighted mean over each object's tokens. Differentiable in query and key, once. Never
    holds N x N, and N x T only for a few heads at a time, also in the backward pass.

    Raises SteeringError when the shapes do not fit.
    """
    b, heads, n, d = query.shape
    t = key.shape[2]
    if key.shape != (b, heads, t, d) or weights.ndim != 3 or weights.shape[0] != b or weights.shape[2] != t:
        raise SteeringError(
            f"Expected keys (B, heads, T, d) and weights (B, objects, T) for queries {tuple(query.shape)}, "
            f"got {tuple(key.shape)} and {tuple(weights.shape)}; record text columns only and locate the "
            "objects for the same text length."
        )
    maps = _ObjectColumns.apply(
        query.reshape(b * heads, n, d),
        key.reshape(b * heads, t, d),
        repeat(weights.to(_wide(query)), "b o t -> (b heads) o t", heads=heads),
        float(scale),
    )
    return rearrange(maps, "(b heads) o n -> b o heads n", heads=heads)


@dataclass(frozen=True)
class MapStack:
    """The recorded maps of one forward pass: `maps[i]` is (B, O, heads, H, W) float32 and belongs to
    `layers[i]`.

    Maps are raw: not resized, not renormalised. `stacked` makes a classifier's input of them.
    """

    layers: tuple[AttentionLayer, ...]
    maps: tuple[Tensor, ...]

    @property
    def channels(self) -> int:
        """Heads of all layers together: C of `stacked`."""
        return sum(m.shape[2] for m in self.maps)

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.maps[0].shape[0]

    def select(self, names: Collection[str] | None) -> MapStack:
        """Only the layers with these names (None: all). Raises SteeringError for a layer that was not
        recorded."""
        if names is None:
            return self
        require_layers(names, [layer.name for layer in self.layers])
        kept = [i for i, layer in enumerate(self.layers) if layer.name in names]
        return MapStack(tuple(self.layers[i] for i in kept), tuple(self.maps[i] for i in kept))

    def ordered(self) -> MapStack:
        """The official channel order: lowest resolution first; within it down, mid, up (or double, single),
        each in execution order; the heads of a layer stay together (Learn-to-Steer)."""
        order = sorted(
            range(len(self.layers)),
            key=lambda i: (
                self.maps[i].shape[-2] * self.maps[i].shape[-1],
                _ORDER[self.layers[i].stage],
                self.layers[i].index,
            ),
        )
        return MapStack(tuple(self.layers[i] for i in order), tuple(self.maps[i] for i in order))

    def stacked(self, map_size: int, renormalise: Renormalise = "official") -> Tensor:
        """All maps as one tensor (B, O, C, S, S) float32, S = map_size, channels as in `ordered`.

        Maps are resized (bilinear, align_corners=False; a map that is not square becomes square) and divided
        by their own sum + 1e-8. "official": where all maps already are S x S nothing is resized *and nothing
        is renormalised*, as the authors' classifiers expect. "always": every map is renormalised, whatever
        its size.

        Raises SteeringError when nothing was recorded.
        """
        if not self.maps:
            raise SteeringError(
                "Expected at least one recorded attention layer, got none; check the layer names."
            )
        maps = self.ordered().maps
        if renormalise == "official" and all(m.shape[-2:] == (map_size, map_size) for m in maps):
            return torch.cat(maps, dim=2)
        return torch.cat([normalised(resized(m, map_size)) for m in maps], dim=2)


def resized(maps: Tensor, map_size: int) -> Tensor:
    """(B, O, C, H, W) -> (B, O, C, S, S), bilinear, align_corners=False; untouched where H = W = S."""
    if maps.shape[-2:] == (map_size, map_size):
        return maps
    flat = rearrange(maps, "b o c h w -> (b o) c h w")
    flat = F.interpolate(flat, (map_size, map_size), mode="bilinear", align_corners=False)
    return rearrange(flat, "(b o) c h w -> b o c h w", b=maps.shape[0])


def normalised(maps: Tensor) -> Tensor:
    """Each map (..., H, W) divided by its own sum + 1e-8."""
    return maps / (maps.sum((-2, -1), keepdim=True) + 1e-8)


def require_layers(names: Collection[str], known: Collection[str]) -> None:
    """Raises SteeringError unless every one of `names` is among `known`."""
    missing = [name for name in names if name not in known]
    if missing:
        raise SteeringError(
            f"Expected attention layers among {', '.join(known)}, got {', '.join(missing)}; use an "
            "objective made for this model or choose its layers from this list."
        )


class AttentionRecorder:
    """Collects the maps of one forward pass and ends the pass when nothing more is wanted.

    weights: (B, O, T), see `tokens.token_weights`; B rows of the pass that is watched.
    model_layers: every attention of the model, in execution order. read: names of those to read (None: all).
    stop: raise StopForward from `record` after the last wanted layer, so that the rest of the model is not
    run.

    Raises SteeringError for names the model does not have. Use one recorder for one pass.
    """

    def __init__(
        self,
        weights: Tensor,
        model_layers: Sequence[AttentionLayer],
        read: Collection[str] | None = None,
        stop: bool = True,
    ) -> None:
        if read is not None:
            require_layers(read, [layer.name for layer in model_layers])
        self.weights = weights
        self.stop = stop
        self._wanted = [layer for layer in model_layers if read is None or layer.name in read]
        self._maps: dict[str, Tensor] = {}
        if not self._wanted:
            raise SteeringError(
                "Expected at least one attention layer to read, got none; name layers of this model."
            )

    @property
    def done(self) -> bool:
        """True once every wanted layer is recorded."""
        return len(self._maps) == len(self._wanted)

    def wants(self, layer: AttentionLayer) -> bool:
        """Whether this layer's Q and K are still to be recorded."""
        return layer.name not in self._maps and any(w.name == layer.name for w in self._wanted)

    def record(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, scale: float, height: int, width: int
    ) -> None:
        """Take one layer's maps. query (B, heads, height * width, d), key (B, heads, T, d): text tokens only.

        Raises StopForward after the last wanted layer (where `stop`), SteeringError when shapes do not fit.
        """
        if not self.wants(layer):
            return
        if query.shape[2] != height * width:
            raise SteeringError(
                f"Expected {height} x {width} image positions in layer {layer.name}, got {query.shape[2]} "
                "queries; this model arranges its image tokens in a way this host does not know."
            )
        maps = attention_maps(query, key, self.weights.to(query.device), scale)
        self._maps[layer.name] = rearrange(maps, "b o heads (h w) -> b o heads h w", h=height)
        if self.stop and self.done:
            raise StopForward

    def take(self, layer: AttentionLayer) -> Tensor:
        """Take back one layer's maps, which then count as not recorded: what a block that is run a second time needs.

        Raises KeyError for a layer that is not recorded.
        """
        return self._maps.pop(layer.name)

    def put(self, layer: AttentionLayer, maps: Tensor) -> None:
        """Give back what :meth:`take` took, or the same maps with another history."""
        self._maps[layer.name] = maps

    def maps(self) -> MapStack:
        """What was recorded. Raises SteeringError when the pass ended before every wanted layer had its
        turn."""
        missing = [layer.name for layer in self._wanted if layer.name not in self._maps]
        if missing:
            raise SteeringError(
                f"Expected the model to run the attention layers {', '.join(missing)}, but it did not; "
                "check that the objective's layers belong to this model."
            )
        return MapStack(tuple(self._wanted), tuple(self._maps[layer.name] for layer in self._wanted))
