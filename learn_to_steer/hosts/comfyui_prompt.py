"""Prompts in ComfyUI: its weighting syntax, its tokens, and where an object's words are among them.

`clip.tokenize` gives chunks of (token, weight) per text encoder. Chunks follow one another along the context's token
axis; the positions come from these very tokens, the relations from the text without the syntax.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import SteeringError
from ..prompt import strip_weighting
from ..relations import RelationTriplet
from ..tokens import locate
from . import understood_triplets

MARK = "learn_to_steer"
"""Key of a conditioning entry that says which prompt's relations belong to it."""

_OWN_TOKEN = -2  # stands for an embedding, which has no id


@dataclass(frozen=True)
class PromptRelations:
    """What a prompt says, in the host's tokens.

    text: the prompt as given. triplets: its relations, steered or not. positions: for the span of each noun, its token
    positions along the context. length: text tokens of the context. mark: names this prompt in a conditioning.
    """

    text: str
    triplets: tuple[RelationTriplet, ...]
    positions: tuple[tuple[tuple[int, int], tuple[int, ...]], ...]
    length: int
    mark: str

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
    ids, length = prompt_ids(clip, text)
    positions = tuple(
        (span, tuple(locate(lambda words: _word_ids(clip, words), plain, span, length, ids)))
        for span in sorted(spans)
    )
    mark = hashlib.sha256(repr((text, positions)).encode()).hexdigest()[:16]
    return PromptRelations(text, tuple(triplets), positions, length, mark)


def manual_triplets(lines: str) -> list[tuple[str, str, str]]:
    """("dog", "right of", "teddy bear") of each line "dog | right of | teddy bear"; empty lines do not count.

    Raises SteeringError for a line of another form.
    """
    found = []
    for line in lines.splitlines():
        if not line.strip():
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3 or not all(parts):
            raise SteeringError(
                f'Expected a relation a line in the form "dog | right of | teddy bear", got "{line.strip()}"; '
                "separate subject, relation and object by a vertical bar."
            )
        found.append((parts[0], parts[1], parts[2]))
    return found


def prompt_ids(clip: Any, text: str) -> tuple[list[int], int]:
    """The token ids of a prompt along the context's token axis, special tokens included, and their number."""
    chunks = _chunks(clip.tokenize(text))
    ids = [_id(item[0]) for chunk in chunks for item in chunk]
    return ids, len(ids)


def _chunks(tokens: Any) -> Sequence[Sequence[tuple[Any, ...]]]:
    """The chunks of the encoder whose tokens the context shows. SDXL's two encoders give the same positions."""
    if not isinstance(tokens, dict) or not tokens:
        raise SteeringError(
            f"Expected a text encoder that gives tokens by name, got {type(tokens).__name__}; use the CLIP of the model's "
            "own checkpoint."
        )
    if "t5xxl" in tokens and "g" not in tokens:
        return tokens["t5xxl"]  # Flux: CLIP gives one pooled state, what is attended to is T5's
    return next((tokens[name] for name in ("l", "h", "g") if name in tokens), next(iter(tokens.values())))


def _id(token: Any) -> int:
    return token if isinstance(token, int) else _OWN_TOKEN


def _word_ids(clip: Any, words: str) -> list[int]:
    """Ids of these words alone, without what the host puts around them. Brackets are no weights here."""
    empty = [_id(item[0]) for item in _chunks(clip.tokenize(""))[0]]
    ids: list[int] = []
    escaped = words.replace("(", "\\(").replace(")", "\\)")
    for chunk in _chunks(clip.tokenize(escaped)):
        inner = [_id(item[0]) for item in chunk]
        begins = inner[:1] == empty[:1]  # CLIP's tokens have a beginning and an end, T5's only an end
        end = empty[1] if begins else empty[0]
        inner = inner[1:] if begins else inner
        ids += inner[: inner.index(end)] if end in inner else inner
    return ids
