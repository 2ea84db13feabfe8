"""English prompt text -> a flat list of chunks: noun phrases, relation phrases, conjunctions, verbs.

No part-of-speech tagger: every word is either one of the few hundred function words of the lexicon or it
belongs to a noun phrase. One pass over the text, so the time is linear in its length.
"""

from __future__ import annotations

from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .markup import strip_weighting, text_spans
from .phrases import LENGTHS, PHRASES, SIDE_NOUNS, Chunk, Kind
from .relations import CORNER_WORDS, SIDE_WORDS, Relation
from .words import (
    SEPARATORS,
    STOPS,
    NounPhrase,
    Token,
    is_adverb,
    is_emoji,
    is_modifier,
    is_participle,
    make_noun_phrase,
    tokenize,
)

_VERBS = lex.BE_FORMS | lex.POSTURES | lex.ATTACHING
_NEVER_NOUNS = lex.DETERMINERS | lex.BE_FORMS | lex.ATTACHING | lex.PRONOUNS | {"with"}
_DEGREES = frozenset("far extreme upper lower very top bottom hard alt".split())
_PLACE_NAMES = {
    **{word: relation.signs or (0, 0) for word, relation in SIDE_WORDS.items()},
    "top": (0, -1), "bottom": (0, 1), "middle": (0, 0), "center": (0, 0), "centre": (0, 0),
}  # fmt: skip
_SHOWING = frozenset("is are shows show contains has features holds : = -".split())
# After these a trailing "left" is a direction of movement, or what remains.
_NO_PLACE_BEFORE = frozenset(
    "turn turns go goes look looks looking step swipe move moves keep lean leans face facing turned tilted far "
    "nothing one way upper lower top bottom hard head".split()
)
_FROM = frozenset("above below behind beneath underneath under inside within over".split())
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
_COMPOUND_ENDS = frozenset("stand rest place float dance walk swim jump perch".split())
# A quotation that is text to be read becomes one word of this form.
TEXT = '"'
_LONGEST_OWNER = 6


