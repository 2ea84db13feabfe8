"""Sides and views in words of their own: labels, "to the cat's left", "seen from below"."""

from __future__ import annotations

from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .matching import NEVER_NOUNS, PLACE_NAMES, PhraseMatcher
from .phrases import SIDE_NOUNS, Chunk, Kind
from .relations import CORNER_WORDS, SIDE_WORDS
from .words import Token

_SHOWING = frozenset("is are shows show contains has features holds : = -".split())
# After these a trailing "left" is a direction of movement, or what remains.
_NO_PLACE_BEFORE = frozenset(
    "turn turns go goes look looks looking step swipe move moves keep lean leans face facing turned tilted far "
    "nothing one way upper lower top bottom hard head".split()
)
_FROM = frozenset("above below behind beneath underneath under inside within over".split())
_LONGEST_OWNER = 6
_CORNERS = frozenset(corner.replace(" ", "-") for corner in CORNER_WORDS)


class SideMatcher(PhraseMatcher):
    """Each method looks for one form at token i and returns where to go on, 0 where it is not there."""

    def _camera(self, i: int, word: str) -> int:
        """ "seen from below": the camera's place; "peeking out from behind a tree" is the thing's."""
        if word != "from" or self._word(i + 1) not in _FROM:
            return 0
        self._close()
        if any(c.word in kinds.EMERGING for c in self.chunks[-3:]) and self._relation_at(i + 1):
            self.prefix = "from "
            return i + 1
        self._emit(Chunk(Kind.ATTACH, "from"))
        return i + 3 if self._word(i + 2) == "of" else i + 2

    def _label(self, i: int, word: str) -> int:
        """ "left: a knight", "upper left: a sun", "the right side shows a dragon" at the start of a clause."""
        if not self._clause_starts():
            return 0
        j = i + 1 if word == "the" else i
        k = j + 1
        signs = PLACE_NAMES.get(self._word(j))
        if corner := CORNER_WORDS.get(f"{self._word(j)} {self._word(k)}".replace("-", " ").strip()):
            signs, k = corner.signs, k + (self._word(j) not in _CORNERS)
        if signs is None:
            return 0
        first = k
        if self._word(k) == "hand":
            k += 1
        if self._word(k) in SIDE_NOUNS:
            k += 1
        elif j > i:
            return 0
        if [self._word(k), self._word(k + 1)] == ["of", "the"] and self._word(k + 2) in lex.FRAMES:
            k += 3  # "the left half of the image is a desert"
        mark = self._mark(k)
        bare = k == first
        if not bare and mark in lex.ARTICLES:
            self._emit(Chunk(Kind.POSITION, "label", position=signs))
            return k
        if mark == ":" or (mark in _SHOWING and not bare) or (
            mark == "," and bare and self._word(k + 1) in lex.DETERMINERS
        ):  # fmt: skip
            self._emit(Chunk(Kind.POSITION, "label", position=signs))
            return k + 1
        return 0

    def _trailing_side(self, i: int, word: str) -> int:
        """ "a fork left, a knife right", "dog (left), cat (right)"."""
        if word not in PLACE_NAMES:
            return 0
        token = self.tokens[i]
        if self._mark(i - 1) == "(" and self._mark(i + 1) == ")" and len(self.chunks) > 1 and not self.open:
            if self._last().word == "(":
                self.chunks.pop()
        elif self._mark(i - 1) == ":" and not self._word(i + 1) and not self.open:
            self.chunks.pop()  # "cat: left, dog: right"
        elif (
            not self.has_noun or self.open[-1].word in _NO_PLACE_BEFORE or self.open[-1].word.endswith("ing")
        ):
            return 0
        elif self.prompt[token.start - 1] in "([" and self.prompt[token.end : token.end + 1] in ")]":
            pass
        elif word not in SIDE_WORDS or (self._word(i + 1) and self._word(i + 1) != "and"):
            return 0
        self._emit(Chunk(Kind.POSITION, "beside", position=PLACE_NAMES[word]))
        return i + 1

    def _owners_side(self, i: int, word: str) -> int:
        """ "to the cat's left": a relation whose object is the owner."""
        if word not in ("to", "on", "at") or self._word(i + 1) not in lex.DETERMINERS:
            return 0
        for k in range(i + 2, i + 2 + _LONGEST_OWNER):
            owner = self._word(k)
            if not owner or owner in NEVER_NOUNS:
                return 0
            if owner.endswith(("'s", "s'")) or (self._mark(k + 1) == "'" and owner.endswith("s")):
                side = SIDE_WORDS.get(self._word(k + 1))
                after = k + 2
                if side is None:
                    return 0
                if self._word(after) == "hand":
                    after += 1
                if self._word(after) == "side":
                    after += 1
                if not self._ends_phrase(after) and self._word(after) not in lex.POSTURES:
                    return 0
                negated, self.negated = self.negated, False
                self._emit(Chunk(Kind.RELATION, "owner's side", relation=None if negated else side))
                self.determiner = self._word(i + 1)
                for token in self.tokens[i + 2 : k]:
                    self._add(token)
                last = self.tokens[k]
                self._add(Token(last.word[:-2], last.start, last.end - 2, True))
                self._close()
                return after
        return 0
