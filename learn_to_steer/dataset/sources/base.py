"""The contract of a source of samples: pictures of two named objects whose relation is known.

A source is a numbered row of samples: number and seed say everything, so that a sample can be made again anywhere. What is
tested on is another source than what is trained on, with other pictures and other pairs of names (`splits`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...language import Relation

DIRECTIONS = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)
"""The relations that every source knows, in the order of its labels."""

PHRASES: dict[Relation, tuple[str, ...]] = {
    Relation.LEFT: ("to the left of", "left of", "on the left of"),
    Relation.RIGHT: ("to the right of", "right of", "on the right of"),
    Relation.ABOVE: ("above", "over", "on top of"),
    Relation.BELOW: ("below", "under", "beneath"),
}


@dataclass(frozen=True)
class Sample:
    """One picture. key: a name by which it is found again. picture (height, width, 3) uint8. names: subject, object. holds:
    index of the relation that holds between them."""

    key: str
    picture: np.ndarray
    names: tuple[str, str]
    holds: int


@dataclass(frozen=True)
class LeftOut:
    """A sample that there is not. kind: what is wrong, in words that fit many. where: which one it is."""

    kind: str
    where: str


class Source(Protocol):
    """Where samples come from."""

    relations: tuple[str, ...]
    """Names of the relations that `Sample.holds` indexes."""

    phrasings: int
    """Number of ways in which it words a relation."""

    count: int | None
    """How many samples there are; None where there is no end of them."""

    about: dict[str, Any]
    """What the samples are, ready for JSON: two sources with the same have the same samples."""

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """The samples with these numbers, pictures of this height and width. Same numbers and seed, same samples."""

    def prompt(self, names: tuple[str, str], relation: int, phrasing: int) -> str:
        """The sentence that states the relation of these two."""


class Worded:
    """How most sources word the four directions: the `relations`, `phrasings` and `prompt` of a `Source`."""

    relations: tuple[str, ...] = tuple(relation.value for relation in DIRECTIONS)
    phrasings: int = 3

    def prompt(self, names: tuple[str, str], relation: int, phrasing: int) -> str:
        """See `Source`."""
        return f"{article(names[0])} {PHRASES[DIRECTIONS[relation]][phrasing]} {article(names[1])}"


def article(noun: str) -> str:
    """``noun`` with its indefinite article."""
    return ("an " if noun[:1].lower() in tuple("aeiou") else "a ") + noun
