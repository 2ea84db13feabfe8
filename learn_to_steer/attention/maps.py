"""Queries and keys -> cross-attention maps.

A *map* says, for one head of one layer, how much each image position attends to one object's words (Learn-to-Steer,
section on cross-attention maps).
"""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from ..errors import SteeringError

_CHUNK = 1 << 24  # scores held at a time: 64 MiB in fp32


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
