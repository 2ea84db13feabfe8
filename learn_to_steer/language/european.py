"""Prompts in German, Spanish, Portuguese, French and Italian -> the chunks that the English reader reads.

The grammar that is needed is the same in all of them: articles open noun phrases, relation phrases stand before
their object, and what else is a function word is in the lexicon. Contractions ("zur", "do", "du", "della") and
elisions ("d'un") are taken apart first; every part keeps its place in the prompt.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from .lexicons.lexicon import Lexicon
from .markup import strip_weighting
from .matching import TEXT, with_quotations
from .phrases import Chunk, Kind
from .words import SEPARATORS, STOPS, NounPhrase, Token, is_emoji, tokenize

_LONGEST_MERGE = 12
_PICTURES = ("photo", "painting")


@lru_cache(maxsize=16)
def _table(code: str) -> dict[str, list[tuple[tuple[str, ...], Chunk]]]:
    """First word -> the phrases that start with it, longest first, with their chunks."""
    from .languages import LEXICONS

    lexicon = LEXICONS[code]
    entries: dict[str, Chunk] = {}
    for place, phrases in lexicon.positions.items():
        entries |= {phrase: Chunk(Kind.POSITION, phrase, position=place) for phrase in phrases}
    for relation, phrases in lexicon.relations.items():
        entries |= {phrase: Chunk(Kind.RELATION, phrase, relation=relation) for phrase in phrases}
    entries |= {phrase: Chunk(Kind.RELATION, IMPLIED, relation=r) for phrase, r in lexicon.implied.items()}
    entries |= {phrase: Chunk(Kind.EXISTS, phrase) for phrase in lexicon.exists}
    found: dict[str, list[tuple[tuple[str, ...], Chunk]]] = {}
    for phrase, chunk in entries.items():
        key = tuple(token.word for token in expand(tokenize(phrase), lexicon))
        found.setdefault(key[0], []).append((key, chunk))
    for group in found.values():
        group.sort(key=lambda entry: -len(entry[0]))
    return found


IMPLIED = "(it)"


def expand(tokens: list[Token], lexicon: Lexicon) -> list[Token]:
    """The tokens with elisions split off ("d'un" -> "d'", "un") and contractions taken apart."""
    out: list[Token] = []
    for token in tokens:
        head, mark, tail = token.word.partition("'")
        if mark and tail and head + mark in lexicon.elisions:
            cut = token.start + len(head) + 1
            _expand_word(replace(token, word=head + mark, end=cut), lexicon, out)
            _expand_word(replace(token, word=tail, start=cut, glued=False, gap=""), lexicon, out)
        else:
            _expand_word(token, lexicon, out)
    return out


def _expand_word(token: Token, lexicon: Lexicon, out: list[Token]) -> None:
    parts = lexicon.contractions.get(token.word)
    if parts is None or (token.glued and len(parts) < 2):
        out.append(token)
        return
    for part in parts.split():
        out.append(replace(token, word=part))


class EuropeanChunker:
    """One pass over the tokens of a prompt in the language of `lexicon`."""

    def __init__(self, prompt: str, lexicon: Lexicon) -> None:
        self.prompt, self.lexicon = prompt, lexicon
        self.text = strip_weighting(prompt)
        self.tokens = expand(with_quotations(self.text, tokenize(self.text)), lexicon)
        self.table = _table(lexicon.code)
        self.chunks: list[Chunk] = []
        self.open: list[Token] = []
        self.determiner = ""
        self.negated = False
        # What the reader takes such nouns for.
        self.kinds = {"photo": lexicon.frames, "painting": lexicon.artworks, "room": lexicon.places}
        self.determiners = {
            **dict.fromkeys(lexicon.possessive, "its"), **dict.fromkeys(lexicon.definite, "the"),
            **dict.fromkeys(lexicon.indefinite, "a"), **dict.fromkeys(lexicon.negative, "no"),
        }  # fmt: skip

    def run(self) -> list[Chunk]:
        """The chunks in reading order."""
        i = 0
        while i < len(self.tokens):
            i = self._step(i)
        self._close()
        return self._settled(self._merged())

    def _word(self, i: int) -> str:
        return self.tokens[i].word if i < len(self.tokens) and self.tokens[i].is_word else ""

    def _emit(self, chunk: Chunk) -> None:
        self._close()
        self.chunks.append(chunk)

    def _match(self, i: int) -> tuple[int, Chunk] | None:
        if i >= len(self.tokens):
            return None
        for words, chunk in self.table.get(self.tokens[i].word, ()):
            if words == tuple(t.word for t in self.tokens[i : i + len(words)]):
                following = self._word(i + len(words))
                if (
                    chunk.word in self.lexicon.adverbs
                    and following
                    and following not in self.lexicon.conjunctions
                ):
                    continue
                return len(words), chunk
        return None

    def _step(self, i: int) -> int:
        token, lexicon = self.tokens[i], self.lexicon
        word = token.word
        if token.gap == "paragraph" or (word == "break" and self.prompt[token.start : token.end] == "BREAK"):
            self._emit(Chunk(Kind.STOP))
            if word == "break":
                return i + 1
        if is_emoji(token):
            if self.open:
                self._close()
            return i + 1
        if token.glued and self.open:
            self.open.append(token)
            return i + 1
        if found := self._match(i):
            return self._phrase(i, *found)
        if not token.is_word:
            if word in STOPS:
                self._emit(Chunk(Kind.STOP))
            elif word[0] in SEPARATORS:
                self._emit(Chunk(Kind.SEPARATOR, ","))
            elif word in "&+":
                self._emit(Chunk(Kind.AND, word))
            else:
                self._close()
        elif not self._function_word(i, word):
            if self._is_unknown_verb(token, lexicon):
                self._emit(Chunk(Kind.VERB, word))
            else:
                self.open.append(token)
        return i + 1

    def _phrase(self, i: int, count: int, chunk: Chunk) -> int:
        if chunk.kind is Kind.RELATION:
            negated, self.negated = self.negated, False
            self._emit(Chunk(Kind.RELATION, chunk.word, relation=None if negated else chunk.relation))
            if chunk.word == IMPLIED:
                self._emit(Chunk(Kind.PRONOUN, "it"))
        elif chunk.kind is Kind.POSITION and self.negated:
            self.negated = False
            self._close()
        else:
            self._emit(Chunk(chunk.kind, chunk.word, position=chunk.position))
        return i + count

    def _function_word(self, i: int, word: str) -> bool:
        lexicon = self.lexicon
        if self.determiner and not self.open and word in lexicon.verbs | lexicon.attaching | lexicon.skipped:
            return False  # "la porte"
        if word in lexicon.pronouns and self._ends_phrase(i + 1):
            self._emit(Chunk(Kind.PRONOUN, "it"))
        elif word in self.determiners and not self._ends_phrase(i + 1):
            self._close()
            last = self.chunks[-1].noun if self.chunks else None
            if last is not None and last.head in _PICTURES:
                self.chunks.append(Chunk(Kind.ATTACH, "of"))  # "ein Bild einer Katze"
            self.determiner = self.determiners[word]
        elif word in lexicon.numerals and not self._ends_phrase(i + 1):
            self._close()
            self.determiner = "a"
            self.open.append(self.tokens[i])
        elif word in lexicon.negations:
            self._close()
            self.negated = True
        elif word in lexicon.conjunctions:
            self._emit(Chunk(Kind.AND, word))
        elif word in lexicon.separators:
            self._emit(Chunk(Kind.SEPARATOR, "but" if self.negated else word))
        elif word in lexicon.having:
            self._emit(Chunk(Kind.WITH, "with"))
        elif word in lexicon.relative or word in lexicon.definite:
            self._emit(Chunk(Kind.WHICH, word))
        elif word in lexicon.verbs:
            self._emit(Chunk(Kind.VERB, word))
        elif word in lexicon.of:
            self._emit(Chunk(Kind.ATTACH, "of"))
        elif word in lexicon.attaching:
            self._emit(Chunk(Kind.ATTACH, word))
        elif word in lexicon.skipped:
            self._close()
        else:
            return False
        return True

    def _ends_phrase(self, i: int) -> bool:
        """Whether no noun can start at token i, so that an article before it stands for something else."""
        word, lexicon = self._word(i), self.lexicon
        if not word or self._match(i) is not None or word in self.determiners:
            return True
        return word in lexicon.verbs and word not in lexicon.before_noun

    def _is_unknown_verb(self, token: Token, lexicon: Lexicon) -> bool:
        """In German a word in lower case after the noun is no part of the phrase."""
        if not lexicon.capital_nouns or not self.open:
            return False
        capital = any(self.text[t.start].isupper() for t in self.open)
        return capital and not self.text[token.start].isupper()

    # -- noun phrases --

    def _close(self) -> None:
        tokens, determiner = self.open, self.determiner
        self.open, self.determiner = [], ""
        if not tokens:
            return
        first, last = self._noun(tokens)
        code, head = self.lexicon.code, tokens[first].word
        span = (tokens[0].start, tokens[-1].end)
        if tokens[0].word == TEXT:
            head = TEXT
            kind: tuple[str, ...] = (TEXT,)
        else:
            # The reader knows kinds of English nouns; no other word of this language may be taken for one.
            kind = tuple(f"{code}:{t.word}" for t in tokens)
            head = next((kind for kind, nouns in self.kinds.items() if head in nouns), f"{code}:{head}")
        noun = NounPhrase(
            text=" ".join(self.text[slice(*span)].split()),
            span=span,
            noun=(tokens[first].start, tokens[last].end),
            words=kind,
            head=head,
            determiner=determiner,
        )
        self.chunks.append(Chunk(Kind.NOUN, noun=noun))

    def _noun(self, tokens: list[Token]) -> tuple[int, int]:
        """Indices of the first and last token of the noun itself, without its adjectives."""
        if self.lexicon.noun_last:
            capitals = [k for k, t in enumerate(tokens) if self.text[t.start].isupper()]
            first = capitals[-1] if capitals else len(tokens) - 1
            while first and tokens[first].glued:
                first -= 1
            return first, len(tokens) - 1
        first = 0
        while first < len(tokens) - 1 and (
            tokens[first].word in self.lexicon.before_noun | self.lexicon.numerals
            or tokens[first].word.isdigit()
        ):
            first += 1
        last = first
        while last + 1 < len(tokens) and tokens[last + 1].glued:
            last += 1
        return first, last

    def _merged(self) -> list[Chunk]:
        """ "taza de café" is one phrase; "foto de un perro" is not."""
        out: list[Chunk] = []
        for chunk in self.chunks:
            second = chunk.noun
            if second and not second.determiner and len(out) >= 2 and out[-1].word == "of":
                first = out[-2].noun
                if first and first.head not in _PICTURES and len(first.words) < _LONGEST_MERGE:
                    span = (first.span[0], second.span[1])
                    text = " ".join(self.text[slice(*span)].split())
                    whole = replace(first, text=text, span=span, words=first.words + second.words)
                    out[-2:] = [Chunk(Kind.NOUN, noun=whole)]
                    continue
            out.append(chunk)
        return out

    def _settled(self, chunks: list[Chunk]) -> list[Chunk]:
        """Relations that only give the setting become prepositions: "auf der Straße", "dans un parc"."""
        lexicon = self.lexicon
        settings = {f"{lexicon.code}:{word}" for word in lexicon.settings}
        containers = {f"{lexicon.code}:{word}" for word in lexicon.containers}
        for chunk, after in zip(chunks, chunks[1:], strict=False):
            noun = after.noun
            if chunk.kind is not Kind.RELATION or noun is None:
                continue
            on, inside = chunk.word in lexicon.weak_on, chunk.word in lexicon.weak_in
            if (on or inside) and (
                not noun.determiner or set(noun.words) & settings or noun.head in _PICTURES
            ):
                chunk.kind = Kind.ATTACH
            elif inside and noun.head not in containers:
                chunk.kind = Kind.ATTACH
        return chunks
