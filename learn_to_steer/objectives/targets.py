"""What can be wanted of a picture: a small union of targets, each about one or two of its objects.

Objects are meant by their slots, which index the O axis of the recorded maps (`attention.token_weights`). Whatever carries
targets about - hosts, the trace, reports - asks them for their words and slots, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Goal = Literal["relation", "implied", "presence", "separation", "single"]

GOALS: tuple[Goal, ...] = ("relation", "implied", "presence", "separation", "single")
"""Kinds of targets that can be asked for. "implied": relations that follow from the stated ones."""


@dataclass(frozen=True)
class RelationTarget:
    """Object slot `subject` stands in `relation` to object slot `object`. relation: any name or synonym."""

    subject: int
    object: int
    relation: str

    @property
    def slots(self) -> tuple[int, ...]:
        """The objects that it is about."""
        return self.subject, self.object

    def words(self, names: Sequence[str] | None = None) -> str:
        """For readers. names: of the object slots."""
        return f"{_name(names, self.subject)} {self.relation} {_name(names, self.object)}"


@dataclass(frozen=True)
class PresenceTarget:
    """The object is there: it has a place of its own."""

    object: int

    @property
    def slots(self) -> tuple[int, ...]:
        """The object that it is about."""
        return (self.object,)

    def words(self, names: Sequence[str] | None = None) -> str:
        """For readers. names: of the object slots."""
        return f"{_name(names, self.object)} is there"


@dataclass(frozen=True)
class SeparationTarget:
    """The two objects do not lie on each other. Which one is the first makes no difference."""

    first: int
    second: int

    @property
    def slots(self) -> tuple[int, ...]:
        """The objects that it is about."""
        return self.first, self.second

    def words(self, names: Sequence[str] | None = None) -> str:
        """For readers. names: of the object slots."""
        return f"{_name(names, self.first)} apart from {_name(names, self.second)}"


@dataclass(frozen=True)
class SingleTarget:
    """The object is in one place, not in two."""

    object: int

    @property
    def slots(self) -> tuple[int, ...]:
        """The object that it is about."""
        return (self.object,)

    def words(self, names: Sequence[str] | None = None) -> str:
        """For readers. names: of the object slots."""
        return f"{_name(names, self.object)} only once"


Target: TypeAlias = RelationTarget | PresenceTarget | SeparationTarget | SingleTarget


def _name(names: Sequence[str] | None, slot: int) -> str:
    return names[slot] if names else f"object {slot}"
