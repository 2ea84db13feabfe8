"""What a lexicon of a language other than English holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..relations import Relation


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


def table(text: str) -> tuple[str, ...]:
    """Phrases separated by `|`."""
    return tuple(" ".join(part.split()) for part in text.split("|") if part.strip())


@dataclass(frozen=True)
class Lexicon:
    """The function words of one language, written in lower case.

    Attributes:
        code: ISO 639-1. name: the English name of the language.
        indefinite, definite, possessive, negative: determiners. numerals: "two", "some".
        contractions: a word -> the words it stands for, "zur" -> "zu der".
        elisions: what stands before an apostrophe, with it: "d'".
        relations: phrases before an object.
        positions: phrases for a place in the picture -> (column, row), -1 left or top, 1 right or bottom.
        conjunctions, separators, having, relative, pronouns, negations: "and", "while", "with", "which", "it", "not".
        verbs: "is", "stands". exists: "there is". of: "of". attaching: other prepositions.
        frames: "photo". artworks: "painting", which is a thing as well. places: "room".
        settings: "on" and "in" before these give no more than the setting. containers: what something can be in.
        before_noun: adjectives that stand before the noun where the others follow it.
        adverbs: relation phrases that take no object of their own: "encima", "encima y a la izquierda de ...".
        weak_on, weak_in: those relation phrases that ask for an article, or for a container.
        implied: words that carry their object: "darauf". skipped: adverbs that say nothing here.
        noun_last: adjectives stand before the noun. capital_nouns: nouns are written with a capital.
    """

    code: str
    name: str
    indefinite: frozenset[str]
    numerals: frozenset[str]
    definite: frozenset[str]
    possessive: frozenset[str]
    negative: frozenset[str]
    relations: dict[Relation, tuple[str, ...]]
    positions: dict[tuple[int, int], tuple[str, ...]]
    conjunctions: frozenset[str]
    separators: frozenset[str]
    having: frozenset[str]
    relative: frozenset[str]
    pronouns: frozenset[str]
    negations: frozenset[str]
    verbs: frozenset[str]
    exists: tuple[str, ...]
    of: frozenset[str]
    attaching: frozenset[str]
    frames: frozenset[str]
    artworks: frozenset[str]
    places: frozenset[str]
    settings: frozenset[str]
    containers: frozenset[str]
    before_noun: frozenset[str] = frozenset()
    adverbs: frozenset[str] = frozenset()
    weak_on: tuple[str, ...] = ()
    weak_in: tuple[str, ...] = ()
    implied: dict[str, Relation] = field(default_factory=dict)
    contractions: dict[str, str] = field(default_factory=dict)
    elisions: frozenset[str] = frozenset()
    skipped: frozenset[str] = frozenset()
    noun_last: bool = False
    capital_nouns: bool = False
