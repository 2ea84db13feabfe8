"""Chunks -> statements "this thing stands so to that thing".

The list of chunks is read from left to right, once. The reader keeps the current subjects, and the subjects
of the relation before (`head`), because the three ways to go on mean three things:

    a frog above a sneaker below a teapot       the object is the next subject
    a cat left of a dog and above a mat         "and" + relation: the subject before is meant again
    a cat left of a dog and a bird above a mat  "and" + noun + relation: a new subject
"""

from __future__ import annotations

from .discourse import Statement
from .groups import CONNECTORS, is_setting
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .phrases import Kind
from .relation_reader import RelationReader


class Reader(RelationReader):
    """One reading of a chunk list. Methods named after a chunk take its index and return where to go on."""

    def run(self) -> list[Statement]:
        """The statements of the chunk list, in reading order of the mentions."""
        i = 0
        while i < len(self.chunks):
            kind = self.chunks[i].kind
            if kind is Kind.NOUN:
                i = self._subject(i)
            elif kind is Kind.RELATION:
                i = self._relation(i)
            elif kind is Kind.POSITION:
                i = self._position(i)
            elif kind is Kind.ORDER:
                i = self._order(i)
            elif kind in CONNECTORS:
                i = self._connector(i)
            elif kind is Kind.ATTACH and self._opens_with_setting(i):
                self.setting, i = self._phrase(i + 1, as_subject=False, may_touch=False)
            elif (
                kind is Kind.ATTACH and self.subjects and self._at(self._skip(i, Kind.ATTACH, Kind.WITH)).noun
            ):
                i = self._more_about_subject(i) if self._describes_before(i) else i + 1
            else:
                if kind in (Kind.STOP, Kind.EXISTS):
                    self._new_clause([])
                    if kind is Kind.STOP and self.chunks[i].word != ";":
                        self.whole, self.reference, self.setting = None, [], None
                        self.last_objects, self.last_said = [], None
                elif kind is Kind.PRONOUN:
                    self._pronoun_subject(self.chunks[i].word)
                i += 1
        return sorted(self.found.values(), key=_reading_order)

    def _subject(self, i: int) -> int:
        start, first = i, self.chunks[i].noun
        if first and first.only_adjectives and not first.determiner and self._at(i - 1).kind is Kind.VERB:
            return i + 1  # "the dog, which is brown, ..."
        # "a shirt that has a drawing of a ship on it": this drawing is no opening.
        while self._at(i - 1).kind is not Kind.ATTACH and (noun := self._at(i).noun) is not None:
            j = self._skip(i + 1, Kind.ATTACH, Kind.WITH, Kind.EXISTS, Kind.WHICH)
            joints = {c.word for c in self.chunks[i + 1 : j]}
            if i == 0 and noun.head in lex.FRAMES | lex.ARTWORKS and "with" in joints:
                joints.add("of")  # "a book page with an owl"
            if j == i + 1 or self._at(j).kind is not Kind.NOUN or not is_setting(noun, joints):
                break
            self.setting = None if noun.head in lex.FRAMES | lex.ARTWORKS else noun
            i = j
        if i > start and self._at(i).noun is None:
            return i
        phrases, _, end = self._group(i, as_subject=True)
        self._remember(phrases)
        self.topic = []
        if self.whole and self._at(i - 1).kind in CONNECTORS and self._stands_aside(end):
            whole = self.whole
            self._new_clause([whole])
            whole.attribute = phrases[-1]
            return end
        owner = (self.head or self.subjects)[-1:]
        joined = self._at(i - 1).kind is Kind.AND and not phrases[-1].attribute
        if owner and owner[0].attribute and joined and self._on_ones_own(end):
            # "a wizard with a staff in his hand and a raven on his shoulder"
            owner[0].attribute = phrases[-1]
            self.subjects = self.head = owner
            return end
        self._new_clause(phrases)
        return end

    def _opens_with_setting(self, i: int) -> bool:
        """ "In a kitchen, a cook ..." at the start of a sentence: the kitchen is where it all is."""
        before = self._at(i - 1).kind
        opens = not self.subjects and before in (Kind.STOP, Kind.SEPARATOR, Kind.AND)
        return opens and self._at(i).relation is not None and self._at(i + 1).kind is Kind.NOUN

    def _stands_aside(self, i: int) -> bool:
        """Whether a place without an object follows: "and a knife on the right"."""
        if self._at(i).kind is Kind.RELATION:
            ends = self._at(i + 1).kind in (Kind.STOP, *CONNECTORS) or self._at(i + 1).word == "it"
            return ends or self._at(i).word in ("on top", "in front", "in back")
        return self._at(i).kind is Kind.POSITION

    def _more_about_subject(self, i: int) -> int:
        """ "..., holding a gun", "and sits on a sidewalk": the subject stays."""
        subjects = self.head or self.subjects
        i = self._skip(i, Kind.ATTACH, Kind.WITH)
        if self._at(i - 1).relation is not None:
            self._setting_at(i - 1, subjects[-1])
        phrase, end = self._phrase(i, as_subject=True)
        self._remember([phrase])
        end = self._after_attributes(end, phrase, True)
        subjects[-1].attribute = phrase
        self.subjects = subjects
        return end

    def _connector(self, i: int) -> int:
        """After "and" or a comma a bare relation goes back to the subject before: "... and above a mat"."""
        j = self._skip(i, *CONNECTORS)
        only_comma = all(self.chunks[k].kind is Kind.SEPARATOR for k in range(i, j))
        k = self._skip(j, Kind.VERB, Kind.ATTACH, Kind.WHICH)
        which = any(self.chunks[m].kind is Kind.WHICH for m in range(j, k))
        if self._at(k).kind in (Kind.RELATION, Kind.POSITION) and not (only_comma and which) and self.head:
            self.subjects = self.head
        if only_comma and self._at(j).kind is Kind.VERB and self._at(k).kind is Kind.RELATION:
            self._back_to_somebody()
        return j

    def _back_to_somebody(self) -> None:
        """ "a girl, long hair, sitting on a bench": what sits is the girl."""
        current = (self.head or self.subjects)[-1:]
        if not current or current[0].determiner or current[0].head in kinds.PEOPLE | kinds.ANIMALS:
            return
        if current[0].head not in kinds.BODY | lex.WEARABLES | kinds.TAGS | {"solo"}:
            return
        for noun in reversed(self.recent):
            if noun.head in kinds.PEOPLE | kinds.ANIMALS:
                self.subjects = self.head = [noun]
                return


def _reading_order(statement: Statement) -> tuple[int, int]:
    starts = (statement.subject.span[0], statement.object.span[0])
    return min(starts), max(starts)
