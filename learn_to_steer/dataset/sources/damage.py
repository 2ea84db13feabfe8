"""What could not be used of a source: counted by kind, the first of each named."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Damage:
    """counts: how many of each kind. first: where the first of each kind is."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, where: str, times: int = 1) -> None:
        """One more of this kind. kind: in words that follow a number ("a box without area")."""
        self.counts[kind] = self.counts.get(kind, 0) + times
        self.first.setdefault(kind, where)

    def add(self, other: Damage) -> None:
        """Those of another."""
        for kind, count in other.counts.items():
            self.note(kind, other.first[kind], count)

    @property
    def total(self) -> int:
        """How many were left out."""
        return sum(self.counts.values())

    def lines(self) -> list[str]:
        """One sentence a kind, the most frequent first."""
        return [
            f"{count:,} left out: {kind} (the first: {self.first[kind]})."
            for kind, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        ]
