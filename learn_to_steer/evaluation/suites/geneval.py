"""GenEval (Ghosh et al. 2023, github.com/djghosh13/geneval, MIT): its prompts are read from a copy of its metadata.

A line: ``{"tag", "include": [{"class", "count", "position": [relation, entry]}, ...], "exclude": [...], "prompt"}``.
The 100 lines of tag "position" are what steering is about; the others tell whether something else got worse. Those of
"colors" and "color_attr" need a judge that reads colours (`evaluation.detectors.colours`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SteeringError
from ..detections import Demand, short
from ..records import demand_of_metadata
from .base import Case, read_lines

PICTURES = 4
POSITION = ("position",)
TAGS = ("position", "single_object", "two_object", "counting", "colors", "color_attr")
SOURCE = "github.com/djghosh13/geneval, prompts/evaluation_metadata.jsonl"


@dataclass(frozen=True)
class GenEval:
    """GenEval's prompts of some kinds, from a file of its metadata."""

    path: Path
    tags: Sequence[str] = POSITION
    pictures: int = PICTURES
    name: str = "geneval"
    rule: str = "geneval"

    def cases(self) -> list[Case]:
        """One case per line of the tags, in the file's order.

        Raises SteeringError for tags that there are not, lines of another form, and a file without such a line.
        """
        if unknown := [tag for tag in self.tags if tag not in TAGS]:
            raise SteeringError(
                f"Expected kinds of prompts among {', '.join(TAGS)}, got {unknown[0]!r}; choose those."
            )
        cases = [
            Case(record["prompt"], demand, self.pictures, record["tag"])
            for record, demand in map(self._parsed, read_lines(self.path))
            if demand is not None
        ]
        if not cases:
            raise SteeringError(
                f"Expected lines of the kinds {', '.join(self.tags)} in {self.path}, got none; give GenEval's metadata "
                f"({SOURCE})."
            )
        return cases

    def _parsed(self, numbered: tuple[int, str]) -> tuple[dict[str, Any], Demand | None]:
        """The line, and what it asks; None for a line of another tag."""
        count, line = numbered
        try:
            record = json.loads(line)
            if (
                not isinstance(record, dict)
                or not isinstance(record.get("prompt"), str)
                or "include" not in record
            ):
                raise SteeringError(
                    f'Expected a JSON object with "tag", "include" and "prompt", got {short(record)}; '
                    "give GenEval's metadata."
                )
            chosen = record.get("tag") in self.tags
            return record, demand_of_metadata(record, colours=True) if chosen else None
        except SteeringError as error:
            raise SteeringError(f"Line {count} of {self.path}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise SteeringError(
                f"Line {count} of {self.path}: Expected a JSON object, got {short(line)}; give GenEval's metadata."
            ) from error
