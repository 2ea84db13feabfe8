"""A file of one's own prompts, judged by any of the rules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...errors import SteeringError
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
            prompt = _prompt(line, where)
            cases.append(Case(prompt, stated(prompt, self.rule, where), self.pictures))
        return cases


def _prompt(line: str, where: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return line  # a prompt may start with a brace
    if not isinstance(record.get("prompt"), str):
        raise SteeringError(
            f'Expected a text under "prompt" on {where}, got none; add it or give plain lines.'
        )
    return record["prompt"]
