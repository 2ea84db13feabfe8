"""Relations that follow from those stated: with A above B and B above C, A is above C."""

from __future__ import annotations

from collections.abc import Sequence

from .relations import Relation, RelationTriplet

Span = tuple[int, int]

_AXES = (Relation.LEFT, Relation.ABOVE)


def implied_relations(triplets: Sequence[RelationTriplet]) -> list[RelationTriplet]:
    """Left and above of pairs that no triplet relates along that axis, but a chain of them does; in reading order.

    A diagonal counts along both axes. The triplets must be free of contradictions, see `contradiction`. An object is
    known by the place of its noun in the prompt.
    """
    found: list[RelationTriplet] = []
    for axis, relation in enumerate(_AXES):
        before: dict[Span, list[Span]] = {}
        names: dict[Span, tuple[str, Span]] = {}
        for triplet in triplets:
            signs = triplet.relation.signs
            if signs is None or not signs[axis]:
                continue
            ends = (triplet.subject_noun, triplet.object_noun)
            names[ends[0]] = (triplet.subject, triplet.subject_span)
            names[ends[1]] = (triplet.object, triplet.object_span)
            first, second = ends if signs[axis] < 0 else ends[::-1]
            before.setdefault(first, []).append(second)
        for first in sorted(names):
            for second in sorted(_reached(before, first) - set(before.get(first, ()))):
                (subject, subject_span), (other, other_span) = names[first], names[second]
                found.append(
                    RelationTriplet(subject, relation, other, subject_span, other_span, first, second)
                )
    return found


def _reached(before: dict[Span, list[Span]], start: Span) -> set[Span]:
    """All that lies behind `start`, however far."""
    seen: set[Span] = set()
    waiting = list(before.get(start, ()))
    while waiting:
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            waiting += before.get(place, ())
    return seen
