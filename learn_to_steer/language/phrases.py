"""The phrases of English that the parser knows, and what each does in the sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby, product

from .lexicons import english as lex
from .relations import CORNER_WORDS, SIDE_WORDS, SYNONYMS, Relation
from .words import NounPhrase


class Kind(Enum):
    """What a chunk does in the sentence."""

    NOUN = auto()
    RELATION = auto()  # "to the left of"
    POSITION = auto()  # "on the left": a place in the picture, no second object
    ORDER = auto()  # "from left to right"
    AND = auto()
    SEPARATOR = auto()  # comma, "while", "but"
    STOP = auto()  # end of a sentence
    VERB = auto()  # "is", "stands": leaves the subject as it is, may invert ("above it is a lamp")
    EXISTS = auto()  # "there is"
    WITH = auto()
    ATTACH = auto()  # "of", "wearing": the next noun phrase describes the one before
    WHICH = auto()
    PRONOUN = auto()
    EACH_OTHER = auto()


@dataclass(slots=True)
class Chunk:
    """One chunk. `word` is its text in lower case; `relation` is None where a relation is negated.

    position: (column, row) of a place in the picture, -1 left or top, 0 middle, 1 right or bottom.
    """

    kind: Kind
    word: str = ""
    noun: NounPhrase | None = None
    relation: Relation | None = None
    position: tuple[int, int] = (0, 0)


# What may stand for the thing at a side: "the left object is a cat", "left side: a cat".
SIDE_NOUNS = ("side", "half", "panel", "part", "object", "one", "item", "thing", "figure", "image", "picture",
              "animal", "person", "character", "subject")  # fmt: skip


def _frame_positions() -> Iterator[tuple[str, tuple[int, int]]]:
    """Phrases for a place in the picture -> (column, row)."""
    names = {"center": (0, 0), "centre": (0, 0), "middle": (0, 0), "top": (0, -1), "bottom": (0, 1)}
    for words, relation in (SIDE_WORDS | CORNER_WORDS).items():
        names[words] = relation.signs or (0, 0)
    tails = ("", " side", " hand side", " corner", " half", " part", " panel")
    for prep, the, degree, (name, place), tail in product(
        ("to", "on", "at", "in"), ("", "the "), ("", "far ", "extreme "), names.items(), tails
    ):
        if the or name in SIDE_WORDS or (tail and name in CORNER_WORDS):
            yield f"{prep} {the}{degree}{name}{tail}", place


def _order_phrases() -> Iterator[tuple[str, Relation]]:
    ways = {
        "left to right": Relation.LEFT, "right to left": Relation.RIGHT,
        "top to bottom": Relation.ABOVE, "bottom to top": Relation.BELOW,
    }  # fmt: skip
    for way, relation in ways.items():
        first, last = way.split(" to ")
        yield way, relation
        yield f"from {way}", relation
        yield f"from the {first} to the {last}", relation


# Relations whose object is the thing that was spoken of: (phrase, relation, name of the chunk).
BARE_RELATIONS = {
    **dict.fromkeys(lex.ON_TOP_PHRASES, (Relation.ABOVE, "on top")),
    "in front": (Relation.IN_FRONT_OF, "in front"),
    "in back": (Relation.BEHIND, "in back"),
}


def _phrase_table() -> dict[tuple[str, ...], Chunk | None]:
    """All known phrases, split into words; None marks an idiom to be passed over."""
    entries: dict[str, Chunk | None] = {w: Chunk(Kind.POSITION, w, position=p) for w, p in _frame_positions()}
    entries |= {w: Chunk(Kind.RELATION, w, relation=r) for w, r in SYNONYMS.items()}
    entries |= {w: Chunk(Kind.ORDER, w, relation=r) for w, r in _order_phrases()}
    entries |= {w: Chunk(Kind.RELATION, name, relation=r) for w, (r, name) in BARE_RELATIONS.items()}
    entries |= {
        w: Chunk(Kind.RELATION, "side by side", relation=Relation.NEXT_TO) for w in lex.SIDE_BY_SIDE_PHRASES
    }
    entries |= {w: Chunk(Kind.ATTACH, w) for w in lex.ATTACHING_IDIOMS}
    entries |= {w: Chunk(Kind.AND, w) for w in lex.AND_PHRASES}
    entries |= {w: Chunk(Kind.SEPARATOR, w) for w in lex.CLAUSE_PHRASES}
    entries |= {w: Chunk(Kind.EXISTS, w) for w in lex.EXISTENTIAL_PHRASES}
    entries |= {w: Chunk(Kind.EACH_OTHER, w) for w in ("each other", "one another")}
    entries |= {w: Chunk(Kind.ATTACH, w) for w in ("in which", "on which")}
    for prep, whose, side in product(("to", "on", "at"), ("its", "his", "her", "their"), ("left", "right")):
        for tail in ("", " side", " hand side"):
            entries[f"{prep} {whose} {side}{tail}"] = Chunk(
                Kind.RELATION, f"{whose} side", relation=SIDE_WORDS[side]
            )
    entries |= dict.fromkeys(lex.IDIOMS)
    return {tuple(phrase.split()): chunk for phrase, chunk in entries.items()}


PHRASES = _phrase_table()
# First word -> the lengths of the phrases that start with it, longest first.
LENGTHS = {
    first: sorted({len(words) for words in group}, reverse=True)
    for first, group in groupby(sorted(PHRASES), key=lambda words: words[0])
}
