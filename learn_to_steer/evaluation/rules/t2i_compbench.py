"""T2I-CompBench's 2-D rule (Huang et al. 2023, github.com/Karine-Huang/T2I-CompBench): a soft score.

The first detection of each of the two nouns counts (girl, boy, man and woman are the detector's "person").
With the offset (dx, dy) from the subject's centre to the object's, "left of" needs dx > 0 and |dx| > |dy|, right,
top and bottom likewise; it then scores 1 where the boxes' IoU is below 0.1, else 0.1 / IoU. "next to", "near"
and "on side of" score 1 where |dx| < 150 px or |dy| < 150 px, else 150 / max(|dx|, |dy|).
A picture scores 0.25 s_subject + 0.25 s_object + 0.5 position, and 0 where that is under 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...language import Relation
from ..detections import (
    Demand,
    Detection,
    PixelBox,
    RelationVerdict,
    Thing,
    Verdict,
    box_of,
    find,
    leading_pairs,
)

MAX_IOU = 0.1
NEAR = 150.0
"""Pixels."""

LEAST_SCORE = 0.5
PEOPLE = ("girl", "boy", "man", "woman")
PERSON = "person"

_SIDES = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)


def intersection_over_union(a: PixelBox, b: PixelBox) -> float:
    """Of two boxes, 0 to 1; 0 where neither has an area."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / union if union > 0 else 0.0


def judges(relation: Relation) -> bool:
    """Whether the rule has a say on this relation: the four sides and "next to"."""
    return relation in _SIDES or relation is Relation.NEXT_TO


def position_score(subject: PixelBox, relation: Relation, reference: PixelBox) -> float:
    """How well the relation is met, 0 to 1. Raises ValueError for a relation that the rule does not judge."""
    if not judges(relation):
        raise ValueError(f"T2I-CompBench's 2-D rule judges sides and nearness, not '{relation.value}'.")
    dx = (reference[0] + reference[2]) / 2 - (subject[0] + subject[2]) / 2
    dy = (reference[1] + reference[3]) / 2 - (subject[1] + subject[3]) / 2
    if relation is Relation.NEXT_TO:
        near = abs(dx) < NEAR or abs(dy) < NEAR
        return 1.0 if near else NEAR / max(abs(dx), abs(dy))
    along, across = (dx, dy) if relation in (Relation.LEFT, Relation.RIGHT) else (dy, dx)
    # The subject lies left or above where the object lies further along the axis.
    towards = along if relation in (Relation.LEFT, Relation.ABOVE) else -along
    if towards <= 0 or abs(along) <= abs(across):
        return 0.0
    overlap = intersection_over_union(subject, reference)
    return 1.0 if overlap < MAX_IOU else MAX_IOU / overlap


def picture_score(subject_score: float, object_score: float, position: float) -> float:
    """The score of a picture from the two detections' scores (0 for one not found) and the position score."""
    total = 0.25 * subject_score + 0.25 * object_score + 0.5 * position
    return total if total >= LEAST_SCORE else 0.0


def judge(detections: Sequence[Detection], demand: Demand) -> Verdict:
    """A relation holds where its position score is full (1). A picture of several relations gets their mean score.

    Where both ends are of one class the first two detections of it count, the better way round.
    """
    present = all(_find(detections, t) for t in demand.things)
    relations, scores = [], []
    for asked in demand.relations:
        pairs = leading_pairs(_find(detections, asked.subject), _find(detections, asked.object))
        present = present and bool(pairs)
        # With one object alone at most 0.25 is left, which the last line of the rule makes 0.
        position, score = max((_scores(s, asked.relation, o) for s, o in pairs), default=(0.0, 0.0))
        relations.append(RelationVerdict(asked, position == 1, position))
        scores.append(score)
    if not scores:
        return Verdict(present, (), float(present) if demand.things else None)
    return Verdict(present, tuple(relations), sum(scores) / len(scores))


def _scores(subject: Detection, relation: Relation, other: Detection) -> tuple[float, float]:
    """Position score and picture score."""
    position = position_score(box_of(subject), relation, box_of(other))
    return position, picture_score(subject.score, other.score, position)


def _find(detections: Sequence[Detection], wanted: Thing) -> list[Detection]:
    """The detections of the noun; people count as "person" where the detector does not tell them apart."""
    found = find(detections, wanted)
    if found or wanted.noun.lower() not in PEOPLE:
        return found
    return find(detections, Thing(PERSON, PERSON))
