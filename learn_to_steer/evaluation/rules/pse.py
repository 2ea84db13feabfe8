"""PSE, the probability of superiority for masks (arXiv 2506.23418): a continuous score.

The score of "A left of B" is the probability that a random pixel of A lies left of a random pixel of B; right,
above and below likewise, and for a diagonal that it lies so on both axes. Pixels of one column are neither left
nor right of each other. The relation holds where that is more probable than not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import SteeringError
from ...language import Relation
from ..detections import Demand, Detection, Mask, RelationVerdict, Verdict, best, find, leading_pairs

EVEN = 0.5
"""A relation holds above this probability."""


def judges(relation: Relation) -> bool:
    """Whether the rule has a say on this relation."""
    return relation.signs is not None


def probability(subject: Mask, relation: Relation, reference: Mask) -> float:
    """That a random pixel of `subject` stands in `relation` to one of `reference`, 0 to 1.

    subject, reference: (height, width) bool of one size; 0 where one has no pixel.
    Raises ValueError for a relation that has no direction in the plane, SteeringError for masks of two sizes.
    """
    if relation.signs is None:
        raise ValueError(f"PSE judges directions, not '{relation.value}'.")
    if subject.shape != reference.shape:
        raise SteeringError(
            f"Expected masks of one size, got {subject.shape[0]} x {subject.shape[1]} and "
            f"{reference.shape[0]} x {reference.shape[1]}; give every mask the picture's height and width."
        )
    a, b = subject.astype(np.float64), reference.astype(np.float64)
    pairs = a.sum() * b.sum()
    if pairs == 0:
        return 0.0
    # counts[i, j]: pixels of the subject that stand in the relation to the pixel (i, j).
    counts = a
    for axis, sign in zip((1, 0), relation.signs, strict=True):
        counts = _before(counts, axis, sign)
    return float((counts * b).sum() / pairs)


def _before(counts: np.ndarray, axis: int, sign: int) -> np.ndarray:
    """At each place the sum along the axis of what lies strictly before it (sign -1), after it (1), or all (0)."""
    if sign == 0:
        return np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
    if sign > 0:
        counts = np.flip(counts, axis)
    before = np.cumsum(counts, axis=axis) - counts
    return np.flip(before, axis) if sign > 0 else before


def judge(detections: Sequence[Detection], demand: Demand) -> Verdict:
    """The best detection of each object counts. A picture of several relations gets their mean score.

    Where both ends are of one class the best two count, the better way round.
    """
    present = all(find(detections, t) for t in demand.things)
    relations = []
    for asked in demand.relations:
        subjects, objects = best(find(detections, asked.subject)), best(find(detections, asked.object))
        pairs = leading_pairs(subjects, objects)
        present = present and bool(pairs)
        score = max((probability(_mask(s), asked.relation, _mask(o)) for s, o in pairs), default=0.0)
        relations.append(RelationVerdict(asked, score > EVEN, score))
    if not relations:
        return Verdict(present, (), float(present) if demand.things else None)
    return Verdict(present, tuple(relations), sum(r.score for r in relations) / len(relations))


def _mask(detection: Detection) -> Mask:
    if detection.mask is None:
        raise SteeringError(
            f'Expected a mask for the detection "{detection.name}", got none; give "mask" as rows of 0 and 1.'
        )
    return detection.mask
