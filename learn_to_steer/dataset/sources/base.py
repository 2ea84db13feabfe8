"""The contract of a source of samples: pictures of two named objects whose relation is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Some pictures. pictures (B, height, width, 3) uint8. names: (subject, object) of each. holds (B,) int64: index of the
    relation that holds between them."""

    pictures: np.ndarray
    names: list[tuple[str, str]]
    holds: Tensor


class Source(Protocol):
    """Where samples come from."""

    relations: tuple[str, ...]
    """Names of the relations that `Samples.holds` indexes."""

    phrasings: int
    """Number of ways in which it words a relation."""

    def draw(self, size: int, rng: np.random.Generator) -> Samples:
        """The next samples; the same numbers, the same samples."""

    def prompt(self, names: tuple[str, str], relation: int, phrasing: int) -> str:
        """The sentence that states the relation of these two."""
