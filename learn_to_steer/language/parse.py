"""Prompt text -> relation triplets with character spans: what is certain, what is doubtful, what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .chinese import ChineseReader
from .chunks import chunk_prompt
from .discourse import Statement
from .doubts import doubt, doubt_of_setting, is_denied
from .european import EuropeanChunker
from .languages import LEXICONS, NAMES, languages_of, not_read
from .markup import strip_weighting
from .objects import NamedObject, objects_of
from .reader import Reader
from .relations import RelationTriplet

__all__ = ["MAX_RELATIONS", "Understanding", "parse_relations", "read_prompt", "triplets_as_json"]

MAX_RELATIONS = 16
"""More relations than this in one prompt are left out: no picture holds them."""
_NAMED = 5


@dataclass(frozen=True)
class Understanding:
    """What a prompt says.

    Attributes:
        relations: the certain relations, in reading order of the mentions, at most MAX_RELATIONS; or those given
            by hand.
        doubtful: relations understood but not steered; their `doubt` says why. They can be given by hand.
        language: ISO 639-1 code of the language the prompt was read in; "" where it is not read.
        note: one sentence about what was not read or left out, or "".
        objects: the things that are certainly named, those of the relations among them; see `objects`.
    """

    relations: tuple[RelationTriplet, ...]
    doubtful: tuple[RelationTriplet, ...] = ()
    language: str = "en"
    note: str = ""
    objects: tuple[NamedObject, ...] = ()


def read_prompt(prompt: str) -> Understanding:
    """The spatial relations that a prompt states, with those that are doubtful. Never raises for a `str`.

    Subject and object keep the prompt's own case; markup (`(a dog:1.2)`, `embedding:x`, comments) is read
    over, while spans index the original prompt. Articles, "a photo of" and style suffixes are left out,
    a pronoun is never a subject or an object. The time is linear in the prompt's length.
    """
    languages = languages_of(prompt)
    readings = [_read(prompt, language) for language in languages if language in NAMES]
    if languages[-1] not in NAMES and not any(reading.relations or reading.doubtful for reading in readings):
        return Understanding((), (), "", not_read(languages[-1]))
    return max(readings, key=lambda reading: len(reading.relations))


def _read(prompt: str, language: str) -> Understanding:
    text = strip_weighting(prompt)
    certain: list[RelationTriplet] = []
    doubtful: list[RelationTriplet] = []
    chunks = chunk_prompt(prompt) if language == "en" else []
    for statement in Reader(chunks).run() if language == "en" else _statements(prompt, language):
        if is_denied(statement) or statement.said.relation is None:
            continue
        reason = doubt(text, statement) if language == "en" else doubt_of_setting(statement)
        (doubtful if reason else certain).append(_triplet(statement, reason))
    kept, note = limited(certain)
    return Understanding(kept, tuple(doubtful[:MAX_RELATIONS]), language, note, objects_of(chunks, kept))


def _statements(prompt: str, language: str) -> list[Statement]:
    """Of a prompt in a language other than English."""
    if language == "zh":
        return ChineseReader(prompt).run()
    return Reader(EuropeanChunker(prompt, LEXICONS[language]).run()).run()


def _triplet(statement: Statement, reason: str) -> RelationTriplet:
    subject, other, relation = statement.subject, statement.object, statement.said.relation
    assert relation is not None
    return RelationTriplet(
        subject.text, relation, other.text, subject.span, other.span, subject.noun, other.noun, reason
    )


def limited(relations: Sequence[RelationTriplet]) -> tuple[tuple[RelationTriplet, ...], str]:
    """The first MAX_RELATIONS, and a sentence that names the others, "" where there are none."""
    kept, rest = tuple(relations[:MAX_RELATIONS]), relations[MAX_RELATIONS:]
    if not rest:
        return kept, ""
    named = "; ".join(f"{t.subject} {t.relation} {t.object}" for t in rest[:_NAMED])
    more = f"; and {len(rest) - _NAMED} more" if len(rest) > _NAMED else ""
    return kept, f"Only the first {MAX_RELATIONS} relations are used, left out: {named}{more}."


def parse_relations(prompt: str) -> list[RelationTriplet]:
    """The relations of `read_prompt` that are certain enough to be steered, in reading order; [] if none."""
    return list(read_prompt(prompt).relations)


def triplets_as_json(prompt: str) -> dict[str, Any]:
    """{"prompt": ..., "triplets": [[subject, relation, object], ...]} with canonical relation names.

    Further keys, where there is something to say: "doubtful": [[subject, relation, object, reason], ...],
    "language" where it is not English ("" where it is not read) and "note", a sentence.
    """
    understood = read_prompt(prompt)
    record: dict[str, Any] = {
        "prompt": prompt,
        "triplets": [[t.subject, str(t.relation), t.object] for t in understood.relations],
    }
    if understood.doubtful:
        record["doubtful"] = [[t.subject, str(t.relation), t.object, t.doubt] for t in understood.doubtful]
    if understood.language != "en":
        record["language"] = understood.language
    if understood.note:
        record["note"] = understood.note
    return record
