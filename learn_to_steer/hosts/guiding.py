"""Triplets and boxes of prompts -> what attention guidance needs: objects, their tokens, and a layout for each picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..errors import SteeringError
from ..guidance import Box, Layout, can_lay_out, solve_layout, token_columns
from ..language import NamedObject, RelationTriplet, find_words
from ..objectives import Goal, RelationTarget
from .targets import LeftOut

Boxes = Mapping[str, Box]
"""Words of the prompt -> where they belong."""

KEPT_APART: frozenset[Goal] = frozenset(("presence", "separation", "single"))
"""Goals under which the layout has a place for every thing that a prompt names, related or not."""

NOT_LAID_OUT = 'attention guidance knows directions in the picture and "next to" only; rephrase it or use another method.'


@dataclass(frozen=True)
class GuidanceTargets:
    """What guidance is about in a batch of prompts.

    targets: per image, the relations that the layout keeps. objects: per image, the words of each slot: of those relations
    first, then what is only named, then what has only a box. columns (B, K, T): their tokens. layouts: per image, None
    where there is no object.
    left_out: per image, relations that guidance cannot keep, and why. kept: per image, those of `targets`.
    """

    targets: list[list[RelationTarget]]
    objects: list[list[str]]
    columns: Tensor
    layouts: list[Layout | None]
    left_out: list[list[LeftOut]]
    kept: list[list[RelationTriplet]]

    @property
    def any(self) -> bool:
        """Whether any image is guided."""
        return any(layout is not None for layout in self.layouts)


def guidance_targets(
    prompts: Sequence[str],
    triplets: Sequence[Sequence[RelationTriplet]],
    positions: Callable[[int, tuple[int, int]], list[int]],
    length: int,
    *,
    named: Sequence[Sequence[NamedObject]] | None = None,
    boxes: Sequence[Boxes | None] | None = None,
    layouts: Sequence[Layout | None] | None = None,
    aspect: float = 1.0,
    seed: int = 0,
) -> GuidanceTargets:
    """One object slot per noun, however often it is related, and one for each further word with a box.

    named: per image, things that get a place as well (`KEPT_APART`); one thing alone needs none, of several of a kind it
    would be one, and what a relation without a place is about stays where it may lie on the other.

    positions(image, span) -> token positions of the noun at these characters of the image's prompt. length: T. boxes: per
    image. layouts: per image, instead of solving one; for the same slots. aspect: width of the pictures by their height.
    seed: see `solve_layout`.

    Raises SteeringError as `solve_layout` does, for boxes of words that are not in the prompt or beyond what the text
    encoder reads, and for a layout of another number of objects.
    """
    made = [
        _of_image(i, prompt, triplets[i], positions, named[i] if named else (), boxes[i] if boxes else None)
        for i, prompt in enumerate(prompts)
    ]
    solved: list[Layout | None] = []
    for i, one in enumerate(made):
        given = layouts[i] if layouts else None
        if given is not None and len(given) != len(one.words):
            raise SteeringError(
                f"Expected a layout of {len(one.words)} objects ({', '.join(one.words)}), got one of "
                f"{len(given)}; give a place "
                "for each."
            )
        if given is None and one.words:
            given = solve_layout(
                len(one.words),
                one.targets or _in_a_row(one),
                boxes=one.boxes,
                aspect=aspect,
                seed=seed,
                names=one.words,
            )
        solved.append(given if one.words else None)
    return GuidanceTargets(
        [one.targets for one in made],
        [one.words for one in made],
        token_columns([one.tokens for one in made], length),
        solved,
        [one.lost for one in made],
        [
            [t for t in of_image if t not in [lost.triplet for lost in one.lost]]
            for of_image, one in zip(triplets, made, strict=True)
        ],
    )


@dataclass
class _Image:
    targets: list[RelationTarget]
    words: list[str]
    tokens: list[list[int]]
    boxes: dict[int, Box]
    lost: list[LeftOut]


def _of_image(
    image: int,
    prompt: str,
    triplets: Sequence[RelationTriplet],
    positions: Callable[[int, tuple[int, int]], list[int]],
    named: Sequence[NamedObject],
    boxes: Boxes | None,
) -> _Image:
    one = _Image([], [], [], {}, [])
    slots: dict[tuple[int, int], int] = {}
    for triplet in triplets:
        ends = {triplet.subject_noun: triplet.subject, triplet.object_noun: triplet.object}
        if not can_lay_out(triplet.relation.value):
            one.lost.append(LeftOut(triplet, NOT_LAID_OUT))
            continue
        try:
            found = {span: positions(image, span) for span in ends if span not in slots}
        except SteeringError as error:
            one.lost.append(LeftOut(triplet, str(error)))
            continue
        for span, tokens in found.items():
            slots[span] = len(slots)
            one.words.append(ends[span])
            one.tokens.append(tokens)
        subject, other = slots[triplet.subject_noun], slots[triplet.object_noun]
        one.targets.append(RelationTarget(subject, other, triplet.relation.value))
    _take_named(one, slots, triplets, named, lambda span: positions(image, span), bool(boxes))
    for words, box in (boxes or {}).items():
        span = find_words(prompt, words)
        slot = next((s for noun, s in slots.items() if noun[0] < span[1] and span[0] < noun[1]), None)
        if slot is None:
            slot = slots[span] = len(slots)
            one.words.append(prompt[slice(*span)])
            one.tokens.append(positions(image, span))
        one.boxes[slot] = box
    return one


def _in_a_row(one: _Image) -> list[RelationTarget]:
    """Things without any relation stand side by side in the order of the prompt, as far as there is room for them and none
    has a box."""
    if one.boxes or len(one.words) > 3:
        return []
    return [RelationTarget(i, i + 1, "to the left of") for i in range(len(one.words) - 1)]


def _take_named(
    one: _Image,
    slots: dict[tuple[int, int], int],
    triplets: Sequence[RelationTriplet],
    named: Sequence[NamedObject],
    positions: Callable[[tuple[int, int]], list[int]],
    others: bool,
) -> None:
    """Give things that are named a slot each. others: whether boxes give further places."""
    related = [span for t in triplets for span in (t.subject_noun, t.object_noun)]
    found: dict[tuple[int, int], tuple[str, list[int]]] = {}
    for thing in named:
        start, end = thing.noun
        if thing.several or any(a < end and start < b for a, b in related):
            continue
        try:
            found[thing.noun] = thing.text, positions(thing.noun)
        except SteeringError:
            continue  # it can be drawn, not read
    if len(slots) + len(found) < 2 and not others:
        return
    for span, (words, tokens) in found.items():
        slots[span] = len(slots)
        one.words.append(words)
        one.tokens.append(tokens)
