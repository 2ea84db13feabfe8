"""GenEval's rule (Ghosh et al. 2023, github.com/djghosh13/geneval): objects, counts and the four directions.

Of two boxes with centres a, b and sizes s_a, s_b: the offset o = a - b, shrunk towards zero on each axis,

    r = max(|o| - 0.1 (s_a + s_b), 0) * sign(o),      d = r / |o|

where |o| is the length of the offset *before* it was shrunk. So d is shorter than 1, and how far two boxes lie
apart counts as well as in which direction: d.x < -0.5 is left, > 0.5 right, d.y < -0.5 above, > 0.5 below.
Two relations may hold at once; where all |r| < 1e-3 none does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ...language import Relation
from ..detections import (
    Demand,
    Detection,
    PixelBox,
    RelationVerdict,
    Verdict,
    best,
    box_of,
    class_of,
    find,
    of_class,
    pairs_of,
    plain_name,
)

SHRINK = 0.1
"""Of the summed sizes, taken off the offset on each axis."""

MIN_COMPONENT = 0.5
"""What a component of d must exceed."""

NOTHING = 1e-3
"""Shrunk offsets below this, in the boxes' unit, are none."""

THRESHOLD = 0.3
"""Scores must exceed this ..."""

COUNTING_THRESHOLD = 0.9
"""... and this for counting prompts."""

MAX_BOXES = 16
"""Of one class, the best so many are kept."""


def direction(offset: tuple[float, float], sizes: tuple[float, float]) -> tuple[float, float]:
    """The vector d of the rule; (0, 0) where nothing is left of the offset.

    offset: from the reference's centre to the subject's. sizes: the two widths summed, the two heights summed.
    """
    shrunk = [
        math.copysign(max(abs(o) - SHRINK * size, 0.0), o) for o, size in zip(offset, sizes, strict=True)
    ]
    if all(abs(r) < NOTHING for r in shrunk):
        return 0.0, 0.0
    length = math.hypot(*offset)
    return shrunk[0] / length, shrunk[1] / length


def stands(offset: tuple[float, float], sizes: tuple[float, float], relation: Relation) -> bool:
    """Whether the relation holds for this offset and these summed sizes.

    A diagonal ("above-left of", which GenEval itself does not ask for) holds where both of its directions do.
    Raises ValueError for a relation that has no direction in the plane.
    """
    if relation.signs is None:
        raise ValueError(f"GenEval's rule judges directions, not '{relation.value}'.")
    return all(
        component * sign > MIN_COMPONENT
        for component, sign in zip(direction(offset, sizes), relation.signs, strict=True)
        if sign
    )


def holds(subject: PixelBox, relation: Relation, reference: PixelBox) -> bool:
    """Whether `subject` stands in `relation` to `reference`. Raises ValueError as `stands`."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = subject, reference
    offset = (ax0 + ax1) / 2 - (bx0 + bx1) / 2, (ay0 + ay1) / 2 - (by0 + by1) / 2
    return stands(offset, (ax1 - ax0 + bx1 - bx0, ay1 - ay0 + by1 - by0), relation)


def judges(relation: Relation) -> bool:
    """Whether the rule has a say on this relation."""
    return relation.signs is not None


def kept(detections: Sequence[Detection], counting: bool = False) -> list[Detection]:
    """The detections that the rule considers: of each class the best 16 above the threshold, nothing suppressed.

    Best first.
    """
    limit = COUNTING_THRESHOLD if counting else THRESHOLD
    seen: Counter[str] = Counter()
    chosen = []
    for detection in best([d for d in detections if d.score > limit]):
        name = plain_name(detection.name)
        seen[name] += 1
        if seen[name] <= MAX_BOXES:
            chosen.append(detection)
    return chosen


def judge(detections: Sequence[Detection], demand: Demand) -> Verdict:
    """The picture is right (score 1, else 0) if all objects are found, none too often, in the colours that are asked
    for, and every relation holds.

    Of a class only as many boxes as the prompt asks for are judged, best scores first. With more than one box at
    an end, all of them must stand in the relation. Where both ends are of one class ("a dog left of a dog"), two
    boxes of it are asked for, and the relation may hold either way round.
    """
    seen = kept(detections, demand.counting)
    counts = _counts(seen, demand)
    found = {name: of_class(seen, name)[:count] for name, count in counts.items()}
    enough = {name: len(found[name]) >= count for name, count in counts.items()}
    relations = []
    for a in demand.relations:
        first, second = class_of(seen, a.subject), class_of(seen, a.object)
        right = enough[first] and enough[second]
        if right:
            over = any if first == second else all
            pairs = pairs_of(found[first], found[second])
            right = over(holds(box_of(s), a.relation, box_of(o)) for s, o in pairs)
        relations.append(RelationVerdict(a, right, float(right)))
    present = all(enough.values())
    if not demand.things and not demand.limits:
        return Verdict(present, (), None)
    right = present and all(r.holds for r in relations)
    right = right and all(len(find(seen, t)) < limit for t, limit in demand.limits)
    for wanted, colour, count in demand.colours:
        right = right and sum(d.colour == colour for d in found[class_of(seen, wanted)]) >= count
    return Verdict(present, tuple(relations), float(right))


def _counts(seen: Sequence[Detection], demand: Demand) -> dict[str, int]:
    """How many boxes of each class the prompt asks for."""
    counts = {class_of(seen, t): 1 for t in demand.things}
    for wanted, count in demand.counts:
        name = class_of(seen, wanted)
        counts[name] = max(counts[name], count)
    for a in demand.relations:
        name = class_of(seen, a.subject)
        if name == class_of(seen, a.object):
            counts[name] = max(counts[name], 2)
    return counts
