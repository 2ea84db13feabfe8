"""Prompts in ComfyUI: its weighting syntax, and where an object's words are among its tokens.

The relations come from the text without the syntax, the positions from the host's own tokens (`words.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ....language import RelationTriplet, strip_weighting, understood_triplets, written_triplet
from .words import context_parts, word_positions

MARK = "learn_to_steer"
"""Key of a conditioning entry that says which prompt's relations belong to it."""


@dataclass(frozen=True)
class PromptRelations:
    """What a prompt says, in the host's tokens.

    text: the prompt as given. triplets: its relations, steered or not. positions: for the span of each noun, its token
    positions along the context (in Stable Diffusion 3 in both encoders' parts of it). length: text tokens of the context.
    mark: names this prompt in a conditioning. states: digests of the text states it was encoded to, token by token, for
    each entry of its conditioning (`owner.py`); none: no conditioning is known to be its own.
    """

    text: str
    triplets: tuple[RelationTriplet, ...]
    positions: tuple[tuple[tuple[int, int], tuple[int, ...]], ...]
    length: int
    mark: str
    states: tuple[tuple[bytes, ...], ...] = ()

    def tokens_of(self, span: tuple[int, int]) -> list[int]:
        """Token positions of the noun at this character span. Raises KeyError for a span of no noun."""
        return list(dict(self.positions)[span])

    def sentences(self) -> list[str]:
        """Each relation in words: "dog to the right of teddy bear"."""
        return [f"{t.subject} {t.relation} {t.object}" for t in self.triplets]


def read_prompt(clip: Any, text: str, manual: str = "") -> PromptRelations:
    """The relations of a prompt and the tokens of their objects.

    manual: triplets to use instead of the parser's, one a line, "dog | right of | teddy bear"; empty: parse the prompt.

    Raises SteeringError for a manual line of another form, a relation that is not in the vocabulary, objects that are
    not in the prompt, and a text encoder whose tokens do not show them.
    """
    plain = strip_weighting(text)
    given = manual_triplets(manual)
    (triplets,) = understood_triplets([plain] if given else [text], [given] if given else None)
    spans = {span for t in triplets for span in (t.subject_noun, t.object_noun)}
    parts = context_parts(clip, text)
    length = sum(len(part.ids) for part in parts)
    positions = tuple(
        (span, tuple(i for part in parts for i in word_positions(clip, part, plain, span)))
        for span in sorted(spans)
    )
    mark = hashlib.sha256(repr((text, positions)).encode()).hexdigest()[:16]
    return PromptRelations(text, tuple(triplets), positions, length, mark)


def manual_triplets(lines: str) -> list[tuple[str, str, str]]:
    """("dog", "right of", "teddy bear") of each line "dog | right of | teddy bear"; empty lines do not count.

    Raises SteeringError for a line of another form.
    """
    return [written_triplet(line) for line in lines.splitlines() if line.strip()]
