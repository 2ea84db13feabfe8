"""Boxes as a node graph has them: drawn by a user they state relations, found by a detector they judge them.

A graph's box is {"x", "y", "width", "height"} in pixels, perhaps with "label" and "score"; its boxes are a list of such
lists, one a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SteeringError
from ..language import MAX_RELATIONS, RelationTriplet
from ..language.relations import relation_of_offset
from .detections import Asked, Demand, Detection, PixelBox, Thing, find, number, short
from .rules import geneval

GraphBox = dict[str, Any]


def frames_of(boxes: Any, pictures: int | None = None) -> list[list[GraphBox]]:
    """The boxes of each picture, whatever form they came in: one box, the boxes of every picture alike, or a list of lists.
    pictures: so many lists; those that are missing are empty.

    Raises SteeringError for what is no box.
    """
    if isinstance(boxes, dict):
        boxes = [[boxes]]
    elif isinstance(boxes, (list, tuple)) and boxes and isinstance(boxes[0], dict):
        boxes = [list(boxes)] * (pictures or 1)
    elif boxes is None:
        boxes = []
    if not isinstance(boxes, (list, tuple)) or any(not isinstance(frame, (list, tuple)) for frame in boxes):
        raise SteeringError(
            f"Expected bounding boxes, a list of boxes for each picture, got {short(boxes)}; connect a "
            "node that finds or draws "
            "boxes."
        )
    frames = [list(frame) for frame in boxes]
    for box in (box for frame in frames for box in frame):
        corners(box)
    if pictures is not None:
        frames = (frames + [[] for _ in range(pictures)])[:pictures]
    return frames


def relations_of_boxes(boxes: Sequence[GraphBox], names: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """The relations that drawn boxes state, as (subject, relation, object).

    Of each pair of boxes, by GenEval's rule of offsets, the one direction that is the clearer; boxes that lie in one
    another state none. What follows from two others ("a left of b, b left of c") is left out. names: what each box
    holds; none: the boxes' own labels. Raises SteeringError for boxes without a name.
    """
    labels = list(names) or [str(box.get("label") or "") for box in boxes]
    if len(labels) != len(boxes) or not all(labels):
        raise SteeringError(
            f"Expected a name for each of {len(boxes)} boxes, got {len([n for n in labels if n])}; write "
            "one a line, in the "
            "order of the boxes."
        )
    found: dict[tuple[int, int], str] = {}
    places = [corners(box) for box in boxes]
    for i in range(len(boxes)):
        for k in range(i + 1, len(boxes)):
            (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = places[i], places[k]
            offset = (ax0 + ax1) / 2 - (bx0 + bx1) / 2, (ay0 + ay1) / 2 - (by0 + by1) / 2
            dx, dy = geneval.direction(offset, (ax1 - ax0 + bx1 - bx0, ay1 - ay0 + by1 - by0))
            clear = (dx, 0.0) if abs(dx) >= abs(dy) else (0.0, dy)
            relation = relation_of_offset(*clear) if max(map(abs, clear)) > geneval.MIN_COMPONENT else None
            opposite = relation_of_offset(-clear[0], -clear[1])
            if relation is not None and opposite is not None:
                found[i, k], found[k, i] = relation.value, opposite.value
    stated = [(i, k) for i, k in found if i < k and not _follows(found, i, k, len(boxes))]
    return [(labels[i], found[i, k], labels[k]) for i, k in stated][:MAX_RELATIONS]


def _follows(found: dict[tuple[int, int], str], i: int, k: int, count: int) -> bool:
    """Whether a third box stands between these two in the same direction."""
    return any(found.get((i, m)) == found[i, k] == found.get((m, k)) for m in range(count))


def composed(triplets: Sequence[tuple[str, str, str]]) -> str:
    """A prompt that names the objects: with the relation where there is one only, else as a list."""
    if len(triplets) == 1:
        subject, relation, other = triplets[0]
        return f"{_with_article(subject)} {relation} {_with_article(other)}"
    names = list(dict.fromkeys(name for s, _, o in triplets for name in (s, o)))
    articled = [_with_article(name) for name in names]
    return f"{', '.join(articled[:-1])} and {articled[-1]}"


def _with_article(name: str) -> str:
    if name.split()[0].lower() in ("a", "an", "the", "two", "three"):
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


@dataclass(frozen=True)
class Obeyed:
    """Of one picture: whether every relation holds, and in words."""

    obeyed: bool
    words: str


def judged_boxes(
    prompt: str, triplets: Sequence[RelationTriplet], frames: Sequence[Sequence[GraphBox]]
) -> list[Obeyed]:
    """The verdict on each picture by the boxes that were found in it, by GenEval's rule. Relations without a direction are
    not judged; a prompt without any is obeyed. Boxes need labels."""
    asked = [
        Asked(
            Thing(t.subject, prompt[slice(*t.subject_noun)]),
            t.relation,
            Thing(t.object, prompt[slice(*t.object_noun)]),
        )
        for t in triplets
        if geneval.judges(t.relation)
    ]
    return [_judged(asked, [_detection(box) for box in frame]) for frame in frames]


def _judged(asked: Sequence[Asked], found: Sequence[Detection]) -> Obeyed:
    if not asked:
        return Obeyed(True, "obeyed, no relation is asked for")
    verdict = geneval.judge(found, Demand(tuple(asked)))
    seen = geneval.kept(found)
    missing = [t.phrase for t in Demand(tuple(asked)).things if not find(seen, t)]
    wrong = [" ".join(v.asked.words) for v in verdict.relations if not v.holds]
    if not wrong:
        return Obeyed(True, "obeyed")
    lost = f" ({', '.join(missing)} not found)" if missing else ""
    return Obeyed(False, f"not obeyed: {', '.join(wrong)}{lost}")


def _detection(box: GraphBox) -> Detection:
    score = number(box.get("score"))
    return Detection(str(box.get("label") or ""), corners(box), 1.0 if score is None else score)


def corners(box: Any) -> PixelBox:
    """A graph's box as (x0, y0, x1, y1). Raises SteeringError for what is no box."""
    values = [number(box.get(k)) for k in ("x", "y", "width", "height")] if isinstance(box, dict) else [None]
    x, y, width, height = values if len(values) == 4 else (None,) * 4
    if x is None or y is None or width is None or height is None or width < 0 or height < 0:
        raise SteeringError(
            f"Expected a box with x, y, width and height in pixels, got {short(box)}; connect a node that "
            "finds or draws boxes."
        )
    return x, y, x + width, y + height
