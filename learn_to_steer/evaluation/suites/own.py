"""A file of one's own prompts, judged by any of the rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...records import prompt_of
from .base import Case, read_lines, stated


@dataclass(frozen=True)
class OwnPrompts:
    """Prompts a line, as plain text or as JSON objects with the text under "prompt"."""

    path: Path
    rule: str = "geneval"
    pictures: int = 4
    name: str = "own"

    def cases(self) -> list[Case]:
        """One case per line. Raises SteeringError, naming the line, for one without a relation of the rule."""
        cases = []
        for count, line in read_lines(self.path):
            where = f"line {count} of {self.path}"
            prompt = prompt_of(line, where)
            cases.append(Case(prompt, stated(prompt, self.rule, where), self.pictures))
        return cases
