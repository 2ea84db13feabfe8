"""Where the objects of a prompt belong: solved from its relations, with places or boxes that are given by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....errors import SteeringError
from ....guidance import Box
from ....guidance.layout import SIDE
from ....language import strip_weighting
from ...guiding import GuidanceTargets, guidance_targets
from ..prompt.relations import PromptRelations


@dataclass(frozen=True)
class RelationLayout:
    """Places by hand for a prompt's objects: (words, box), (words, middle). seed: another one is another layout."""

    text: str
    boxes: tuple[tuple[str, Box], ...] = ()
    middles: tuple[tuple[str, tuple[float, float]], ...] = ()
    seed: int = 0


def by_hand(
    relations: PromptRelations, lines: str, boxes: Any, width: int, height: int, seed: int
) -> RelationLayout:
    """Places as a user gives them. lines: "dog: 0.2, 0.5", one an object. boxes: the host's dicts of x, y, width and height
    in pixels of a picture of width x height, in the order of the prompt's objects, or a list of lists of them; None: none.

    Raises SteeringError for a line or a box that is none, and for more boxes than objects.
    """
    middles = tuple(_middle(line) for line in lines.splitlines() if line.strip())
    given = boxes if isinstance(boxes, list) else [] if boxes is None else [boxes]
    given = given[0] if given and isinstance(given[0], list) else given
    names = guidance_of(relations, 1, width / height).objects[0]
    if len(given) > len(names):
        raise SteeringError(
            f"Expected a box for each of the {len(names)} objects at most ({', '.join(names)}), got {len(given)} boxes; "
            "take some away."
        )
    of_names = tuple((name, _box(one, width, height)) for name, one in zip(names, given, strict=False))
    return RelationLayout(relations.text, of_names, middles, seed)


def _middle(line: str) -> tuple[str, tuple[float, float]]:
    words, _, numbers = line.rpartition(":")
    try:
        x, y = (float(part) for part in numbers.replace(";", ",").split(","))
    except ValueError:
        x = y = -1.0
    if not words.strip() or not (0 < x < 1 and 0 < y < 1):
        raise SteeringError(
            f'Expected a place as "dog: 0.2, 0.5", shares of the width and the height between 0 and 1, got '
            f'"{line.strip()}"; correct the line.'
        )
    return words.strip(), (x, y)


def _box(given: Any, width: int, height: int) -> Box:
    try:
        x, y, across, down = (float(given[key]) for key in ("x", "y", "width", "height"))
    except (TypeError, KeyError, ValueError):
        raise SteeringError(
            f"Expected boxes with x, y, width and height, got {type(given).__name__}; use Create Bounding Boxes or the box "
            "of places."
        ) from None
    cut = [min(max(v, 0.0), 1.0) for v in (x / width, y / height, (x + across) / width, (y + down) / height)]
    return cut[0], cut[1], cut[2], cut[3]


def guidance_of(
    relations: PromptRelations,
    batch: int,
    aspect: float,
    by_hand: RelationLayout | None = None,
    apart: bool = False,
) -> GuidanceTargets:
    """What guidance is about, for a batch of images of one prompt, all with the same layout. aspect: width of the picture
    divided by its height. apart: things that the prompt only names have a place as well.

    Raises SteeringError for places of another prompt, of words that are no object of a relation, or that contradict the
    relations, and for relations that cannot all hold.
    """
    by_hand = by_hand or RelationLayout(relations.text)
    if by_hand.text != relations.text:
        raise SteeringError(
            f'Expected the layout of "{_short(relations.text)}", got that of "{_short(by_hand.text)}"; connect both nodes '
            "to the same Relation Prompt."
        )
    boxes = dict(by_hand.boxes) | {words: around(middle, aspect) for words, middle in by_hand.middles}
    plain = strip_weighting(relations.text)
    one = guidance_targets(
        [plain],
        [relations.triplets],
        lambda image, span: _tokens(relations, plain, span),
        relations.length,
        named=[relations.objects if apart else ()],
        boxes=[boxes],
        aspect=aspect,
        seed=by_hand.seed,
    )
    return GuidanceTargets(
        one.targets * batch,
        one.objects * batch,
        one.columns.repeat(batch, 1, 1),
        one.layouts * batch,
        one.left_out * batch,
        one.kept * batch,
    )


def _tokens(relations: PromptRelations, plain: str, span: tuple[int, int]) -> list[int]:
    try:
        return relations.tokens_of(span)
    except KeyError:
        raise SteeringError(
            f'Expected a place for an object of the prompt\'s relations, got one for "{plain[slice(*span)]}"; use the '
            "words of the relation, or state it as one."
        ) from None


def around(middle: tuple[float, float], aspect: float) -> Box:
    """The place with this middle: as large as a solved one, and within the picture."""
    sides = SIDE * min(1.0, 1 / aspect), SIDE * min(1.0, aspect)
    across, down = (min(side / 2, v, 1 - v) for side, v in zip(sides, middle, strict=True))
    x, y = middle
    return x - across, y - down, x + across, y + down


def _short(text: str) -> str:
    return " ".join(text.split())[:60]
