"""Prompt text -> a flat list of chunks: noun phrases, relation phrases, conjunctions, verbs.

No part-of-speech tagger: every word is either one of the few hundred function words of `lexicon` or it
belongs to a noun phrase. One pass over the text, so the time is linear in its length.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby, product

from . import lexicon as lex
from .relations import CORNER_WORDS, SIDE_WORDS, SYNONYMS, Relation
from .words import (
    SEPARATORS,
    STOPS,
    NounPhrase,
    Token,
    is_adverb,
    is_modifier,
    is_participle,
    make_noun_phrase,
    merge,
    strip_weighting,
    tokenize,
)


class Kind(Enum):
    """What a chunk does in the sentence."""

    NOUN = auto()
    RELATION = auto()  # "to the left of"
    POSITION = auto()  # "on the left": a place in the picture, no second object
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


@dataclass
class Chunk:
    """One chunk. `word` is its text in lower case; `relation` is None where a relation is negated."""

    kind: Kind
    word: str = ""
    noun: NounPhrase | None = None
    relation: Relation | None = None
    position: tuple[int, int] = (0, 0)


def _frame_positions() -> Iterator[tuple[str, tuple[int, int]]]:
    """Phrases for a place in the picture -> (column, row) with -1 left or top, 1 right or bottom."""
    names = {"center": (0, 0), "centre": (0, 0), "middle": (0, 0), "top": (0, -1), "bottom": (0, 1)}
    for words, relation in (SIDE_WORDS | CORNER_WORDS).items():
        names[words] = relation.signs or (0, 0)
    tails = ("", " side", " hand side", " corner", " half", " part")
    for prep, the, (name, place), tail in product(
        ("to", "on", "at", "in"), ("", "the "), names.items(), tails
    ):
        if the or name in SIDE_WORDS:
            yield f"{prep} {the}{name}{tail}", place


def _phrase_table() -> dict[tuple[str, ...], Chunk | None]:
    """All known phrases, split into words; None marks an idiom to be passed over."""
    entries: dict[str, Chunk | None] = {w: Chunk(Kind.POSITION, w, position=p) for w, p in _frame_positions()}
    entries |= {w: Chunk(Kind.RELATION, w, relation=r) for w, r in SYNONYMS.items()}
    entries |= {w: Chunk(Kind.RELATION, "on top", relation=Relation.ABOVE) for w in lex.ON_TOP_PHRASES}
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
        for tail in ("", " side"):
            entries[f"{prep} {whose} {side}{tail}"] = Chunk(
                Kind.RELATION, "its side", relation=SIDE_WORDS[side]
            )
    entries |= dict.fromkeys(lex.IDIOMS)
    return {tuple(phrase.split()): chunk for phrase, chunk in entries.items()}


_PHRASES = _phrase_table()
# First word -> the lengths of the phrases that start with it, longest first.
_LENGTHS = {
    first: sorted({len(words) for words in group}, reverse=True)
    for first, group in groupby(sorted(_PHRASES), key=lambda words: words[0])
}
_VERBS = lex.BE_FORMS | lex.POSTURES | lex.ATTACHING
_NEVER_NOUNS = lex.DETERMINERS | lex.BE_FORMS | lex.ATTACHING | lex.PRONOUNS | {"with"}
_DEGREES = frozenset("far extreme upper lower very top bottom hard alt".split())


class _Chunker:
    """The one pass over the tokens. `open` holds the words of the noun phrase being read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.chunks: list[Chunk] = []
        self.open: list[Token] = []
        self.has_noun = False  # whether `open` holds more than modifiers
        self.determiner = ""
        self.negated = False

    def run(self) -> list[Chunk]:
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self._close()
        return self.chunks

    def _word(self, i: int) -> str:
        """The word at i, or "" for punctuation and beyond the end."""
        return self.tokens[i].word if i < len(self.tokens) and self.tokens[i].is_word else ""

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
        self.chunks.append(Chunk(Kind.NOUN, noun=make_noun_phrase(self.text, tokens, determiner)))

    def _match(self, i: int) -> tuple[int, Chunk | None] | None:
        """The longest known phrase at token i -> (its number of tokens, its chunk)."""
        for length in _LENGTHS.get(self.tokens[i].word, ()):
            words = tuple(t.word for t in self.tokens[i : i + length])
            if words in _PHRASES:
                chunk = _PHRASES[words]
                if chunk is None or chunk.kind is not Kind.RELATION or self._fits(i, words):
                    return length, chunk
        return None

    def _fits(self, i: int, words: tuple[str, ...]) -> bool:
        """Whether a relation phrase is meant as one: not "the right of way", "a near miss"."""
        if self.determiner and len(self.open) < 3 and all(t.word in _DEGREES for t in self.open):
            return False
        if words in (("left", "to"), ("right", "to")):
            said_of_something = bool(self.open) or (bool(self.chunks) and self.chunks[-1].kind is Kind.VERB)
            return said_of_something and self._word(i + 2) in lex.ARTICLES
        if words == ("over",) and self._word(i + 1) == "the" and self._word(i + 2) == "moon":
            # "She is over the moon" is a mood; "a rocket over the moon" is a place.
            return not (self.chunks and self.chunks[-1].word in lex.BE_FORMS and not self.open)
        return True

    def _adverb_before_relation(self, i: int) -> bool:
        """Whether token i only strengthens a relation that follows within three words ("right next to")."""
        if self.determiner and not self.open:
            return False
        for k in range(i, i + 3):
            if self._word(k) not in lex.ADVERBS or not self._word(k + 1):
                return False
            found = self._match(k + 1)
            if found and found[1] and found[1].kind in (Kind.RELATION, Kind.POSITION):
                return True
        return False

    def _step(self, i: int) -> int:
        token = self.tokens[i]
        word = token.word
        if token.gap == "paragraph":
            self._emit(Chunk(Kind.STOP))
        elif token.gap == "line" and word in lex.DETERMINERS and self.open:
            self._emit(Chunk(Kind.SEPARATOR, ","))
        if token.glued and self.open:
            self._add(token)
            return i + 1
        found = self._match(i)
        if found:
            count, chunk = found
            if chunk is None:
                if word != "close":  # "a [close-up] photo of": stands inside a phrase, does not end it
                    self._close()
            elif chunk.kind is Kind.RELATION:
                negated, self.negated = self.negated, False
                self._emit(Chunk(Kind.RELATION, chunk.word, relation=None if negated else chunk.relation))
                if chunk.word in ("on top", "its side"):
                    self._emit(Chunk(Kind.PRONOUN, "it"))
                elif chunk.word == "side by side":
                    self._emit(Chunk(Kind.EACH_OTHER))
            else:
                self._emit(Chunk(chunk.kind, chunk.word, position=chunk.position))
            return i + count
        if not token.is_word:
            self._punctuation(token)
        elif self._adverb_before_relation(i):
            self._close()
        elif not self._function_word(i, word):
            self._content_word(i, token)
        return i + 1

    def _punctuation(self, token: Token) -> None:
        if token.word in STOPS:
            self._emit(Chunk(Kind.STOP))
        elif token.word == "(":  # an aside: what it names describes the thing before it
            self._emit(Chunk(Kind.ATTACH, "("))
        elif token.word[0] in SEPARATORS:
            self._emit(Chunk(Kind.SEPARATOR, ","))
        else:
            self._close()

    def _function_word(self, i: int, word: str) -> bool:
        following = self._word(i + 1)
        if word == "that":
            verb_follows = following in _VERBS or self._relation_at(i + 1)
            if verb_follows or is_participle(following) or following in lex.DETERMINERS:
                self._emit(Chunk(Kind.WHICH, word))
            else:
                self._close()
                self.determiner = word
        elif word in lex.DETERMINERS and not (word == "her" and self._ends_phrase(i + 1)):
            self._close()
            self.determiner = word
        elif word in lex.NEGATIONS:
            self._close()
            self.negated = True
        elif word in lex.PRONOUNS or word == "her":
            self._emit(Chunk(Kind.PRONOUN, "it"))
        elif word in lex.EMPTY_PRONOUNS and word not in lex.NUMERALS:
            self._emit(Chunk(Kind.PRONOUN, "one"))
        elif word in lex.RELATIVE_PRONOUNS:
            self._emit(Chunk(Kind.WHICH, word))
        elif word == "with":
            self._emit(Chunk(Kind.WITH, word))
        elif word in lex.BE_FORMS:
            self._emit(Chunk(Kind.VERB, word))
        elif word in lex.POSTURES and not self._modifies(i):
            self._emit(Chunk(Kind.VERB, word))
        elif word == "by" and self.chunks and not self.open and self.chunks[-1].word in lex.STANDING:
            # "standing by a tree" is a place, "painted by a friend" is not.
            self._emit(Chunk(Kind.RELATION, "by", relation=Relation.NEXT_TO))
        elif word in lex.ATTACHING and not (self.determiner and not self.open):
            self._emit(Chunk(Kind.ATTACH, word))
        elif word in lex.SKIPPED and not (self.determiner and not self.open):
            self._close()
        else:
            return False
        return True

    def _relation_at(self, i: int) -> bool:
        found = self._match(i) if self._word(i) else None
        return bool(found and found[1] and found[1].kind in (Kind.RELATION, Kind.POSITION))

    def _ends_phrase(self, i: int) -> bool:
        """Whether no noun can start at token i."""
        word = self._word(i)
        if not word or word in _NEVER_NOUNS:
            return True
        return self._match(i) is not None or self._adverb_before_relation(i)

    def _modifies(self, i: int) -> bool:
        """Whether a verb form at i stands before its noun ("a flying bird") rather than after it."""
        if self._ends_phrase(i + 1):
            return False
        if self.determiner or self.open:
            return not self.has_noun
        return not self.chunks or self.chunks[-1].kind not in (Kind.NOUN, Kind.VERB, Kind.WHICH, Kind.PRONOUN)

    def _content_word(self, i: int, token: Token) -> None:
        word = token.word
        if (
            is_participle(word)
            and f"{word} {self._word(i + 1)}" not in lex.COMPOUNDS
            and not self._modifies(i)
        ):
            self._emit(Chunk(Kind.ATTACH, word))
        elif is_adverb(word) and self.has_noun:
            self._close()
        elif (word in lex.NUMERALS or word.isdigit()) and self.has_noun:
            self._close()
            self._add(token)
        else:
            self._add(token)


