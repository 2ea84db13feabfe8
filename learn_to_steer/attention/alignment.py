"""Tokens and the text they were made of, side by side: which characters each token writes.

Tokenizers change a text before they cut it: letters become small, compatibility characters are replaced, white space is
dropped or merged. Both sides are therefore read alike (NFKD, case folded, without white space and invisible characters)
and must then agree, character by character. What a host takes out of a text before its tokenizer sees it may be skipped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from .pieces import Mark, Piece

Offsets = list[tuple[int, int]]
"""Per token the characters [start, end) of the prompt that it writes; (0, 0) for none. As Hugging Face's fast
tokenizers give them."""

_ALIKE = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "▁": " "}
)

_MOST_OPTIONAL = 64


@lru_cache(maxsize=8192)
def read(character: str) -> str:
    """What a character comes to on either side: none, one or several characters."""
    plain = unicodedata.normalize("NFKD", character).translate(_ALIKE).casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if _is_seen(c))


def _is_seen(character: str) -> bool:
    selector = "\ufe00" <= character <= "\ufe0f"  # how an emoji is drawn
    return not (character.isspace() or selector or unicodedata.category(character) in ("Cc", "Cf", "Cs"))


class Text:
    """A text as it is read. characters: (character, start, end), where it stands in the prompt. optional: stretches
    [from, to) of `characters` that the tokens may lack, the name of an embedding or the commas behind it; they do not
    overlap."""

    def __init__(
        self, characters: Iterable[tuple[str, int, int]], optional: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.symbols: list[str] = []
        self.sources: list[tuple[int, int]] = []
        self.known: list[bool] = []  # no vocabulary lacks the letters and digits of ASCII
        at = [0]
        for character, start, end in characters:
            self.symbols += (seen := read(character))
            self.sources += [(start, end)] * len(seen)
            self.known += [character.isascii() and character.isalnum()] * len(seen)
            at.append(len(self.symbols))
        few = optional[:_MOST_OPTIONAL]  # every one of them is followed with and without
        self.skips: Mapping[int, int] = {at[a]: at[b] for a, b in few if at[a] < at[b]}

    @classmethod
    def of(cls, prompt: str) -> Text:
        """The prompt itself."""
        return cls((c, i, i + 1) for i, c in enumerate(prompt))


def aligned(pieces: Sequence[Piece], text: Text, size: int, whole: bool = True) -> Offsets | None:
    """The characters of each token; None where tokens and text do not agree.

    size: characters of the prompt. whole: the tokens must write the text to its end; otherwise they may stop before.
    """
    symbols = _symbols(pieces)
    steps = _path([symbol for symbol, _, _ in symbols], text, whole)
    if steps is None:
        return None
    offsets: Offsets = [(0, 0)] * len(pieces)
    found: set[int] = set()
    for (_, first, last), (begin, end) in zip(symbols, steps, strict=True):
        if begin == end:
            continue
        start, stop = text.sources[begin][0], text.sources[end - 1][1]
        for piece in range(first, last + 1):
            if isinstance(pieces[piece], Mark) and not first == piece == last:
                continue  # the end of a chunk, in the middle of a character
            known = offsets[piece] if piece in found else (start, stop)
            offsets[piece] = min(known[0], start), max(known[1], stop)
            found.add(piece)
    complete = not text.symbols or any(text.sources[-1][1] == offsets[p][1] for p in found)
    _fill(offsets, found, pieces, size if complete else None)
    return offsets


def _symbols(pieces: Sequence[Piece]) -> list[tuple[str | Mark, int, int]]:
    """What the tokens write, as it is read: (character or mark, first token, last token)."""
    symbols: list[tuple[str | Mark, int, int]] = []
    data, owners = bytearray(), list[int]()

    def flush() -> None:
        at = 0
        while at < len(data):
            length = next((n for mask, lead, n in _LEADS if data[at] & mask == lead), 1)
            try:
                character = data[at : at + length].decode()
            except UnicodeDecodeError:
                character, length = "\N{REPLACEMENT CHARACTER}", 1
            last = owners[min(at + length, len(data)) - 1]
            symbols.extend((c, owners[at], last) for c in read(character))
            at += length
        data.clear()
        owners.clear()

    for number, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            data += piece
            owners += [number] * len(piece)
        elif piece in (Mark.UNKNOWN, Mark.VECTOR):
            flush()
            symbols.append((piece, number, number))
    flush()
    return symbols


_LEADS = ((0xE0, 0xC0, 2), (0xF0, 0xE0, 3), (0xF8, 0xF0, 4))
"""UTF-8: mask, first byte, length of a character."""


def _path(symbols: Sequence[str | Mark], text: Text, whole: bool) -> list[tuple[int, int]] | None:
    """For each symbol the stretch of the text that it stands for. All ways are followed at once, so that no text makes the
    search longer than symbols x characters."""
    size, states = len(text.symbols), [0]
    history: list[tuple[dict[int, int], dict[int, int]]] = []
    for symbol in symbols:
        origin = _with_skips(states, text)
        step: dict[int, int] = {}  # where the symbol ends -> where it begins
        if symbol is Mark.VECTOR:
            step = {state: state for state in states}
            for state in origin:
                if text.symbols[state : state + 1] != [","] and state in text.skips:
                    step.setdefault(text.skips[state], state)
        elif symbol is Mark.UNKNOWN:
            for state in sorted(origin, reverse=True):
                end = state
                while end < size and end + 1 not in step and not text.known[end]:
                    end += 1
                    step[end] = state
            for state in origin:  # what is not read is unknown, too
                step.setdefault(state, state)
        else:
            step = {s + 1: s for s in origin if s < size and text.symbols[s] == symbol}
        if not step:
            return None
        history.append((step, origin))
        states = list(step)
    ends = _with_skips(states, text)
    if whole and size not in ends:
        return None
    state = ends[max(ends)]
    stretches: list[tuple[int, int]] = []
    for step, origin in reversed(history):
        stretches.append((step[state], state))
        state = origin[step[state]]
    return stretches[::-1]


def _with_skips(states: Sequence[int], text: Text) -> dict[int, int]:
    """All states that skipping leads to as well -> the state each was reached from, skipping as little as can be."""
    reached = {state: state for state in states}
    for state in sorted(states, reverse=True):
        at = state
        while at in text.skips:
            at = text.skips[at]
            reached.setdefault(at, state)
    return reached


def _fill(offsets: Offsets, found: set[int], pieces: Sequence[Piece], size: int | None) -> None:
    """Tokens that write only what is not read get the gap between their neighbours, such as the joiners of an emoji. A
    space of its own in front of a word is of the word, as when the word is tokenised alone. Further vectors get the
    characters of the first."""
    following: list[int | None] = [None] * len(pieces)
    after: int | None = None
    for piece in reversed(range(len(pieces))):
        following[piece] = after
        after = piece if piece in found else after
    before = 0
    for piece, what in enumerate(pieces):
        next_found = following[piece]
        end = size if next_found is None else offsets[next_found][0]
        if piece in found:
            before = max(before, offsets[piece][1])
        elif what is Mark.FOLLOWS or (what is Mark.VECTOR and piece and pieces[piece - 1] is Mark.VECTOR):
            offsets[piece] = offsets[piece - 1] if piece else (0, 0)
        elif isinstance(what, bytes) and end is not None:
            of_word = what == b" " and next_found == piece + 1 and not _begins_with_space(pieces[next_found])
            offsets[piece] = (end, end + 1) if of_word else (before, end) if before < end else (0, 0)


def _begins_with_space(piece: Piece) -> bool:
    return isinstance(piece, bytes) and piece[:1].isspace()
