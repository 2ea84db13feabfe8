"""The bias: on the image-to-text logits of an object's words, up where it belongs and down everywhere else.

It is kept in factors: a field over the picture for each object, and the columns of its words. What is added to the logit of
position n and token t is the sum over objects k of field_k(n) * column_k(t), so it has one rank an object and fits into as
many further channels of queries and keys. Any attention kernel can then do it, and no matrix of image x text is made.

The background may have a field as well, on the tokens before the first object and behind the last one: the text's begin,
style and scenery. In a causal text encoder such as CLIP's every token knows of the words before it, the end and the padding
of the whole prompt; a position that is kept from an object's own words finds it there and paints it a second time. The
begin knows of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import Layout

MULTIPLE = 8
"""Widths of heads that fast kernels take are multiples of this."""


def peaks(layout: Layout, height: int, width: int, spread: float) -> Tensor:
    """(K, height * width) float32, row-major: a peak of height 1 at each object's place. spread: its standard deviation, in
    widths of the place."""
    if not len(layout):
        return torch.zeros(0, height * width)
    places, sizes = (torch.from_numpy(x).float() for x in (layout.places, layout.sizes))
    xs = (torch.arange(width) + 0.5) / width
    ys = (torch.arange(height) + 0.5) / height
    across = ((xs - places[:, :1]) / (spread * sizes[:, :1])).square()[:, None]
    down = ((ys - places[:, 1:]) / (spread * sizes[:, 1:])).square()[:, :, None]
    return torch.exp(-(across + down) / 2).flatten(1)


def object_fields(layout: Layout, height: int, width: int, spread: float) -> Tensor:
    """(K, height * width) float32: 1 in the middle of each object's place, -1 far from it, along its peak."""
    return 2 * peaks(layout, height, width, spread) - 1


def hard_fields(layout: Layout, height: int, width: int) -> Tensor:
    """(K, height * width) float32: 0 at positions whose middle lies in the object's place, -1 at all others."""
    places, sizes = (torch.from_numpy(x).float() for x in (layout.places, layout.sizes))
    xs = (torch.arange(width) + 0.5) / width
    ys = (torch.arange(height) + 0.5) / height
    across = (xs - places[:, :1]).abs() <= sizes[:, :1] / 2
    down = (ys - places[:, 1:]).abs() <= sizes[:, 1:] / 2
    return (down[:, :, None] & across[:, None]).flatten(1).float() - 1


def background_field(layout: Layout, height: int, width: int, spread: float) -> Tensor:
    """(height * width,) float32: 1 far from every place, 0 in the middle of one. Without places nothing is background."""
    if not len(layout):
        return torch.zeros(height * width)
    return 1 - peaks(layout, height, width, spread).amax(0)


def token_columns(positions: Sequence[Sequence[Sequence[int]]], length: int) -> Tensor:
    """(B, K, T) float32: 1 at each token of an object's words, else 0. positions: per image, per object. length: T."""
    most = max((len(image) for image in positions), default=0)
    columns = torch.zeros(len(positions), most, length)
    for b, image in enumerate(positions):
        for k, tokens in enumerate(image):
            columns[b, k, list(tokens)] = 1.0
    return columns


def folded_width(width: int, objects: int) -> int:
    """Channels of a head after folding: K more, and up to the next multiple of 8."""
    return -(-(width + objects) // MULTIPLE) * MULTIPLE


def folded(
    query: Tensor, key: Tensor, scale: float, fields: Tensor, columns: Tensor, *, by_width: bool = False
) -> tuple[Tensor, Tensor]:
    """Query and key with further channels, whose product holds the bias.

    query (B, heads, N, d), key (B, heads, T, d), any float dtype. scale: of the logits, usually d ** -0.5. fields (B,
    K, N) or (B, heads, K, N), columns (B, K, T) or (B, heads, K, T): the bias is sum_k fields[k, n] * columns[k, t],
    see the top of this file.

    Returns query' (B, heads, N, d') and key' (B, heads, T, d') with query' key'^T * scale = query key^T * scale + bias;
    d' is `folded_width`. by_width: for kernels that cannot be told a scale and take d' ** -0.5 themselves; the queries
    then make up for it. Kernels that want values as wide as keys are given `widened` values; `narrowed` cuts their
    result, whose further channels are 0.
    """
    width = query.shape[-1]
    wide = folded_width(width, columns.shape[1])
    if by_width:
        query, scale_given = query * (scale * wide**0.5), wide**-0.5
    else:
        scale_given = scale
    return folded_query(query, fields, wide, scale_given), folded_key(key, columns, wide)


def folded_query(query: Tensor, fields: Tensor, wide: int, scale: float) -> Tensor:
    """The query's half of :func:`folded`. scale: the one that the kernel multiplies logits by."""
    fields = fields if fields.ndim == 4 else fields[:, None]
    more = (fields / scale).mT.to(query.dtype).expand(*query.shape[:3], -1)
    return F.pad(torch.cat([query, more], -1), (0, wide - query.shape[-1] - more.shape[-1]))


def folded_key(key: Tensor, columns: Tensor, wide: int) -> Tensor:
    """The key's half of :func:`folded`."""
    columns = columns if columns.ndim == 4 else columns[:, None]
    more = columns.mT.to(key.dtype).expand(*key.shape[:3], -1)
    return F.pad(torch.cat([key, more], -1), (0, wide - key.shape[-1] - more.shape[-1]))


def widened(value: Tensor, wide: int) -> Tensor:
    """Values (..., d) with zeros behind, up to `wide` channels."""
    return F.pad(value, (0, wide - value.shape[-1]))


def narrowed(output: Tensor, width: int) -> Tensor:
    """The first `width` channels of what came out of :func:`widened` values."""
    return output[..., :width]


def mask(fields: Tensor, columns: Tensor) -> Tensor:
    """The bias as a matrix to add to the logits, for kernels that take no further channels: (B, N, T), or (B, heads, N, T)
    where one of them has heads. Image x text, so only where it cannot be folded."""
    if fields.ndim == 4 or columns.ndim == 4:
        fields, columns = (x if x.ndim == 4 else x[:, None] for x in (fields, columns))
    return torch.matmul(fields.mT, columns)
