"""T2I-CompBench's 2-D spatial prompts (Huang et al. 2023, github.com/Karine-Huang/T2I-CompBench, MIT), a text a line.

They are read from a copy of its ``spatial_val.txt`` or ``spatial_train.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .base import Case, read_lines, stated

SOURCE = "github.com/Karine-Huang/T2I-CompBench, examples/dataset/spatial_val.txt"
PICTURES = 10
"""As its authors draw."""


@dataclass(frozen=True)
class T2ICompBench:
    """The prompts of a text file."""

    path: Path
    pictures: int = PICTURES
    name: str = "t2i-compbench"
    rule: str = "t2i-compbench"

    def cases(self) -> list[Case]:
        """One case per line. Raises SteeringError, naming the line, for one without a relation of the rule."""
        return [
            Case(prompt, stated(prompt, self.rule, f"line {count} of {self.path}"), self.pictures, "spatial")
            for count, prompt in read_lines(self.path)
        ]
