"""What a prompt says of two things, and the things spoken of so far."""

from __future__ import annotations

from dataclasses import dataclass

from .groups import CONNECTORS, GroupReader
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .phrases import Chunk, Kind
from .relations import Relation
from .words import NounPhrase

_RECENT = 24
_PLURALS = frozenset("children people men women sheep geese mice deer fish couple pair group crowd".split())


@dataclass(frozen=True)
class Said:
    """A relation as a prompt words it. `relation` is None where it is denied; `verb` stands before it."""

    relation: Relation | None
    word: str
    verb: str = ""


@dataclass(frozen=True)
class Statement:
    """One relation between two noun phrases.

    own: the object is a part of the subject's own body. setting: it is only where the subject is, "on the beach".
    """

    subject: NounPhrase
    said: Said
    object: NounPhrase
    own: bool = False
    setting: bool = False


class Discourse(GroupReader):
    """The statements found so far, and what the next words go on about."""

    def __init__(self, chunks: list[Chunk]) -> None:
        super().__init__(chunks)
        self.found: dict[tuple[object, ...], Statement] = {}
        self.subjects: list[NounPhrase] = []  # what the next relation says something about
        self.head: list[NounPhrase] = []  # subjects of the relation before, within the clause
        self.antecedent: list[NounPhrase] = []  # subjects of the clause before: what "it" means
        self.objects: list[NounPhrase] = []  # objects of the relation before, within the sentence
        self.last_objects: list[NounPhrase] = []  # objects of the relation before, in whatever clause
        self.last_said: Relation | None = None  # that relation
        self.pair: list[NounPhrase] = []  # both sides of the relation before, for "them"
        self.recent: list[NounPhrase] = []  # the last few things named, for "her" and "him"
        self.setting: NounPhrase | None = None  # "a beach with ...": the beach
        self.topic: list[NounPhrase] = []  # "behind it is a garden": what "it" goes on to mean
        self.shared: list[NounPhrase] = []  # "a pan left of it and a pot right of it": it
        self.whole: NounPhrase | None = None  # "a plate with a fork on the left": the plate
        self.reference: list[NounPhrase] = []  # "left of the house is a tree, to the right a car": the house
        self.placed: tuple[NounPhrase, tuple[int, int]] | None = None  # last "X on the left"
        self.position_first = False  # "on the left is a dog, on the right ..."

    def _new_clause(self, subjects: list[NounPhrase]) -> None:
        self.antecedent = self.head or self.subjects or self.antecedent
        self.subjects, self.head, self.objects = subjects, [], []

    def _remember(self, phrases: list[NounPhrase]) -> None:
        for phrase in phrases:
            self.recent += [phrase] + ([phrase.attribute] if phrase.attribute else [])
        del self.recent[:-_RECENT]

    def _emit(
        self, subjects: list[NounPhrase], said: list[Said], objects: list[NounPhrase], own: bool = False
    ) -> None:
        for subject in subjects:
            for one in said:
                for other in objects:
                    if one.relation is not None and subject.span != other.span:
                        key = (subject.span, one.relation, other.span)
                        self.found.setdefault(key, Statement(subject, one, other, own))
        if subjects and objects:
            self.pair = [subjects[0], objects[-1]]
            self.last_objects, self.last_said = objects, said[-1].relation

    def _setting_at(self, i: int, subject: NounPhrase) -> None:
        chunk, other = self._at(i), self._at(i + 1).noun
        if chunk.relation is not None and other is not None and subject.span != other.span:
            if other.determiner in lex.POSSESSIVES and subject.attribute:
                subject = subject.attribute
            key = (subject.span, chunk.relation, other.span)
            said = Said(chunk.relation, chunk.word)
            self.found.setdefault(key, Statement(subject, said, other, setting=True))

    def _pronoun_subject(self, word: str) -> None:
        if word == "one":
            self._new_clause([])
        else:
            known = self.head or self.subjects or self.antecedent
            self._new_clause(self._meant(word, known))

    def _meant(self, word: str, known: list[NounPhrase]) -> list[NounPhrase]:
        """What "her", "him", "them" or "it" stands for, where `known` are the subjects before."""
        if word in ("her", "him"):
            fitting = (kinds.WOMEN if word == "her" else kinds.MEN) | (
                kinds.PEOPLE - (kinds.MEN if word == "her" else kinds.WOMEN)
            )
            for noun in reversed(self.recent):
                if noun.head in fitting:
                    return [noun]
        elif word == "them":
            if known and (len(known) > 1 or is_plural(known[-1])):
                return known
            living = kinds.PEOPLE | kinds.ANIMALS
            several = [n for n in self.recent if is_plural(n) and n.head in living and n not in self.subjects]
            return several[-1:] or self.pair
        elif known and known[-1].head in kinds.PEOPLE:
            for noun in reversed(self.recent):
                if noun.head not in kinds.PEOPLE and noun not in self.subjects:
                    return [noun]
        return known

    def _meant_object(self, word: str) -> list[NounPhrase]:
        """The pronoun in "not left of a tree but right of it": the object before; a person may be meant too."""
        return self._meant(word, self.objects if word == "it" else self.head)[-1:]

    def _with_before(self, i: int) -> bool:
        return self._at(i - 1).kind is Kind.WITH or (
            self.whole is not None and self._at(i - 1).kind in CONNECTORS
        )

    def _starts_here(self, i: int) -> bool:
        before = self._at(i - 1).kind
        return not self.subjects or before in (Kind.SEPARATOR, Kind.AND, Kind.STOP, Kind.EXISTS)


def is_plural(noun: NounPhrase) -> bool:
    """Whether the words name several things."""
    return noun.head.endswith("s") or noun.head in _PLURALS or noun.words[0] in lex.NUMERALS
