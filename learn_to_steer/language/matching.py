"""The words of a prompt, the noun phrase being read, and the known phrases found in them."""

from __future__ import annotations

from .lexicons import english as lex
from .markup import strip_weighting, text_spans
from .phrases import LENGTHS, PHRASES, Chunk, Kind
from .relations import SIDE_WORDS
from .words import Token, is_adverb, is_emoji, is_modifier, is_participle, make_noun_phrase, tokenize

NEVER_NOUNS = lex.DETERMINERS | lex.BE_FORMS | lex.ATTACHING | lex.PRONOUNS | {"with"}
_DEGREES = frozenset("far extreme upper lower very top bottom hard alt".split())
PLACE_NAMES = {
    **{word: relation.signs or (0, 0) for word, relation in SIDE_WORDS.items()},
    "top": (0, -1), "bottom": (0, 1), "middle": (0, 0), "center": (0, 0), "centre": (0, 0),
}  # fmt: skip
# A quotation that is text to be read becomes one word of this form.
TEXT = '"'


class PhraseMatcher:
    """The tokens of a prompt. `open` holds the words of the noun phrase being read."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.text = strip_weighting(prompt)
        self.tokens = with_quotations(self.text, tokenize(self.text))
        self.chunks: list[Chunk] = []
        self.open: list[Token] = []
        self.has_noun = False  # whether `open` holds more than modifiers
        self.determiner = ""
        self.negated = False
        self.prefix = ""  # "from " before "behind a tree", which then tells where a thing comes out

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
        if tokens[0].word == "one" and all(
            t.word in lex.ADJECTIVES - lex.NOUN_LIKE_ADJECTIVES for t in tokens[1:]
        ):
            return  # "two dogs, one black and one white, ..."
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

    def _match(self, i: int) -> tuple[int, Chunk | None] | None:
        """The longest known phrase at token i -> (its number of tokens, its chunk)."""
        for length in LENGTHS.get(self.tokens[i].word, ()):
            words = tuple(t.word for t in self.tokens[i : i + length])
            if words in PHRASES:
                chunk = PHRASES[words]
                if chunk is not None and chunk.kind is Kind.RELATION and not self._fits(i, words):
                    continue
                side = chunk is not None and (chunk.kind is Kind.POSITION or chunk.word.endswith(" side"))
                if side and len(words) > 1 and self._is_adjective(i, words):
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
        """Whether "on the left" goes on with its noun: "on the left bank", "in his left hand"."""
        if words[1] not in ("the", "its", "his", "her", "their") or words[-1] not in PLACE_NAMES:
            return False
        token = self.tokens[i + len(words)] if i + len(words) < len(self.tokens) else None
        if token is None or not token.is_word or token.gap or is_emoji(token):
            return False
        word = token.word
        if word in lex.POSTURES or word in lex.SKIPPED or word in lex.STYLE_WORDS or word in lex.NUMERALS:
            return False
        if is_participle(word) or is_adverb(word) or word[0].isdigit() or word in ("break", "side", "hand"):
            return False
        return word not in NEVER_NOUNS and word not in LENGTHS and word not in lex.RELATIVE_PRONOUNS

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

    def _ends_phrase(self, i: int) -> bool:
        """Whether no noun can start at token i."""
        word = self._word(i)
        if not word or word in NEVER_NOUNS:
            return True
        return self._match(i) is not None or self._adverb_before_relation(i)


def with_quotations(text: str, tokens: list[Token]) -> list[Token]:
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
