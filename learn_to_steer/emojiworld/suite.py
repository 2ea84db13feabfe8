"""EmojiWorld's prompts as a suite: those of a published table, or as many as wanted."""

from __future__ import annotations

from dataclasses import dataclass

from ..evaluation.suites import Case
from .prompts import Part, chains, one_relation


@dataclass(frozen=True)
class EmojiWorld:
    """``pictures`` prompts of ``relations`` relations each about the pairs of ``part``, each with a seed of its own."""

    pictures: int
    relations: int = 1
    seed: int = 0
    part: Part = "test"
    name: str = "emojiworld"
    rule: str = "geneval"

    def cases(self) -> list[Case]:
        """One case per picture, in the order of `prompts.one_relation` and `prompts.chains`."""
        asked = (self.part, self.pictures, self.seed)
        draws = one_relation(*asked) if self.relations == 1 else chains(*asked, self.relations)
        return [Case(draw.prompt, draw.demand, 1, "", (draw.seed,)) for draw in draws]
