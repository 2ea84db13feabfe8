"""Can all relations of a prompt hold at once? "A left of B" and "A right of B" cannot, nor can a ring of lefts."""

from __future__ import annotations

from collections.abc import Sequence

from .relations import RelationTriplet

Span = tuple[int, int]


def contradiction(triplets: Sequence[RelationTriplet]) -> list[RelationTriplet]:
    """Relations that cannot all hold in one picture, as few as lead from an object back to itself along one axis; empty
    where there are none. An object is known by the place of its noun in the prompt."""
    for axis in (0, 1):
        after: dict[Span, list[tuple[Span, RelationTriplet]]] = {}
        for triplet in triplets:
            signs = triplet.relation.signs
            if signs is None or not signs[axis]:
                continue
            pair = (triplet.subject_noun, triplet.object_noun)
            first, second = pair if signs[axis] < 0 else pair[::-1]
            after.setdefault(first, []).append((second, triplet))
        for start in after:
            if ring := _ring(after, start):
                return ring
    return []


def _ring(after: dict[Span, list[tuple[Span, RelationTriplet]]], start: Span) -> list[RelationTriplet]:
    """The shortest way from an object back to itself."""
    ways: list[tuple[Span, list[RelationTriplet]]] = [(start, [])]
    seen: set[Span] = set()
    for place, way in ways:
        for following, triplet in after.get(place, ()):
            if following == start:
                return [*way, triplet]
            if following not in seen:
                seen.add(following)
                ways.append((following, [*way, triplet]))
    return []
