"""Prompt text -> words with their places, and noun phrases made of words."""

import re
from dataclasses import dataclass
from functools import lru_cache

from .lexicons import english as lex
from .markup import EMOJI

Span = tuple[int, int]


@dataclass(slots=True)
class Token:
    """A word (lower case) or a punctuation mark; start and end are indices into the prompt."""

    word: str
    start: int
    end: int
    is_word: bool
    glued: bool = False  # joined to the token before by a hyphen or underscore
    gap: str = ""  # "line" or "paragraph" where a line break stands before it


_PUNCTUATION = "«»“”‘’„‹›…–—、。，；：！？「」『』（）【】〈〉《》·•¿¡"
_LETTER = rf"(?:[^\W_]|[^\x00-\x7f\s{_PUNCTUATION}{EMOJI}])"
_TOKEN = re.compile(
    rf"(?:\d+\.\d+|{_LETTER}+(?:['’&]{_LETTER}+)*)|[{EMOJI}]+|\n\s*|[-_]+|[,.;:!?|()&+/{_PUNCTUATION}]"
)
_EMOJI = re.compile(f"[{EMOJI}]")
STOPS, SEPARATORS = ".;!?|。；！？", ",:/–—-…、，："
_MARKS = frozenset(STOPS + SEPARATORS + "()&+-_" + _PUNCTUATION)


def tokenize(text: str) -> list[Token]:
    """Words, punctuation and nothing else; quotes and stray symbols are dropped."""
    tokens: list[Token] = []
    gap, glue_at = "", -1
    for match in _TOKEN.finditer(text):
        start, end, piece = match.start(), match.end(), match.group()
        if piece.isspace():
            gap = "paragraph" if gap or piece.count("\n") > 1 else "line"
        elif piece[0] in "-_" and tokens and tokens[-1].end == start and text[end : end + 1].isalnum():
            glue_at = end
        else:
            is_word = piece[0] not in _MARKS
            if is_word or piece[0] not in "_«»“”‘’„‹›":
                word = piece.lower().replace("’", "'")
                tokens.append(Token(word, start, end, is_word, is_word and glue_at == start, gap))
                gap = ""
    return tokens


def is_emoji(token: Token) -> bool:
    """Whether the token is made of emoji."""
    return _EMOJI.match(token.word) is not None


@dataclass(eq=False)
class NounPhrase:
    """A noun phrase; spans are character spans [start, end) in the prompt, `text` has no article."""

    text: str
    span: Span
    noun: Span
    words: tuple[str, ...]
    head: str
    determiner: str = ""
    only_adjectives: bool = False
    attribute: "NounPhrase | None" = None  # the last thing that describes this one: "a cat with a hat"
    holder: "NounPhrase | None" = None  # of an attribute, the thing right before it: "a stove with a hood"
    fellows: "tuple[NounPhrase, ...]" = ()  # of an attribute: those named before it, "a computer, a lamp and"


@lru_cache(maxsize=4096)
def is_modifier(word: str) -> bool:
    """Whether a word before a noun describes it: an adjective, adverb, numeral, participle or possessive."""
    if word in lex.ADJECTIVES or word in lex.NUMERALS or word.isdigit() or word.endswith(("'s", "s'")):
        return True
    return is_participle(word) or is_adverb(word) or (
        word.endswith(lex.ADJECTIVE_ENDINGS) and word not in lex.ADJECTIVE_ENDING_NOUNS
    )  # fmt: skip


@lru_cache(maxsize=4096)
def is_participle(word: str) -> bool:
    """Whether the lower-case word looks like "sitting" or "painted" and is neither a noun nor a colour."""
    if word in lex.IRREGULAR_PARTICIPLES:
        return True
    if word.endswith("ing"):
        return len(word) > 4 and word not in lex.ING_NOUNS
    return len(word) > 4 and word.endswith("ed") and word not in lex.ED_NOUNS and word not in lex.COLOURS


@lru_cache(maxsize=4096)
def is_adverb(word: str) -> bool:
    """Whether the lower-case word looks like "slowly" and is no noun such as "butterfly"."""
    return len(word) > 4 and word.endswith("ly") and word not in lex.LY_NOUNS


def make_noun_phrase(text: str, tokens: list[Token], determiner: str) -> NounPhrase:
    """The noun phrase of these tokens; its noun is what is left when the modifiers in front are taken off."""
    words = [t.word for t in tokens]
    first = 0
    while first < len(tokens) - 1:
        if f"{words[first]} {words[first + 1]}" in lex.COMPOUNDS:
            break
        end = first + 1
        while end < len(tokens) and tokens[end].glued:
            end += 1
        if end == len(tokens) or (end == first + 1 and not is_modifier(words[first])):
            break
        first = end
    span = (tokens[0].start, tokens[-1].end)
    return NounPhrase(
        text=" ".join(text[span[0] : span[1]].split()),
        span=span,
        noun=(tokens[first].start, tokens[-1].end),
        words=tuple(words),
        head=_head(tokens),
        determiner=determiner,
        only_adjectives=all(is_modifier(w) and not w.endswith("'s") for w in words),
    )


def _head(tokens: list[Token]) -> str:
    """The last word; "close-up" and "t-shirt" whole; a still life is a painting."""
    if [token.word for token in tokens[-2:]] == ["still", "life"]:
        return "painting"
    if len(tokens) > 1 and tokens[-1].glued:
        joined = f"{tokens[-2].word}-{tokens[-1].word}"
        if joined in lex.ARTWORKS or joined in lex.WEARABLES:
            return joined
    return tokens[-1].word


def merge(text: str, first: NounPhrase, second: NounPhrase, main: NounPhrase) -> NounPhrase:
    """One phrase from the start of `first` to the end of `second`, whose noun is that of `main`."""
    span = (first.span[0], second.span[1])
    return NounPhrase(
        text=" ".join(text[span[0] : span[1]].split()),
        span=span,
        noun=main.noun,
        words=first.words + second.words,
        head=main.head,
        determiner=first.determiner,
        only_adjectives=first.only_adjectives and second.only_adjectives,
    )
