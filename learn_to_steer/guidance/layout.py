"""A layout: where each named object belongs, so that all relations of a prompt hold with room to spare.

The layout is solved before anything is drawn, so relations that cannot all hold are found here. Each relation with a
direction is kept along its axis by a margin and hardly offset across it; objects lie apart and near the middle. What
follows from several relations ("a above b, b above c") needs no mention: it holds by the sum of their margins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import SteeringError
from ..language import Relation, RelationTriplet, canonical_relation, contradiction
from ..objectives import RelationTarget

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of the picture's width and height, 0 to 1, y downwards."""

EDGE = 0.14
"""Places keep this distance from the picture's edges, in shares of a side."""

MARGIN = 0.36
"""Wanted distance of two objects along the axis of their relation, in shares of that side."""

SIDE = 0.5
"""Width and height of an object's place, in shares of the picture's shorter side, where no box gives it."""

_NEAR = 0.42
"""Wanted distance of two objects that are next to each other, in shares of the shorter side."""

_APART = 0.45
"""Wanted distance of any two objects, in shares of the shorter side."""

_SEARCHED = 1024
_REFINED, _ROUNDS = 192, 14


@dataclass(frozen=True)
class Layout:
    """Where the objects of one picture belong.

    places (K, 2): x, y of each object's middle, in shares of the picture's width and height, y downwards. sizes (K, 2):
    width and height of its place, in the same shares. aspect: width of the picture divided by its height. Both arrays
    float64.
    """

    places: np.ndarray
    sizes: np.ndarray
    aspect: float = 1.0

    def __len__(self) -> int:
        return len(self.places)

    @property
    def boxes(self) -> list[Box]:
        """The places as boxes, cut at the picture's edges."""
        low, high = self.places - self.sizes / 2, self.places + self.sizes / 2
        edges = np.concatenate([low, high], 1).clip(0, 1)
        return [tuple(float(x) for x in row) for row in edges]  # type: ignore[misc]

    def to_dict(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Plain lists, ready for JSON."""
        named = list(names) if names is not None else [f"object {i}" for i in range(len(self))]
        return {
            "objects": named,
            "places": self.places.round(4).tolist(),
            "sizes": self.sizes.round(4).tolist(),
            "aspect": self.aspect,
        }


def can_lay_out(relation: str) -> bool:
    """Whether a layout can be solved for this relation: those with a direction in the picture, and "next to"."""
    try:
        known = canonical_relation(relation)
    except SteeringError:
        return False
    return known.signs is not None or known is Relation.NEXT_TO


def solve_layout(
    objects: int,
    relations: Sequence[RelationTarget],
    *,
    boxes: Mapping[int, Box] | None = None,
    near: np.ndarray | None = None,
    aspect: float = 1.0,
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Layout:
    """The places of `objects` object slots in which every relation holds.

    relations: those that :func:`can_lay_out` knows count, others say nothing about places. boxes: slot -> where the user
    wants it, kept as given. near (objects, 2): where objects already are, NaN where that is not known; what is right
    stays there, the rest moves as little as it must. aspect: width of the picture by its height. seed: another seed is
    another layout among the good ones; the same arguments give the same layout. names: words of the slots, for errors.

    Raises SteeringError for relations that cannot all hold, naming them, for a box that is none, and for boxes that
    contradict the relations.
    """
    asked = tuple(
        (t.subject, t.object, canonical_relation(t.relation)) for t in relations if can_lay_out(t.relation)
    )
    words = list(names) if names is not None else [f"object {i + 1}" for i in range(objects)]
    _refuse_contradictions(asked, words)
    fixed = {slot: _checked(box, words[slot]) for slot, box in (boxes or {}).items()}
    key = tuple(sorted(fixed.items()))
    where = None if near is None else tuple(map(tuple, np.asarray(near, float).tolist()))
    places, sizes = _solved(objects, asked, key, where, float(aspect), seed, tuple(words))
    return Layout(places.copy(), sizes.copy(), float(aspect))


def _refuse_contradictions(asked: Sequence[tuple[int, int, Relation]], words: Sequence[str]) -> None:
    spans = [(slot, slot + 1) for slot in range(len(words))]
    triplets = [
        RelationTriplet(words[a], r, words[b], spans[a], spans[b], spans[a], spans[b]) for a, b, r in asked
    ]
    if ring := contradiction(triplets):
        said = ", ".join(f'"{t.subject} {t.relation} {t.object}"' for t in ring)
        raise SteeringError(
            f"Expected relations of which all can be true, got {said}, which cannot all hold; take one out."
        )


def _checked(box: Box, name: str) -> Box:
    values = tuple(float(x) for x in box)
    if len(values) != 4 or not (0 <= values[0] < values[2] <= 1 and 0 <= values[1] < values[3] <= 1):
        raise SteeringError(
            f"Expected the box of {name} as left, top, right, bottom with 0 <= left < right <= 1 and 0 <= "
            "top < bottom <= 1, "
            f"got {', '.join(f'{v:g}' for v in values)}; give shares of the picture's width and height."
        )
    return values  # type: ignore[return-value]


@dataclass(frozen=True)
class _Axis:
    """Along one axis: pairs (first, second, gap) with first + gap <= second, and the room of each object."""

    pairs: list[tuple[int, int, float]]
    low: np.ndarray
    high: np.ndarray

    @property
    def in_a_row(self) -> list[tuple[int, int]]:
        """The pairs of which one object lies between two others. They stand in a line: a step aside, which would take them
        farther apart, is where models push the middle one out of the row."""
        firsts, seconds = {a for a, _, _ in self.pairs}, {b for _, b, _ in self.pairs}
        return [(a, b) for a, b, _ in self.pairs if a in seconds or b in firsts]


@lru_cache(maxsize=256)
def _solved(
    objects: int,
    asked: tuple[tuple[int, int, Relation], ...],
    boxes: tuple[tuple[int, Box], ...],
    near: tuple[tuple[float, float], ...] | None,
    aspect: float,
    seed: int,
    words: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    unit = np.array([min(1.0, 1 / aspect), min(1.0, aspect)])  # the shorter side, in shares of each
    sizes = np.tile(SIDE * unit, (objects, 1))
    given = np.full((objects, 2), np.nan)
    for slot, (left, top, right, bottom) in boxes:
        given[slot] = (left + right) / 2, (top + bottom) / 2
        sizes[slot] = right - left, bottom - top
    axes = [_axis(objects, asked, axis, given[:, axis], words) for axis in (0, 1)]
    rng = np.random.default_rng(seed)
    low, high = (np.stack([getattr(a, side) for a in axes], 1) for side in ("low", "high"))
    tries = rng.uniform(low, high, size=(_SEARCHED, objects, 2))
    tries[0] = (low + high) / 2
    wish = np.array(near, float) if near is not None else np.full((objects, 2), np.nan)
    known = ~np.isnan(wish).any(1)
    wish[~known] = 0.5
    if near is not None:
        tries[1, known] = wish[known].clip(low[known], high[known])

    def score(places: np.ndarray) -> np.ndarray:
        return _score(places, asked, axes, 1 / unit, wish, known)

    best = tries[score(tries).argmax()]
    reach = 0.25
    for _ in range(_ROUNDS):
        moved = best + reach * rng.standard_normal((_REFINED, objects, 2)) * rng.integers(
            0, 2, (_REFINED, objects, 1)
        )
        moved[0] = best
        moved = moved.clip(low, high)
        best = moved[score(moved).argmax()]
        reach *= 0.75
    return _held_apart(best, axes), sizes


def _axis(
    objects: int,
    asked: Sequence[tuple[int, int, Relation]],
    axis: int,
    given: np.ndarray,
    words: Sequence[str],
) -> _Axis:
    """The relations along an axis with the gaps that there is room for, and between which coordinates each object may
    lie: objects of a chain share the room. Raises SteeringError where the boxes leave none."""
    pairs: list[tuple[int, int]] = []
    for a, b, relation in asked:
        if relation.signs is not None and relation.signs[axis]:
            pairs.append((a, b) if relation.signs[axis] < 0 else (b, a))
    pairs = list(dict.fromkeys(pairs))
    boxed = ~np.isnan(given)
    gap = _gap(objects, pairs, given, boxed, words)
    low, high = _bounds(objects, pairs, given, boxed, gap)
    high = np.maximum(low, high)  # a gap found by halving is right to some digits only
    return _Axis([(a, b, gap) for a, b in pairs], low, high)


def _bounds(
    objects: int, pairs: Sequence[tuple[int, int]], given: np.ndarray, boxed: np.ndarray, gap: float
) -> tuple[np.ndarray, np.ndarray]:
    low = np.where(boxed, given, EDGE)
    high = np.where(boxed, given, 1 - EDGE)
    for _ in range(objects):  # longest ways, which a graph without rings has after so many rounds
        for a, b in pairs:
            if not boxed[b]:
                low[b] = max(low[b], low[a] + gap)
            if not boxed[a]:
                high[a] = min(high[a], high[b] - gap)
    return low, high


def _gap(
    objects: int, pairs: Sequence[tuple[int, int]], given: np.ndarray, boxed: np.ndarray, words: Sequence[str]
) -> float:
    """The largest gap up to MARGIN that all pairs can keep at once."""

    def fits(gap: float) -> bool:
        low, high = _bounds(objects, pairs, given, boxed, gap)
        between = all(low[a] + gap <= high[b] + 1e-9 for a, b in pairs)
        return between and bool((low <= high + 1e-9).all())

    if fits(MARGIN):
        return MARGIN
    least, most = 0.0, MARGIN
    for _ in range(24):
        middle = (least + most) / 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    if least < 1e-3:
        named = " and ".join(word for word, fixed in zip(words, boxed, strict=True) if fixed)
        raise SteeringError(
            f"Expected boxes in which the prompt's relations hold, got boxes of {named} that contradict "
            "them; move the boxes "
            "or change the prompt."
        )
    return least


def _score(
    places: np.ndarray,
    asked: Sequence[tuple[int, int, Relation]],
    axes: Sequence[_Axis],
    stretch: np.ndarray,
    wish: np.ndarray,
    known: np.ndarray,
) -> np.ndarray:
    """(n,) how good each of n placements (n, K, 2) is. stretch: shares of each side -> shares of the shorter side."""
    score = np.zeros(len(places))
    for axis, one in enumerate(axes):
        for a, b, gap in one.pairs:
            along = places[:, b, axis] - places[:, a, axis]
            score -= 20 * np.maximum(0, gap - along)
    for a, b, relation in asked:
        offset = (places[:, a] - places[:, b]) * stretch
        if relation.signs is None:
            score -= 8 * np.abs(np.linalg.norm(offset, axis=-1) - _NEAR) + 4 * np.abs(offset[:, 1])
        elif 0 in relation.signs:
            axis = 0 if relation.signs[0] else 1
            along, across = np.abs(offset[:, axis]), np.abs(offset[:, 1 - axis])
            score -= 10 * np.maximum(0, across - 0.4 * along)
    if places.shape[1] > 1:
        wanted = np.full((places.shape[1],) * 2, _APART)
        for a, b in (pair for one in axes for pair in one.in_a_row):
            wanted[a, b] = wanted[b, a] = MARGIN
        np.fill_diagonal(wanted, 1e-9)
        between = (places[:, :, None] - places[:, None]) * stretch
        apart = np.linalg.norm(between, axis=-1) / wanted + np.eye(places.shape[1])
        score += 6 * _APART * np.minimum(apart.min((1, 2)), 1)
    score -= 0.3 * np.abs(places - 0.5).sum((1, 2))
    if known.any():
        score -= 6 * np.abs(places - wish)[:, known].sum((1, 2))
    return score


def _held_apart(places: np.ndarray, axes: Sequence[_Axis]) -> np.ndarray:
    """The same places, moved where a gap is not kept to the last digit: a search ends near its best, not on it."""
    places = places.copy()
    for axis, one in enumerate(axes):
        at = places[:, axis]
        np.clip(at, one.low, one.high, out=at)
        for _ in range(len(at)):  # from the first of each chain on; the bounds leave room for the rest of it
            for a, b, gap in one.pairs:
                at[b] = max(at[b], min(at[a] + gap, one.high[b]))
                at[a] = min(at[a], at[b] - gap)
    return places
