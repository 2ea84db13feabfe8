"""Boxes: which are of use, and which relation holds between two of them.

Samples are to be clear: a classifier that learns from doubtful ones learns doubt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .base import DIRECTIONS

Box = tuple[float, float, float, float]
"""Left, top, width, height in pixels, y downwards."""

LEAST_SIDE = 32
"""Shortest side of a box that is of use, in pixels (CoMPaSS)."""

CLEAR = 1.5
"""How many times further apart two centres must be along one axis than along the other."""


def box_of(values: object) -> Box | None:
    """Four finite numbers with a positive width and height as a box; None for anything else."""
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)) or len(values) != 4:
        return None
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        return None
    try:
        left, top, width, height = (float(v) for v in values)
    except OverflowError:  # a whole number beyond every float
        return None
    whole = all(math.isfinite(v) for v in (left, top, width, height))
    return (left, top, width, height) if whole and width > 0 and height > 0 else None


def inside(box: Box, width: float, height: float) -> bool:
    """Whether the box lies in a picture of this size, up to a pixel."""
    return box[0] >= -1 and box[1] >= -1 and box[0] + box[2] <= width + 1 and box[1] + box[3] <= height + 1


def area(box: Box) -> float:
    """In square pixels."""
    return box[2] * box[3]


def centre(box: Box) -> tuple[float, float]:
    """x and y in pixels."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def relation_of(a: Box, b: Box) -> int | None:
    """Index into `DIRECTIONS` of the relation in which `a` clearly stands to `b`; None where none does.

    The centres must be `CLEAR` times further apart along one axis than along the other, and along that axis by at least
    half of what would part the boxes.
    """
    (ax, ay), (bx, by) = centre(a), centre(b)
    dx, dy = ax - bx, ay - by
    if abs(dx) >= CLEAR * abs(dy) and abs(dx) >= (a[2] + b[2]) / 4:
        wanted = (int(math.copysign(1, dx)), 0)
    elif abs(dy) >= CLEAR * abs(dx) and abs(dy) >= (a[3] + b[3]) / 4:
        wanted = (0, int(math.copysign(1, dy)))
    else:
        return None
    return next(i for i, direction in enumerate(DIRECTIONS) if direction.signs == wanted)


def clear_pair(a: Box, b: Box, width: float, height: float) -> str | None:
    """None where two boxes of a picture are a clear pair by CoMPaSS' rules, else which rule they break.

    Together at least 0.2 of the picture; centres at most 2 times the smaller box's diagonal apart; overlap under 0.3 of the
    smaller box; the smaller at least half as large as the larger; no side under 32 pixels (Zhang et al. 2024, "CoMPaSS").
    """
    small, large = sorted((a, b), key=area)
    (ax, ay), (bx, by) = centre(a), centre(b)
    if min(*a[2:], *b[2:]) < LEAST_SIDE:
        return f"a box with a side under {LEAST_SIDE} pixels"
    if area(a) + area(b) < 0.2 * width * height:
        return "a pair that fills less than a fifth of its picture"
    if math.hypot(ax - bx, ay - by) > 2 * math.hypot(small[2], small[3]):
        return "a pair that stands far apart"
    if overlap(a, b) >= 0.3 * area(small):
        return "a pair that overlaps"
    if area(small) < 0.5 * area(large):
        return "a pair of unlike sizes"
    return None
