"""What a suite is: cases to draw and the rule that judges them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import SteeringError
from ..detections import Demand, asked_of, plain_name
from ..rules import rule_named


@dataclass(frozen=True)
class Case:
    """One prompt of a suite.

    Attributes:
        prompt: what is drawn.
        demand: what the picture shall show, relations first of all.
        pictures: how many are drawn of the prompt, from as many seeds.
        tag: the suite's name for the kind of prompt.
        seeds: of its pictures, where the suite fixes them.
    """

    prompt: str
    demand: Demand
    pictures: int
    tag: str = ""
    seeds: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The objects that a detector shall search for, in the order of the prompt, each once."""
        return names_of(self.demand)

    @property
    def cluster(self) -> tuple[str, ...]:
        """The same for pictures of the same objects in whatever order: they are not independent."""
        return tuple(sorted(self.names))


def names_of(demand: Demand) -> tuple[str, ...]:
    """The nouns of a demand, in the order of the prompt, each once."""
    return tuple(dict.fromkeys(plain_name(thing.noun) for thing in demand.things))


class Suite(Protocol):
    """A set of cases. `rule` is a name of `evaluation.rules.RULES`."""

    @property
    def name(self) -> str:
        """The suite's name."""

    @property
    def rule(self) -> str:
        """The rule that judges its pictures."""

    def cases(self) -> list[Case]:
        """All cases, in an order that is the same every time."""


def seeds_of(case: Case, seed: int) -> tuple[int, ...]:
    """The seeds of a case's pictures: those that its suite fixes, else made of the run's seed, the prompt and the number of
    the picture. So a picture is the same whichever other prompts are drawn, and in whichever order."""
    if case.seeds:
        return case.seeds
    names = (f"{seed} {picture} {case.prompt}" for picture in range(case.pictures))
    return tuple(int.from_bytes(hashlib.sha256(n.encode()).digest()[:4], "big") >> 1 for n in names)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """(Number, text) of the lines of a UTF-8 file that are not blank.

    Raises SteeringError for a file that cannot be read or has none.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SteeringError(
            f"Expected a UTF-8 file of prompts at {path}, but it cannot be read ({reason}); give the path of your copy."
        ) from error
    lines = [(i, line.strip()) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise SteeringError(f"Expected prompts in {path}, got an empty file; give the path of your copy.")
    return lines


def stated(prompt: str, rule: str, where: str) -> Demand:
    """What the prompt says, as far as the rule judges it. Raises SteeringError, naming the place, for nothing."""
    judges = rule_named(rule).judges
    relations = tuple(a for a in asked_of(prompt) if judges(a.relation))
    if not relations:
        raise SteeringError(
            f'Expected a prompt with a relation that the rule "{rule}" judges, got "{prompt}" ({where}); '
            "reword it or take it out."
        )
    return Demand(relations)


def chosen_by_seed(cases: Sequence[Case], count: int | None, seed: int) -> list[Case]:
    """``count`` of the cases, chosen once by the seed and kept in their order; all where count is None.

    Raises SteeringError for a count that there is not.
    """
    import numpy as np

    if count is None:
        return list(cases)
    if not 1 <= count <= len(cases):
        raise SteeringError(
            f"Expected a number of prompts from 1 to {len(cases)}, got {count}; choose another."
        )
    chosen = np.random.default_rng(seed).choice(len(cases), count, replace=False)
    return [cases[i] for i in sorted(chosen)]
