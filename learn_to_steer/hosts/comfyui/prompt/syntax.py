"""The host's prompt syntax: what is left of a prompt when weights and escapes are taken out, and where it stood.

The rules are those of the host's `sd1_clip.token_weights` (the tests compare them): brackets open a group where they are
balanced, a number after the group's last colon is its weight, `\\(` and `\\)` are brackets of the text. Encoders that know
no weights are given the text with nothing but the escapes taken out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ....attention import Text

Character = tuple[str, int, int]
"""A character and where it stands in the prompt: an escaped bracket is two characters there."""

_ESCAPED = re.compile(r"\\[()]")
_EMBEDDING = re.compile(r"(?:\A|(?<=\s))embedding:\s*(?P<name>[^\s<\[]*[^\s<\[,]|)(?P<commas>,*)")

MOST_NESTING = 32
"""Groups within groups; every one of them is read as often as it is deep."""


def readings(prompt: str) -> list[Text]:
    """The texts that a tokenizer of the host may have been given for this prompt, the likeliest first."""
    characters = unescaped(prompt)
    if "(" not in prompt:
        return [_with_embeddings([characters])]
    texts = [_with_embeddings([characters]), Text.of(prompt)]
    if _depth(characters) <= MOST_NESTING:
        # Inside a template, which has text on either side of the prompt, a bracket that stays open reaches beyond it.
        around = [("\0", 0, 0), *characters, ("\0", len(prompt), len(prompt))]
        texts[:0] = [_with_embeddings(without_weights(given)) for given in (characters, around)]
    return texts


def _depth(characters: Sequence[Character]) -> int:
    """Most brackets that are open at once."""
    depth = most = 0
    for character in characters:
        depth = depth + _is(character, "(") - _is(character, ")")
        most = max(most, depth)
    return most


def unescaped(prompt: str) -> list[Character]:
    """The prompt with `\\(` and `\\)` read as brackets; such a bracket is told by its two characters in the prompt."""
    characters: list[Character] = []
    at = 0
    for match in _ESCAPED.finditer(prompt):
        characters += [(prompt[i], i, i + 1) for i in range(at, match.start())]
        characters.append((match.group()[1], match.start(), match.end()))
        at = match.end()
    return characters + [(prompt[i], i, i + 1) for i in range(at, len(prompt))]


def without_weights(characters: Sequence[Character]) -> list[Sequence[Character]]:
    """The segments that the host hands, one after the other, to a tokenizer that knows weights."""
    segments: list[Sequence[Character]] = []
    waiting = [(characters, False)]
    while waiting:
        part, is_plain = waiting.pop()
        if is_plain:
            segments.append(part)
        else:
            parts = [(_inside(i), False) if _is_group(i) else (i, True) for i in _items(part)]
            waiting += reversed(parts)
    return segments


def _items(characters: Sequence[Character]) -> list[Sequence[Character]]:
    """Stretches of plain text and whole groups, in order."""
    items: list[Sequence[Character]] = []
    begin = depth = 0
    for at, character in enumerate(characters):
        if _is(character, "("):
            if depth == 0 and at > begin:
                items.append(characters[begin:at])
                begin = at
            depth += 1
        elif _is(character, ")"):
            depth -= 1
            if depth == 0:
                items.append(characters[begin : at + 1])
                begin = at + 1
    return items + ([characters[begin:]] if begin < len(characters) else [])


def _is_group(item: Sequence[Character]) -> bool:
    return len(item) >= 2 and _is(item[0], "(") and _is(item[-1], ")")


def _inside(group: Sequence[Character]) -> Sequence[Character]:
    """A group without its brackets and its weight."""
    inner = group[1:-1]
    colon = max((at for at, character in enumerate(inner) if _is(character, ":")), default=0)
    if colon > 0:
        try:
            float("".join(c if end - start == 1 else "?" for c, start, end in inner[colon + 1 :]))
        except ValueError:
            return inner
        return inner[:colon]
    return inner


def _is(character: Character, sign: str) -> bool:
    return character[0] == sign and character[2] - character[1] == 1


def _with_embeddings(segments: Sequence[Sequence[Character]]) -> Text:
    """One text of all segments. The host may put vectors in the place of an embedding's name or, where it knows none of
    that name, nothing; the comma behind it may go as well."""
    optional: list[tuple[int, int]] = []
    begin = 0
    for segment in segments:
        for match in _EMBEDDING.finditer("".join(c for c, _, _ in segment)):
            optional.append((begin + match.start(), begin + match.end("name")))
            optional.append((begin + match.start("commas"), begin + match.end()))
        begin += len(segment)
    return Text((character for segment in segments for character in segment), optional)
