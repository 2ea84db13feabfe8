"""Prompts in ComfyUI: its weighting syntax, and where an object's words are among its tokens.

The relations come from the text without the syntax, the positions from the host's own tokens (`words.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....errors import SteeringError
from ....language import (
    NamedObject,
    RelationTriplet,
    Understanding,
    find_words,
    strip_weighting,
    understandings,
    written_triplet,
)
from .words import Part, context_parts, prompt_positions, word_positions

MARK = "learn_to_steer"
"""Key of a conditioning entry that says which prompt's relations belong to it."""


@dataclass(frozen=True)
class PromptRelations:
    """What a prompt says, in the host's tokens.

    text: the prompt as given. triplets: its relations, steered or not. positions: for the span of each noun, its token
    positions along the context (in Stable Diffusion 3 in both encoders' parts of it). length: text tokens of the context.
    mark: names this prompt in a conditioning. left_out: relations that were understood and cannot be steered, in words,
    each with the reason. doubtful: relations that the prompt may state, not steered, their `doubt` says why. note: a
    sentence about the language of the prompt, or relations beyond the first MAX_RELATIONS; "" for none. states: digests of
    the text states it was encoded to, token by token, for each entry of its conditioning (`owner.py`); none: no
    conditioning is known to be its own. own: positions of all tokens of the prompt, see `prompt_positions`. objects: the
    things that the prompt certainly names, those of its relations among them, as far as they are among the tokens.
    """

    text: str
    triplets: tuple[RelationTriplet, ...]
    positions: tuple[tuple[tuple[int, int], tuple[int, ...]], ...]
    length: int
    mark: str
    left_out: tuple[tuple[str, str], ...] = ()
    doubtful: tuple[RelationTriplet, ...] = ()
    note: str = ""
    states: tuple[tuple[bytes, ...], ...] = ()
    own: tuple[int, ...] = ()
    objects: tuple[NamedObject, ...] = ()

    def tokens_of(self, span: tuple[int, int]) -> list[int]:
        """Token positions of the noun at this character span. Raises KeyError for a span of no noun."""
        return list(dict(self.positions)[span])


def read_prompt(clip: Any, text: str, manual: str = "") -> PromptRelations:
    """The relations of a prompt and the tokens of their objects.

    manual: triplets to use instead of the parser's, one a line, "dog | right of | teddy bear"; empty: parse the prompt.

    Nothing that a prompt says is an error: lines of another form, relations that are not in the vocabulary, objects that
    are not in the prompt or not among the tokens are `left_out`; of relations beyond the first MAX_RELATIONS the `note`
    tells.
    """
    plain = strip_weighting(text)
    understanding, left_out = _understood(text, plain, manual)
    triplets = understanding.relations
    try:
        parts = context_parts(clip, text)
    except SteeringError as error:
        left_out += [(_sentence(t), str(error)) for t in triplets]
        triplets, parts = (), []
    positions: dict[tuple[int, int], tuple[int, ...]] = {}
    kept: list[RelationTriplet] = []
    for triplet in triplets:
        spans = (triplet.subject_noun, triplet.object_noun)
        try:
            found = {s: _positions(clip, parts, text, plain, s) for s in spans if s not in positions}
        except SteeringError as error:
            left_out.append((_sentence(triplet), str(error)))
        else:
            positions |= found
            kept.append(triplet)
    objects: list[NamedObject] = []
    for one in understanding.objects:
        try:
            positions.setdefault(one.noun, _positions(clip, parts, text, plain, one.noun))
        except SteeringError:
            continue  # it can be drawn, not read
        objects.append(one)
    located = tuple(sorted(positions.items()))
    length = sum(len(part.ids) for part in parts)
    mark = hashlib.sha256(repr((text, located)).encode()).hexdigest()[:16]
    doubtful, note = understanding.doubtful, understanding.note
    return PromptRelations(
        text,
        tuple(kept),
        located,
        length,
        mark,
        tuple(left_out),
        doubtful,
        note,
        own=prompt_positions(parts),
        objects=tuple(objects),
    )


def words_in(clip: Any, text: str, words: Sequence[str]) -> tuple[list[list[int]], int]:
    """Token positions along the context of the first mention of each of these words in a prompt without weights, and the
    context's length. Raises SteeringError for words that are not in it or not among the tokens."""
    parts = context_parts(clip, text)
    places = [list(_positions(clip, parts, text, text, find_words(text, one))) for one in words]
    return places, sum(len(part.ids) for part in parts)


def _understood(text: str, plain: str, manual: str) -> tuple[Understanding, list[tuple[str, str]]]:
    """The relations of the prompt, or those of the lines given by hand, and the lines that give none with the reason."""
    lines = [line.strip() for line in manual.splitlines() if line.strip()]
    if not lines:
        return understandings([text])[0], []
    triplets: list[RelationTriplet] = []
    left_out: list[tuple[str, str]] = []
    for line in lines:
        try:
            shown = text if "embedding:" in line else plain  # an embedding is syntax, yet it can be an object
            triplets += understandings([shown], [[written_triplet(line)]])[0].relations
        except SteeringError as error:
            left_out.append((line, str(error)))
    return understandings([text], [triplets])[0], left_out


def _positions(clip: Any, parts: list[Part], text: str, plain: str, span: tuple[int, int]) -> tuple[int, ...]:
    shown = plain if plain[slice(*span)].strip() else text
    return tuple(i for part in parts for i in word_positions(clip, part, shown, span))


def _sentence(triplet: RelationTriplet) -> str:
    return f"{triplet.subject} {triplet.relation} {triplet.object}"
