"""JSON of any length, element by element: a list of samples may be larger than memory, and may end in the middle."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from ...errors import SteeringError
from .damage import Damage

LONGEST_ELEMENT = 2**26
"""Characters of one element; a list of samples has none of this length."""

_FIRST_READ = 2**20


class _Broken(ValueError):
    """What follows cannot be read."""


class _Text:
    """The text of a file from the present place on."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.buffer, self.place, self.size = file, "", 0, _FIRST_READ
        self.decoder = json.JSONDecoder()

    def fill(self) -> bool:
        more = self.file.read(self.size)
        self.buffer, self.place = self.buffer[self.place :] + more, 0
        return bool(more)

    def next(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self.place < len(self.buffer) and self.buffer[self.place] in " \t\r\n":
                self.place += 1
            if self.place < len(self.buffer) or not self.fill():
                return self.buffer[self.place : self.place + 1]

    def take(self, characters: str) -> str:
        """The next character, which must be one of these."""
        character = self.next()
        if not character:
            raise _Broken("a file that ends in the middle")
        if character not in characters:
            raise _Broken("a file that is not JSON from some place on")
        self.place += 1
        return character

    def value(self) -> Any:
        self.next()
        self.size = _FIRST_READ
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.place)
                # A number at the end of what was read may go on.
                if end < len(self.buffer) or not self.fill():
                    self.place = end if end <= len(self.buffer) else len(self.buffer)
                    return value
            except RecursionError as error:
                raise _Broken("a file that is not JSON from some place on") from error
            except ValueError as error:
                if len(self.buffer) - self.place > LONGEST_ELEMENT:
                    raise _Broken("a file that is not JSON from some place on") from error
                if not self.fill():
                    raise _Broken(
                        "a file that ends in the middle or is not JSON from some place on"
                    ) from error
            self.size *= 2


def elements(path: Path, arrays: Collection[str], damage: Damage) -> Iterator[tuple[str, Any]]:
    """(key, value) of an object, (key, element) for each element of its lists under the keys `arrays`; ("", element) of a
    list. What cannot be read ends the row and is noted as damage.

    Raises SteeringError where the file cannot be opened and where it begins as no JSON of that kind.
    """
    try:
        # What is not UTF-8 becomes a sign that no name may hold.
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            text = _Text(file)
            if text.next() not in ("{", "["):
                raise SteeringError(
                    f"Expected a JSON object or list in {path}, got something else; give the file of annotations."
                )
            try:
                yield from _items(text, arrays)
            except _Broken as error:
                damage.note(f"the rest of {error}", str(path))
    except OSError as error:
        raise SteeringError(
            f"Expected a file of annotations at {path}, but it cannot be read ({error.strerror}); check the path."
        ) from error


def _items(text: _Text, arrays: Collection[str]) -> Iterator[tuple[str, Any]]:
    if text.take("{[") == "[":
        for value in _list(text):
            yield "", value
        return
    if text.next() == "}":
        return
    while True:
        key = text.value()
        if not isinstance(key, str):
            raise _Broken("a file that is not JSON from some place on")
        text.take(":")
        if key in arrays and text.next() == "[":
            text.take("[")
            for value in _list(text):
                yield key, value
        else:
            yield key, text.value()
        if text.take(",}") == "}":
            return


def _list(text: _Text) -> Iterator[Any]:
    """The elements of a list whose bracket is taken already."""
    if text.next() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return