class Chunker:
    """The one pass over the tokens. `open` holds the words of the noun phrase being read."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.text = strip_weighting(prompt)
        self.tokens = _with_quotations(self.text, tokenize(self.text))
        self.chunks: list[Chunk] = []
        self.open: list[Token] = []
        self.has_noun = False  # whether `open` holds more than modifiers
        self.determiner = ""
        self.negated = False
        self.prefix = ""  # "from " before "behind a tree", which then tells where a thing comes out

    def run(self) -> list[Chunk]:
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self._close()
        return self.chunks

    # -- the noun phrase being read --

    def _word(self, i: int) -> str:
        """The word at i, or "" for punctuation and beyond the end."""
        return self.tokens[i].word if 0 <= i < len(self.tokens) and self.tokens[i].is_word else ""

    def _mark(self, i: int) -> str:
        """The token at i, word or punctuation, "" beyond the ends."""
        return self.tokens[i].word if 0 <= i < len(self.tokens) else ""

    def _add(self, token: Token) -> None:
        self.open.append(token)
        self.has_noun = self.has_noun or not is_modifier(token.word)

    def _emit(self, chunk: Chunk) -> None:
        self._close()
        self.chunks.append(chunk)

    def _close(self) -> None:
        tokens, determiner = self.open, self.determiner
        self.open, self.has_noun, self.determiner = [], False, ""
        while len(tokens) > 1 and tokens[-1].word in lex.STYLE_WORDS:
            tokens = tokens[:-1]
        if not tokens:
            return
        if tokens[-1].word in ("one", "ones") or all(
            t.word in lex.NUMERALS or t.word.isdigit() for t in tokens
        ):
            self.chunks.append(Chunk(Kind.PRONOUN, "one"))
            return
        if not determiner and self.text[tokens[0].start].islower() and all(is_adverb(t.word) for t in tokens):
            return
        if not determiner and all(is_participle(t.word) for t in tokens):
            self.chunks.append(Chunk(Kind.ATTACH, tokens[-1].word))
            return
        self.chunks.append(Chunk(Kind.NOUN, noun=make_noun_phrase(self.text, tokens, determiner)))

    def _last(self) -> Chunk:
        return self.chunks[-1] if self.chunks else Chunk(Kind.STOP)

    def _clause_starts(self) -> bool:
        last = self._last().kind
        return (
            not self.open
            and not self.determiner
            and last in (Kind.STOP, Kind.SEPARATOR, Kind.AND, Kind.ATTACH)
        )

    # -- phrases --

    def _match(self, i: int) -> tuple[int, Chunk | None] | None:
        """The longest known phrase at token i -> (its number of tokens, its chunk)."""
        for length in LENGTHS.get(self.tokens[i].word, ()):
            words = tuple(t.word for t in self.tokens[i : i + length])
            if words in PHRASES:
                chunk = PHRASES[words]
                if chunk is not None and chunk.kind is Kind.RELATION and not self._fits(i, words):
                    continue
                if chunk is not None and chunk.kind is Kind.POSITION and self._is_adjective(i, words):
                    continue
                return length, chunk
        return None

    def _fits(self, i: int, words: tuple[str, ...]) -> bool:
        """Whether a relation phrase is meant as one: not "the right of way", "a near miss"."""
        if self.determiner and len(self.open) < 3 and all(t.word in _DEGREES for t in self.open):
            return False
        following = self._word(i + len(words))
        if words in (("left", "to"), ("right", "to"), ("left", "from"), ("right", "from")):
            said_of_something = bool(self.open) or self._last().kind is Kind.VERB
            return said_of_something and following in lex.ARTICLES and self._word(i + 3) != "start"
        if words == ("nearby",):
            # "a nearby galaxy", "nearby galaxy": an adjective.
            return following in lex.DETERMINERS
        if words == ("over",) and following == "the" and self._word(i + 2) == "moon":
            # "She is over the moon" is a mood; "a rocket over the moon" is a place.
            return not (self._last().word in lex.BE_FORMS and not self.open)
        if words == ("in", "back") or words == ("in", "front"):
            return following != "of"
        return True

    def _is_adjective(self, i: int, words: tuple[str, ...]) -> bool:
        """Whether "on the left" goes on with its noun: "on the left bank"."""
        if words[1] != "the" or words[-1] not in _PLACE_NAMES:
            return False
        token = self.tokens[i + len(words)] if i + len(words) < len(self.tokens) else None
        if token is None or not token.is_word or token.gap or is_emoji(token):
            return False
        word = token.word
        if word in lex.POSTURES or word in lex.SKIPPED or word in lex.STYLE_WORDS or word in lex.NUMERALS:
            return False
        if is_participle(word) or is_adverb(word) or word[0].isdigit() or word in ("break", "side", "hand"):
            return False
        return word not in _NEVER_NOUNS and word not in LENGTHS and word not in lex.RELATIVE_PRONOUNS

    def _adverb_before_relation(self, i: int) -> bool:
        """Whether token i only strengthens a relation that follows within three words ("right next to")."""
        if self.determiner and not self.open:
            return False
        for k in range(i, i + 3):
            if self._word(k) not in lex.ADVERBS or not self._word(k + 1):
                return False
            if self._relation_at(k + 1):
                return True
        return False

    def _relation_at(self, i: int) -> bool:
        found = self._match(i) if self._word(i) else None
        return bool(found and found[1] and found[1].kind in (Kind.RELATION, Kind.POSITION))

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
        else:
            self._emit(Chunk(chunk.kind, chunk.word, relation=chunk.relation, position=chunk.position))
        return i + count

    # -- one token --

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
        if is_emoji(token):
            self._emoji(i, token)
            return i + 1
        if word == "a" and self._word(i + 1) in ("little", "bit", "touch") and self._relation_at(i + 2):
            self._close()
            return i + 2
        for special in (self._camera, self._label, self._trailing_side, self._owners_side):
            after = special(i, word)
            if after:
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

    def _emoji(self, i: int, token: Token) -> None:
        """An emoji beside words decorates them; alone it is the noun ("a 🐶 left of a 🐱")."""
        if self.has_noun:
            self._close()
        elif self._ends_phrase(i + 1):
            self._add(token)
            self._close()
        else:
            self.open = []

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
        """ "left: a knight", "the right side shows a dragon", "left, a knight" at the start of a clause."""
        if not self._clause_starts():
            return 0
        j = i + 1 if word == "the" else i
        place = self._word(j)
        if place not in _PLACE_NAMES:
            return 0
        k = j + 1
        if self._word(k) == "hand":
            k += 1
        if self._word(k) in SIDE_NOUNS:
            k += 1
        elif j > i:
            return 0
        mark = self._mark(k)
        bare = k == j + 1
        if not bare and mark in lex.ARTICLES:
            self._emit(Chunk(Kind.POSITION, "label", position=_PLACE_NAMES[place]))
            return k
        if mark == ":" or (mark in _SHOWING and not bare) or (
            mark == "," and bare and self._word(k + 1) in lex.DETERMINERS
        ):  # fmt: skip
            self._emit(Chunk(Kind.POSITION, "label", position=_PLACE_NAMES[place]))
            return k + 1
        return 0

    def _trailing_side(self, i: int, word: str) -> int:
        """ "a fork left, a knife right", "dog (left), cat (right)"."""
        if word not in _PLACE_NAMES:
            return 0
        token = self.tokens[i]
        if self._mark(i - 1) == "(" and self._mark(i + 1) == ")" and len(self.chunks) > 1 and not self.open:
            if self._last().word == "(":
                self.chunks.pop()
        elif (
            not self.has_noun or self.open[-1].word in _NO_PLACE_BEFORE or self.open[-1].word.endswith("ing")
        ):
            return 0
        elif self.prompt[token.start - 1] in "([" and self.prompt[token.end : token.end + 1] in ")]":
            pass
        elif word not in SIDE_WORDS or (self._word(i + 1) and self._word(i + 1) != "and"):
            return 0
        self._emit(Chunk(Kind.POSITION, "beside", position=_PLACE_NAMES[word]))
        return i + 1

    def _owners_side(self, i: int, word: str) -> int:
        """ "to the cat's left": a relation whose object is the owner."""
        if word not in ("to", "on", "at") or self._word(i + 1) not in lex.DETERMINERS:
            return 0
        for k in range(i + 2, i + 2 + _LONGEST_OWNER):
            owner = self._word(k)
            if not owner or owner in _NEVER_NOUNS:
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

    def _punctuation(self, i: int, token: Token) -> None:
        if token.word == "|" and (
            self._last().kind is Kind.RELATION and not self.open or self._relation_at(i + 1)
        ):
            self._close()  # "dog | left of | cat"
        elif token.word in STOPS:
            self._emit(Chunk(Kind.STOP))
        elif token.word == "(":  # an aside: what it names describes the thing before it
            self._emit(Chunk(Kind.ATTACH, "("))
        elif token.word[0] in SEPARATORS:
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
        elif word in lex.DETERMINERS and not (word in ("her", "no") and self._ends_phrase(i + 1)):
            self._close()
            self.determiner = word
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

    def _ends_phrase(self, i: int) -> bool:
        """Whether no noun can start at token i."""
        word = self._word(i)
        if not word or word in _NEVER_NOUNS:
            return True
        return self._match(i) is not None or self._adverb_before_relation(i)

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
        return self.determiner in ("a", "an") and self._relation_at(i + 1)

    def _content_word(self, i: int, token: Token) -> None:
        word = token.word
        if (
            is_participle(word)
            and f"{word} {self._word(i + 1)}" not in lex.COMPOUNDS
            and not self._modifies(i)
        ):
            self._emit(Chunk(Kind.ATTACH, word))
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


def _with_quotations(text: str, tokens: list[Token]) -> list[Token]:
    """The tokens with each quotation that is text to be read as one token."""
    spans = text_spans(text)
    if not spans:
        return tokens
    out: list[Token] = []
    k = 0
    for token in tokens:
        while k < len(spans) and token.start >= spans[k][1]:
            k += 1
        if k < len(spans) and token.start >= spans[k][0]:
            if not out or out[-1].word != TEXT or out[-1].start != spans[k][0]:
                out.append(Token(TEXT, *spans[k], True, False, token.gap))
        else:
            out.append(token)
    return out


__all__ = ["CORNER_WORDS", "TEXT", "Chunker", "NounPhrase"]