# Longer phrases are not joined to another: keeps the joining linear.
_MAX_MERGED_WORDS = 12


def _joins_adjectives(first: NounPhrase, joint: Chunk, second: NounPhrase) -> bool:
    """ "a black" + "and" + "white cat" is one phrase, "an orange" + "," + "4k" is not."""
    if not first.only_adjectives or second.determiner or second.head in lex.STYLE_WORDS:
        return False
    if joint.kind is Kind.SEPARATOR and joint.word != ",":
        return False
    if first.words[-1] in lex.NOUN_LIKE_ADJECTIVES:
        return joint.kind is Kind.AND and len(second.words) > 1 and second.words[0] in lex.COLOURS
    return True


def _merged(text: str, chunks: list[Chunk]) -> list[Chunk]:
    """Join "black and white cat" and "cup of coffee" into one noun phrase each."""
    out: list[Chunk] = []
    for chunk in chunks:
        second = chunk.noun
        while second and not second.determiner and len(out) >= 2 and (first := out[-2].noun):
            joint = out[-1]
            if len(first.words) > _MAX_MERGED_WORDS:
                break
            if joint.kind in (Kind.AND, Kind.SEPARATOR) and _joins_adjectives(first, joint, second):
                second = merge(text, first, second, second)
            elif joint.word == "of" and first.head not in lex.FRAMES | lex.ARTWORKS:
                second = merge(text, first, second, second if first.head in lex.PARTITIVES else first)
            else:
                break
            chunk = Chunk(Kind.NOUN, noun=second)
            del out[-2:]
        out.append(chunk)
    return out


def _is_placing(chunk: Chunk, before: NounPhrase | None, after: Chunk | None) -> bool:
    """Whether "on", "in" and "under" say where a thing is, judged by the noun that follows."""
    if chunk.word not in ("on", "in", "under"):
        return True
    if after is not None and after.kind is Kind.PRONOUN:
        return True
    noun = after.noun if after else None
    if noun is None:
        return chunk.word == "under"
    if chunk.word == "under":
        return noun.head not in lex.OVERHEAD
    if chunk.word == "in":
        return noun.head in lex.CONTAINERS and bool(noun.determiner)
    bare = not noun.determiner and before is not None and bool(before.determiner)
    return noun.head not in lex.SCENERY and not bare


def chunk_prompt(prompt: str) -> list[Chunk]:
    """The chunks of a prompt in reading order. Never raises; linear time."""
    text = strip_weighting(prompt)
    chunks = _merged(text, _Chunker(text).run())
    before: NounPhrase | None = None
    for chunk, after in zip(chunks, [*chunks, None][1:], strict=True):
        if chunk.kind is Kind.RELATION and not _is_placing(chunk, before, after):
            chunk.kind = Kind.ATTACH
        before = chunk.noun or before
    return chunks
