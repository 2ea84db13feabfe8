"""Token ids -> what each token writes, for any tokenizer that can name its tokens.

Vocabularies write their tokens in three ways: bytes spelled with GPT-2's 256 letters (CLIP, Qwen, Mistral, Llama 3), plain
text with a mark for the space in front (SentencePiece: T5, Gemma), plain text with a mark for "no space" (WordPiece).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Mark(enum.Enum):
    """Tokens that write no known text.

    NOTHING: not of the prompt (begin, end, padding, a template). UNKNOWN: some text the vocabulary lacks. VECTOR: an
    embedding put in for a name. FOLLOWS: a further vector of the token before it.
    """

    NOTHING = enum.auto()
    UNKNOWN = enum.auto()
    VECTOR = enum.auto()
    FOLLOWS = enum.auto()


Piece = bytes | Mark
"""What one token writes, in UTF-8; a token may hold a part of a character."""

Pieces = Callable[[Sequence[int]], list[Piece]]

_UNKNOWN = frozenset({"<unk>", "[UNK]", "<UNK>"})
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")  # SentencePiece's tokens of single bytes
_FURTHER = re.compile(
    r"(.+)_[1-9]\d*", re.DOTALL
)  # diffusers' names of the second, third ... vector of a concept


def _letters_of_bytes() -> dict[str, int]:
    """GPT-2's letter of each byte: printable Latin-1 characters stand for themselves, the rest for letters from U+0100."""
    shown = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or 0xAE <= b <= 0xFF]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(256 + at): b for at, b in enumerate(hidden)}


_BYTE_OF = _letters_of_bytes()


def pieces_of(tokenizer: Any, names: Mapping[int, str] | None = None) -> Pieces:
    """`Pieces` of a tokenizer: one of Hugging Face, or any that is called with a text, gives `input_ids`, and has
    `get_vocab()`.

    names: id -> name of the token, where they are at hand. Negative ids stand for tokens that are not the prompt's.
    """
    if names is None:
        names = {number: name for name, number in tokenizer.get_vocab().items()}
    named = names
    added = frozenset(tokenizer.get_added_vocab()) if hasattr(tokenizer, "get_added_vocab") else frozenset()
    special = frozenset(getattr(tokenizer, "all_special_ids", ()))
    # How the vocabulary writes a letter of two bytes tells its kind; a small one may lack it.
    probe = "".join(named.get(i, "") for i in tokenizer("é")["input_ids"])
    spelled = "Ã" in probe or ("é" not in probe and any(name.endswith("</w>") for name in named.values()))

    def piece(number: int) -> Piece:
        name = named.get(number) if number >= 0 else None
        if name is None:
            return Mark.NOTHING
        if name in _UNKNOWN:
            return Mark.UNKNOWN
        if number in special:
            return Mark.NOTHING
        if name in added:
            further = _FURTHER.fullmatch(name)
            return Mark.FOLLOWS if further and further[1] in added else name.encode()
        return _spelled(name) if spelled else _plain(name)

    return lambda ids: [piece(i) for i in ids]


def _spelled(name: str) -> bytes:
    letters = name.removesuffix("</w>")  # CLIP's end of a word
    if all(letter in _BYTE_OF for letter in letters):
        return bytes(_BYTE_OF[letter] for letter in letters)
    return name.encode()


def _plain(name: str) -> bytes:
    if byte := _BYTE.fullmatch(name):
        return bytes([int(byte[1], 16)])
    return name.removeprefix("##").replace("▁", " ").encode() if name != "##" else b"##"
