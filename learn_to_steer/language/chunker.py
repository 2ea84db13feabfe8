"""English prompt text -> a flat list of chunks: noun phrases, relation phrases, conjunctions, verbs.

No part-of-speech tagger: every word is either one of the few hundred function words of the lexicon or it
belongs to a noun phrase. One pass over the text, so the time is linear in its length.
"""

from __future__ import annotations

from .lexicons import english as lex
from .matching import TEXT
from .phrases import Chunk, Kind
from .relations import Relation
from .sides import SideMatcher
from .words import SEPARATORS, STOPS, Token, is_adverb, is_emoji, is_modifier, is_participle

_VERBS = lex.BE_FORMS | lex.POSTURES | lex.ATTACHING
_PERSONAL = {
    **dict.fromkeys(("he", "him", "he's"), "him"),
    **dict.fromkeys(("she", "her", "she's"), "her"),
    **dict.fromkeys(("they", "them", "they're"), "them"),
    **dict.fromkeys(("itself", "himself", "herself", "themselves"), "one"),
}
# Determiners that may stand for a thing themselves: "on the bottom of each".
_ALONE = frozenset("each both all some this these those any another neither every".split())
# Relations that carry their object: a pronoun is put behind them.
IMPLIED = {
    **dict.fromkeys(("on top", "in front", "in back", "its side"), "it"),
    "his side": "him", "her side": "her", "their side": "them",
}  # fmt: skip
_COMPOUND_ENDS = frozenset("ride stand rest place float dance walk swim jump perch".split())


