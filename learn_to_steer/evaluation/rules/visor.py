"""VISOR's rule (Gokhale et al. 2022, github.com/microsoft/VISOR): signs of the centres' difference, any pair.

Detections of a score of at least 0.1 count. A relation holds if for *any* pair of boxes the difference of the
centres has the right sign, without a margin. Object accuracy (OA) is the share of pictures with both objects,
unconditional VISOR the share in which the relation holds as well, conditional VISOR the same among the pictures
with both, VISOR-n the share of prompts with at least n of their 4 pictures right (`statistics.visor_n`).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...language import Relation
from ..detections import Demand, Detection, PixelBox, RelationVerdict, Verdict, box_of, find, pairs_of

THRESHOLD = 0.1
"""Scores must reach this."""


def judges(relation: Relation) -> bool:
    """Whether the rule has a say on this relation."""
    return relation.signs is not None


def holds(subject: PixelBox, relation: Relation, reference: PixelBox) -> bool:
    """Whether the centres' difference has the sign of the relation: of a diagonal, both signs.

    Raises ValueError for a relation that has no direction in the plane.
    """
    if relation.signs is None:
        raise ValueError(f"VISOR's rule judges directions, not '{relation.value}'.")
    offset = [
        (subject[axis] + subject[axis + 2]) / 2 - (reference[axis] + reference[axis + 2]) / 2
        for axis in (0, 1)
    ]
    return all(o * sign > 0 for o, sign in zip(offset, relation.signs, strict=True) if sign)


def judge(detections: Sequence[Detection], demand: Demand) -> Verdict:
    """The picture is right (score 1, else 0) if all objects are found and every relation holds for some pair.

    Where both ends are of one class ("a dog left of a dog"), two boxes of it are asked for.
    """
    sure = [d for d in detections if d.score >= THRESHOLD]
    present = all(find(sure, t) for t in demand.things)
    relations = []
    for a in demand.relations:
        pairs = pairs_of(find(sure, a.subject), find(sure, a.object))
        present = present and bool(pairs)
        right = any(holds(box_of(s), a.relation, box_of(o)) for s, o in pairs)
        relations.append(RelationVerdict(a, right, float(right)))
    if not demand.things:
        return Verdict(present, (), None)
    return Verdict(present, tuple(relations), float(present and all(r.holds for r in relations)))
