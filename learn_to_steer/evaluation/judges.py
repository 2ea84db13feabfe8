"""Judges: pictures and what they shall show in, verdicts out.

A judge is a detector with a rule of the boxes, or a model that answers yes or no.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import SteeringError
from .detections import Demand, Detection, Verdict, class_of, find, plain_name
from .detectors.base import Detector
from .detectors.colours import ClipColours
from .detectors.yes_no import YesNo
from .rules import Rule, rule_named, t2i_compbench
from .suites.base import names_of


@dataclass(frozen=True)
class Judgement:
    """What one judge says of one picture. found: its detections; None for a judge that looks for none."""

    verdict: Verdict
    demand: Demand
    found: tuple[Detection, ...] | None

    @property
    def right(self) -> bool:
        """All objects are there, every relation holds, and nothing else that was asked is wrong."""
        verdict = self.verdict
        return verdict.present and all(r.holds for r in verdict.relations) and bool(verdict.score)

    def as_json(self) -> dict[str, Any]:
        """The judgement as a part of a line of results.

        ``right``; ``present`` (all of the prompt's objects); ``relations``, per relation whether both objects are present
        and whether it holds; ``relation_scores`` and ``score``, the rule's; ``objects`` (name -> how many found) and
        ``duplicates`` (how many too many of the prompt's objects), None without detections.
        """
        found = self.found
        counts = None if found is None else dict(Counter(plain_name(d.name) for d in found))
        wanted = Counter(class_of(found or (), thing) for thing in self.demand.things)
        for thing, count in self.demand.counts:
            name = class_of(found or (), thing)
            wanted[name] = max(wanted[name], count)
        return {
            "right": self.right,
            "present": self.verdict.present,
            "relations": [
                {
                    "present": self._seen(r.asked.subject, r) and self._seen(r.asked.object, r),
                    "holds": r.holds,
                }
                for r in self.verdict.relations
            ],
            "relation_scores": [r.score for r in self.verdict.relations],
            "score": self.verdict.score,
            "objects": counts,
            "duplicates": None
            if counts is None
            else sum(max(0, counts.get(name, 0) - count) for name, count in wanted.items()),
        }

    def _seen(self, thing: Any, verdict: Any) -> bool:
        if self.found is None:
            return self.verdict.present or verdict.holds
        return bool(find(self.found, thing))


class Judge(Protocol):
    """Says whether pictures show what they shall."""

    name: str

    def judge(self, pictures: np.ndarray, demands: Sequence[Demand]) -> list[Judgement]:
        """pictures (B, height, width, 3) uint8, and what each shall show."""

    def check(self, demands: Iterable[Demand]) -> None:
        """Raises SteeringError, before anything is drawn, for a demand that it cannot judge."""


class RuleJudge:
    """A detector, and a rule on its boxes or masks. colours: what reads colours, for prompts that ask for them."""

    def __init__(self, name: str, detector: Detector, rule: str, colours: ClipColours | None = None) -> None:
        self.name, self.detector, self.rule_name, self.colours = name, detector, rule, colours
        self.rule: Rule = rule_named(rule)

    def judge(self, pictures: np.ndarray, demands: Sequence[Demand]) -> list[Judgement]:
        """See `Judge`."""
        found = self.detector.detect(pictures, [names_of(demand) for demand in demands])
        return [
            judgement(demand, self._coloured(p, f, demand), self.rule)
            for p, f, demand in zip(pictures, found, demands, strict=True)
        ]

    def _coloured(
        self, picture: np.ndarray, found: Sequence[Detection], demand: Demand
    ) -> Sequence[Detection]:
        if self.colours is None or not demand.colours:
            return found
        read: list[Detection] = list(found)
        for thing, _, _ in demand.colours:
            name = class_of(found, thing)
            mine = [i for i, d in enumerate(read) if plain_name(d.name) == name]
            for i, d in zip(
                mine, self.colours.coloured(picture, [read[i] for i in mine], thing.noun), strict=True
            ):
                read[i] = d
        return read

    def check(self, demands: Iterable[Demand]) -> None:
        """See `Judge`."""
        for demand in demands:
            if demand.colours and self.colours is None:
                raise SteeringError(
                    f"Expected a CLIP model that reads the colour of a {demand.colours[0][0].noun}, got none; give one "
                    "with --colours or leave the prompts about colours out."
                )
            names = names_of(demand)
            unknown = self.detector.unknown(names)
            if self.rule_name == "t2i-compbench" and not self.detector.unknown([t2i_compbench.PERSON]):
                unknown = [name for name in unknown if name not in t2i_compbench.PEOPLE]
            if unknown:
                raise SteeringError(
                    f'Expected prompts about objects that the judge "{self.name}" knows, got "{unknown[0]}"; use a judge '
                    "with an open vocabulary (OWLv2, Grounding DINO, a vision-language model) or leave such prompts out."
                )


class AskingJudge:
    """A vision-language model, asked yes or no."""

    def __init__(self, name: str, model: YesNo) -> None:
        self.name, self.model = name, model

    def judge(self, pictures: np.ndarray, demands: Sequence[Demand]) -> list[Judgement]:
        """See `Judge`."""
        return [
            Judgement(self.model.verdict(picture, demand), demand, None)
            for picture, demand in zip(pictures, demands, strict=True)
        ]

    def check(self, demands: Iterable[Demand]) -> None:
        """Everything can be asked."""


def judgement(demand: Demand, found: Sequence[Detection], rule: Rule) -> Judgement:
    """The rule's verdict on what was found in one picture."""
    return Judgement(rule.judge(found, demand), demand, tuple(found))