class Chunker(SideMatcher):
    """The one pass over the tokens."""

    def run(self) -> list[Chunk]:
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self._close()
        return self.chunks

    def _phrase(self, i: int, count: int, chunk: Chunk | None) -> int:
        """Emit the chunk of the phrase of `count` tokens at i."""
        if chunk is None:
            self._close()
        elif chunk.kind is Kind.RELATION:
            negated, self.negated = self.negated, False
            word, self.prefix = self.prefix + chunk.word, ""
            self._emit(Chunk(Kind.RELATION, word, relation=None if negated else chunk.relation))
            if chunk.word in IMPLIED:
                self._emit(Chunk(Kind.PRONOUN, IMPLIED[chunk.word]))
            elif chunk.word == "side by side":
                self._emit(Chunk(Kind.EACH_OTHER))
        elif chunk.kind is Kind.POSITION and self.negated:
            self.negated = False
            self._close()
        elif chunk.word == "can be seen" and (self.has_noun or self._last().kind is Kind.NOUN):
            self._emit(Chunk(Kind.VERB, chunk.word))  # "a cat can be seen to the left of a dog"
        else:
            self._emit(Chunk(chunk.kind, chunk.word, relation=chunk.relation, position=chunk.position))
        return i + count

    def _step(self, i: int) -> int:
        token = self.tokens[i]
        word = token.word
        if token.gap == "paragraph" or (word == "break" and self.prompt[token.start : token.end] == "BREAK"):
            self._emit(Chunk(Kind.STOP))
            if word == "break":
                return i + 1
        elif token.gap == "line" and word in lex.DETERMINERS and self.open:
            self._emit(Chunk(Kind.SEPARATOR, ","))
        if token.glued and self.open:
            self._add(token)
            return i + 1
        if word == TEXT and self.has_noun:
            self._close()  # "the words "hello" below a cat": the words
            return i + 1
        if is_emoji(token):
            self._emoji(i, token)
            return i + 1
        if token.is_word and (after := self._special(i, word)):
            return after
        found = self._match(i)
        if found:
            return self._phrase(i, *found)
        if not token.is_word:
            self._punctuation(i, token)
        elif self._adverb_before_relation(i):
            self._close()
        elif not self._function_word(i, word):
            self._content_word(i, token)
        return i + 1

    def _special(self, i: int, word: str) -> int:
        """Where to go on behind a form that is no fixed phrase, 0 where none starts at token i."""
        if word == "a" and self._word(i + 1) in ("little", "bit", "touch") and self._relation_at(i + 2):
            self._close()
            return i + 2
        for special in (self._camera, self._label, self._trailing_side, self._owners_side):
            if after := special(i, word):
                return after
        return 0

    def _emoji(self, i: int, token: Token) -> None:
        """An emoji beside words decorates them; alone it is the noun ("a 🐶 left of a 🐱")."""
        if self.has_noun:
            self._close()
        elif self._ends_phrase(i + 1):
            self._add(token)
            self._close()
        else:
            self.open = []

    def _punctuation(self, i: int, token: Token) -> None:
        if token.word == "|" and (
            self._last().kind is Kind.RELATION and not self.open or self._relation_at(i + 1)
        ):
            self._close()  # "dog | left of | cat"
        elif token.word in STOPS:
            self._emit(Chunk(Kind.STOP, token.word))
        elif token.word == "(":  # an aside: what it names describes the thing before it
            self._emit(Chunk(Kind.ATTACH, "("))
        elif token.word[0] in SEPARATORS:
            self.negated = False
            self._emit(Chunk(Kind.SEPARATOR, ","))
        else:
            self._close()

    def _function_word(self, i: int, word: str) -> bool:
        following = self._word(i + 1)
        if word == "up" and self.open and self.open[-1].word == "close":
            self.tokens[i].glued = True
            self._add(self.tokens[i])
        elif word == "that":
            verb_follows = following in _VERBS or self._relation_at(i + 1)
            if verb_follows or is_participle(following) or following in lex.DETERMINERS:
                self._emit(Chunk(Kind.WHICH, word))
            else:
                self._close()
                self.determiner = word
        elif word == "no" and following == "longer":
            self._close()
            self.negated = True
        elif word == "it's" and self._last().kind in (Kind.WITH, Kind.ATTACH) and not self.open:
            self.determiner = "its"
        elif word in _ALONE and self._ends_phrase(i + 1):
            self._emit(Chunk(Kind.PRONOUN, "one"))
        elif word in ("half", "partly", "partially") and self.has_noun and is_participle(following):
            self._close()  # "a pot half hidden behind a pan"
        elif word in lex.DETERMINERS and not (word in ("her", "no") and self._ends_phrase(i + 1)):
            self._close()
            self.determiner = word
        elif (
            word == "not"
            and following in lex.ARTICLES
            and not self.open
            and self._last().kind is Kind.SEPARATOR
        ):
            self._emit(Chunk(Kind.ATTACH, word))  # "a car, not a truck, in front of a house"
        elif word in lex.NEGATIONS:
            self._close()
            self.negated = True
        elif word in lex.PRONOUNS or word == "her":
            self._emit(Chunk(Kind.PRONOUN, _PERSONAL.get(word, "it")))
        elif word in lex.EMPTY_PRONOUNS and word not in lex.NUMERALS:
            self._emit(Chunk(Kind.PRONOUN, "one"))
        elif word == "whose":
            self._emit(Chunk(Kind.ATTACH, word))
        elif word in lex.RELATIVE_PRONOUNS:
            self._emit(Chunk(Kind.WHICH, word))
        elif word == "with":
            self._emit(Chunk(Kind.WITH, word))
        elif word in lex.BE_FORMS:
            self._emit(Chunk(Kind.VERB, word))
        elif word == "can" and self.open and following not in ("be", "see", "have"):
            return False  # "a trash can"
        elif word in _COMPOUND_ENDS and self.has_noun and self.determiner in ("a", "an"):
            return False  # "a hat stand"
        elif word in lex.POSTURES and not self._modifies(i):
            self._emit(Chunk(Kind.VERB, word))
        elif word == "by" and not self.open and self._last().word in lex.STANDING:
            # "standing by a tree" is a place, "painted by a friend" is not.
            self._emit(Chunk(Kind.RELATION, "by", relation=Relation.NEXT_TO))
        elif word in lex.ATTACHING and not (self.determiner and not self.open):
            self._emit(Chunk(Kind.ATTACH, word))
        elif word in lex.SKIPPED and not (self.determiner and not self.open):
            self._close()
        else:
            return False
        return True

    def _modifies(self, i: int) -> bool:
        """Whether a verb form at i stands before its noun ("a flying bird") rather than after it."""
        if self._word(i) in lex.TRANSITIVE and not self.determiner and not self.open:
            return False
        if self._ends_phrase(i + 1):
            return False
        if self.determiner or self.open:
            return not self.has_noun
        return self._last().kind not in (Kind.NOUN, Kind.VERB, Kind.WHICH, Kind.PRONOUN) or not self.chunks

    def _is_unknown_verb(self, i: int, word: str) -> bool:
        """ "a chef stirs a pot": after a noun with its article, a word in -s before a new article is a verb."""
        if (
            not self.has_noun
            or not word.endswith("s")
            or word.endswith(("ss", "us", "is", "as", "ens", "'s"))
        ):
            return False
        following = self._word(i + 1)
        if following in lex.DETERMINERS:
            return bool(self.determiner)
        ends = self._relation_at(i + 1) or (is_modifier(following) and not following.endswith(("ed", "ing")))
        return self.determiner in ("a", "an") and ends

    def _content_word(self, i: int, token: Token) -> None:
        word = token.word
        if (
            is_participle(word)
            and f"{word} {self._word(i + 1)}" not in lex.COMPOUNDS
            and not self._modifies(i)
        ):
            self._emit(Chunk(Kind.ATTACH, word))
        elif (
            word == "left"
            and self.has_noun
            and self._word(i + 1) in ("on", "in", "at", "out", "alone", "by", "under")
        ):
            self._emit(Chunk(Kind.ATTACH, word))  # "a note left on the table"
        elif word == "left" and not self.open and self._last().kind is Kind.PRONOUN:
            self._emit(Chunk(Kind.ATTACH, word))  # "he left on a train"
        elif self._is_unknown_verb(i, word):
            self._emit(Chunk(Kind.ATTACH, word))
        elif is_adverb(word) and self.has_noun:
            self._close()
        elif (
            is_adverb(self._word(i - 1)) and not self.has_noun and not self.determiner and word.endswith("s")
            and self._last().kind in (Kind.NOUN, Kind.SEPARATOR)
        ):  # fmt: skip
            self.open = []
            self._emit(Chunk(Kind.ATTACH, word))  # "the glove dramatically overshadows a pair of pliers"
        elif (word in lex.NUMERALS or word.isdigit()) and self.has_noun:
            self._close()
            self._add(token)
        else:
            self._add(token)
