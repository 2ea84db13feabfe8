"""The things that a prompt names and that should be in its picture: "a cat and a dog" names two.

Only what is certain counts, as with relations: a thing that is named for itself, with an article or a number, and that can
be seen. What describes something else ("a cat with a hat", "a man in a suit") is part of it, and the picture itself ("a
photo of ...") is no thing in it. Nouns can be told so in English alone; in other languages only the objects of relations
are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .discourse import is_plural
from .doubts import is_abstract
from .groups import SHOWING, is_setting
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .matching import TEXT
from .phrases import Chunk, Kind
from .relations import RelationTriplet
from .words import NounPhrase

Span = tuple[int, int]

_NO_THINGS = (
    lex.FRAMES | lex.ARTWORKS | lex.STYLE_WORDS | lex.SCENERY | lex.NO_THINGS | lex.EMPTY_PRONOUNS
    | kinds.EVENTS | kinds.LIGHT | kinds.TAGS | kinds.UNITS | kinds.BODY | kinds.MASSES
    | frozenset("sky skies weather rain snow wind storm air group crowd pair couple side top bottom".split())
)  # fmt: skip

_NAMING = lex.DETERMINERS - frozenset("no neither each every any".split())


@dataclass(frozen=True)
class NamedObject:
    """One thing of a prompt. text: its words without an article. noun: the characters [start, end) of its noun in the
    prompt. several: more than one of it is asked for, or it is named more than once."""

    text: str
    noun: Span
    several: bool = False


def objects_of(chunks: Sequence[Chunk], relations: Sequence[RelationTriplet]) -> tuple[NamedObject, ...]:
    """The things of a prompt, in reading order: those of its certain relations, and those named for themselves.

    chunks: of an English prompt, none for another. The same word twice is one thing, named more than once.
    """
    phrases = {c.noun.noun: c.noun for c in chunks if c.noun is not None}
    found: dict[Span, NamedObject] = {}
    for triplet in relations:
        for noun, text in ((triplet.subject_noun, triplet.subject), (triplet.object_noun, triplet.object)):
            found[noun] = NamedObject(text, noun, _several(phrases.get(noun)))
    heads = {phrases[noun].head for noun in found if noun in phrases}
    for phrase in _alone(chunks):
        if phrase.head not in heads and _is_thing(phrase):
            heads.add(phrase.head)
            found[phrase.noun] = NamedObject(phrase.text, phrase.noun, _several(phrase))
    times = Counter(c.noun.head for c in chunks if c.noun is not None)
    again = {head for head, count in times.items() if count > 1}
    return tuple(
        NamedObject(one.text, one.noun, one.several or (noun in phrases and phrases[noun].head in again))
        for noun, one in sorted(found.items())
    )


def with_given(
    objects: Sequence[NamedObject], relations: Sequence[RelationTriplet]
) -> tuple[NamedObject, ...]:
    """The things of relations given by hand, and those of the prompt that are named elsewhere than these."""
    given: dict[Span, NamedObject] = {}
    for triplet in relations:
        for noun, text in ((triplet.subject_noun, triplet.subject), (triplet.object_noun, triplet.object)):
            same = [one for one in objects if _meet(one.noun, noun)]
            given[noun] = NamedObject(text, noun, any(one.several for one in same))
    rest = [one for one in objects if not any(_meet(one.noun, noun) for noun in given)]
    return tuple(sorted([*given.values(), *rest], key=lambda one: one.noun))


def _meet(a: Span, b: Span) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _alone(chunks: Sequence[Chunk]) -> list[NounPhrase]:
    """Noun phrases that do not describe another one."""
    found: list[NounPhrase] = []
    state = (
        "alone"  # of the next noun: "alone", "related" to the one before, or "described" by what came before
    )
    opening = False  # "a photo of ...": what follows is named for itself
    for i, chunk in enumerate(chunks):
        if chunk.kind is Kind.NOUN and chunk.noun is not None:
            opening = _opens(chunk.noun, _joints(chunks, i + 1))
            if state == "alone" and not opening:
                found.append(chunk.noun)
        elif chunk.kind in (Kind.STOP, Kind.EXISTS):
            state, opening = "alone", False
        elif chunk.kind in (Kind.SEPARATOR, Kind.AND):
            # "a cat left of a dog, a bird": another thing; "a cat with a hat, a scarf": who knows.
            state = "alone" if state == "related" else state
        elif chunk.kind in (Kind.RELATION, Kind.VERB):
            state = "related" if state == "alone" else state
        elif chunk.kind is not Kind.POSITION and not opening:
            state = "described"
    return found


def _opens(phrase: NounPhrase, joints: set[str]) -> bool:
    picture = phrase.head in lex.FRAMES | lex.ARTWORKS and bool(joints & (SHOWING | {"of", "with"}))
    return picture or is_setting(phrase, joints)


def _joints(chunks: Sequence[Chunk], start: int) -> set[str]:
    """What joins the thing before `start` to the next one."""
    end = start
    while end < len(chunks) and chunks[end].kind in (Kind.ATTACH, Kind.WITH, Kind.EXISTS, Kind.WHICH):
        end += 1
    return {chunk.word for chunk in chunks[start:end]}


def _is_thing(phrase: NounPhrase) -> bool:
    counted = phrase.words[0] in lex.NUMERALS or phrase.words[0].isdigit()
    return (
        (phrase.determiner in _NAMING or counted)
        and not phrase.only_adjectives
        and TEXT not in phrase.words
        and phrase.head not in _NO_THINGS
        and not is_abstract(phrase)
    )


def _several(phrase: NounPhrase | None) -> bool:
    if phrase is None:
        return False
    return (
        phrase.determiner not in ("a", "an", "another", "this")
        and phrase.words[0] != "one"
        and is_plural(phrase)
    )
