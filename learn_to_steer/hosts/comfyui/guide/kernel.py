"""An attention of the host with a bias on some of its logits, done by the kernel that would have done it anyway.

The bias is folded into further channels of queries and keys (`guidance.bias`), so that no matrix of image x text is made
and fast kernels stay in use. The host's kernels want values as wide as keys; what comes out of the further channels is cut
off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ....guidance import folded_width
from ..gradients.kernels import attention_function

Attend = Callable[..., Tensor]
"""Called as an `optimized_attention_override` is: (kernel, q, k, v, heads, ..., keywords)."""

WIDEST = 128
"""Quantising kernels take no wider heads: they fail, or complain at every call."""

_QUANTISING = ("sage", "int8")

_LIFT = 4.0
"""Size of a key's further channels: about that of its others, so that kernels which quantise a row of queries or keys by
its largest element stay as precise as they are (error 1.2 times the plain one, with channels of 1 it is 3 to 4 times)."""


@dataclass(frozen=True)
class Bias:
    """What is added to the logits of one attention: at image position n and text token t the sum over k of
    fields[..., k, n] * columns[k, t].

    rows: of the batch. queries, keys: where the image and the text stand among the tokens. fields (b, heads, K, N), columns
    (b, K, T): of these b rows.
    """

    rows: slice
    queries: slice
    keys: slice
    fields: Tensor
    columns: Tensor


def by_head(x: Tensor, heads: int, is_by_head: bool) -> Tensor:
    """(b, heads, tokens, d): a view of (b, tokens, heads * d); `x` itself where it is by head already."""
    return x if is_by_head else x.unflatten(-1, (heads, -1)).transpose(1, 2)


def with_bias(
    attend: Attend | None, func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias,
    *args: Any, **kw: Any,
) -> Tensor:  # fmt: skip
    """What `func(q, k, v, heads, *args, **kw)` gives, with the bias on its logits.

    attend: the override of another pack; it is given all rows (None: there is none, rows without a bias are computed as
    ever). Where it refuses wider heads, it is given what it knows, and what the bias changes is added to its result.
    """
    if attend is None:
        return _in_parts(_fitting(func, q, heads, bias, kw), q, k, v, heads, bias, *args, **kw)
    try:
        wide = _fitting(func, q, heads, bias, kw)
        return _folded(lambda *a, **more: attend(wide, *a, **more), q, k, v, heads, bias, *args, **kw)
    except comfy.model_management.OOM_EXCEPTION:
        raise
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError):
        plain = attend(func, q, k, v, heads, *args, **kw)
        return with_difference(plain, q, k, v, heads, bias, *args, **kw)


def with_difference(
    result: Tensor, q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias, *args: Any, **kw: Any
) -> Tensor:
    """The result of another pack's attention, and what the bias changes of the plain attention over these rows. Two more
    calls of PyTorch's attention, of the guided rows only."""
    kernel = _pytorch()
    kw["_inside_attn_wrapper"] = True  # the host's word for "no override"
    rows = bias.rows
    args, kw = _rows_of_mask(args, kw, len(q), rows)
    q, k, v = q[rows], k[rows], v[rows]
    change = _folded(kernel, q, k, v, heads, _moved_to_front(bias), *args, **kw)
    change = change - kernel(q, k, v, heads, *args, **kw)
    result = result.clone()
    result[rows] += change
    return result


def _pytorch() -> Callable[..., Tensor]:
    kernel = attention_function("attention_pytorch")
    return getattr(kernel, "__wrapped__", kernel)


def _fitting(
    func: Callable[..., Tensor], q: Tensor, heads: int, bias: Bias, kw: dict[str, Any]
) -> Callable[..., Tensor]:
    """The host's kernel, or PyTorch's where the host's does not take heads as wide as these become."""
    width = q.shape[-1] if kw.get("skip_reshape") else q.shape[-1] // heads
    quantises = any(word in getattr(func, "__name__", "") for word in _QUANTISING)
    return _pytorch() if quantises and folded_width(width, bias.columns.shape[1]) > WIDEST else func


def _in_parts(
    func: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    bias: Bias,
    *args: Any,
    **kw: Any,
) -> Tensor:
    """The guided rows with the bias, those before and behind them as ever."""
    begin, end, _ = bias.rows.indices(len(q))
    done: list[Tensor] = []
    for low, high in ((0, begin), (begin, end), (end, len(q))):
        if low == high:
            continue
        rows = slice(low, high)
        own_args, own_kw = _rows_of_mask(args, kw, len(q), rows)
        part = q[rows], k[rows], v[rows]
        if low == begin and high == end:
            done.append(_folded(func, *part, heads, _moved_to_front(bias), *own_args, **own_kw))
        else:
            done.append(func(*part, heads, *own_args, **own_kw))
    return done[0] if len(done) == 1 else torch.cat(done)


def _moved_to_front(bias: Bias) -> Bias:
    return Bias(slice(None), bias.queries, bias.keys, bias.fields, bias.columns)


def _rows_of_mask(
    args: tuple[Any, ...], kw: dict[str, Any], batch: int, rows: slice
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with the mask's own rows, where it has a row for each of the batch."""

    def cut(mask: Any) -> Any:
        own = isinstance(mask, Tensor) and mask.ndim > 2 and mask.shape[0] == batch
        return mask[rows] if own else mask

    if args:
        args = (cut(args[0]), *args[1:])
    return args, {**kw, "mask": cut(kw["mask"])} if "mask" in kw else kw


def _folded(
    attend: Callable[..., Tensor],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    bias: Bias,
    *args: Any,
    **kw: Any,
) -> Tensor:
    """One call of an attention with wider heads. Kernels that are told no scale take that of the wider heads, which the
    queries make up for; each object gets as many of the spare channels as there are."""
    split = bool(kw.get("skip_reshape"))
    width = q.shape[-1] if split else q.shape[-1] // heads
    objects = bias.columns.shape[1]
    wide = folded_width(width, objects)
    scale = kw.get("scale") or wide**-0.5
    shares = (wide - width) // objects
    own = slice(width, width + objects * shares)

    query = _widened(q, width, wide, split, 1.0 if kw.get("scale") else (wide / width) ** 0.5)
    fields = (bias.fields / (scale * shares * _LIFT)).to(q.dtype).mT
    by_head(query, heads, split)[bias.rows][:, :, bias.queries, own] = fields.repeat(1, 1, 1, shares)
    key = _widened(k, width, wide, split)
    columns = (bias.columns * _LIFT).to(k.dtype).mT[:, None]
    by_head(key, key.shape[-1] // wide, split)[bias.rows][:, :, bias.keys, own] = columns.repeat(
        1, 1, 1, shares
    )
    out = attend(query, key, _widened(v, width, wide, split), heads, *args, **kw)
    if kw.get("skip_output_reshape"):
        return out[..., :width]
    return out.unflatten(-1, (heads, wide))[..., :width].flatten(2)


def _widened(x: Tensor, width: int, wide: int, split: bool, factor: float = 1.0) -> Tensor:
    """Heads of `width` channels, times a factor, with zeros behind up to `wide`. x (..., d) by head, or (..., heads *
    d)."""
    heads = x if split else x.unflatten(-1, (-1, width))
    out = x.new_empty(*heads.shape[:-1], wide)
    torch.mul(heads, factor, out=out[..., :width]) if factor != 1 else out[..., :width].copy_(heads)
    out[..., width:] = 0
    return out if split else out.flatten(-2)
