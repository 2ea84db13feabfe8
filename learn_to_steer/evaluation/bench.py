"""A bench: a model, the ways to draw with it, and the judges. It draws pictures under every setting and judges them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..guidance import GuidancePlan, Method
from ..hosts.modules import digest
from ..hosts.protocol import Drawn, Sampler
from ..hosts.targets import knows
from ..language import parse_relations
from ..objectives import Objective
from ..steering import SteeringPlan
from .detections import Demand, asked_of
from .judges import Judge
from .rewriting import rewritten
from .suites.base import Suite, names_of, seeds_of

WARM_UP_STEPS = 2

_OTHER_NOISE = 2**30
"""Warming up draws from other seeds: a server would answer the same question from its cache afterwards."""


@dataclass(frozen=True)
class Draw:
    """One picture to draw: a prompt and the seed of its noise. asked: what it shall show, None = what the prompt says.
    tag: the suite's name for the kind of prompt."""

    prompt: str
    seed: int
    asked: Demand | None = None
    tag: str = ""

    @property
    def demand(self) -> Demand:
        """What the prompt asks of its picture."""
        return Demand(asked_of(self.prompt)) if self.asked is None else self.asked

    @property
    def names(self) -> tuple[str, ...]:
        """The objects that the prompt relates, each once."""
        return names_of(self.demand)

    @property
    def cluster(self) -> str:
        """Pictures of the same objects are not independent of one another: their common name."""
        return " + ".join(sorted(self.names))


def draws_of(suite: Suite, seed: int = 0) -> list[Draw]:
    """Every picture of a suite, prompt by prompt. seed: of the run, see `suites.base.seeds_of`."""
    return [
        Draw(case.prompt, s, case.demand, case.tag) for case in suite.cases() for s in seeds_of(case, seed)
    ]


@dataclass(frozen=True)
class Setting:
    """A way to draw: no objective is plain generation, unless attention is guided.

    method, guidance: see `hosts.protocol.Sampler`. rewrite: the prompt is rewritten by rule first; the relations to steer
    stay those of the prompt. sampler: another model than the bench's, which says by itself how to steer.
    """

    name: str
    objective: Objective | None
    plan: SteeringPlan | None
    method: Method = "gradient"
    guidance: GuidancePlan | None = None
    rewrite: bool = False
    sampler: Sampler | None = None

    @property
    def said(self) -> list[str]:
        """What it is, for comparing it with that of an earlier run."""
        way = [str(self.plan), digest(getattr(self.objective, "classifier", None))]
        way += [] if self.method == "gradient" else [self.method, str(self.guidance)]
        way += ["rewritten"] if self.rewrite else []
        return way + ([self.sampler.digest()] if self.sampler is not None else [])


Picture = np.ndarray
Shown = tuple[dict[str, Any], Picture]
"""A line of results, and its picture (height, width, 3) uint8."""


@dataclass
class Bench:
    """steps, guidance: None = the model's usual ones. warm: names of the settings that are warmed up."""

    sampler: Sampler
    judges: Sequence[Judge]
    settings: Sequence[Setting]
    steps: int | None = None
    guidance: float | None = None
    warm: set[str] = field(default_factory=set)

    def setup(self) -> dict[str, Any]:
        """What results depend on, as JSON: those of two benches of the same setup may be mixed."""
        return {
            "steps": self.steps,
            "guidance": self.guidance,
            "model": self.sampler.digest(),
            "judges": [judge.name for judge in self.judges],
            "settings": {s.name: s.said for s in self.settings},
        }

    def check(self, draws: Sequence[Draw]) -> None:
        """Raises SteeringError for a draw whose picture a judge cannot judge."""
        for judge in self.judges:
            judge.check(draw.demand for draw in draws)

    def draw(self, draws: Sequence[Draw], names: Sequence[str]) -> Iterator[list[Shown]]:
        """Draw these pictures under the named settings, one after the other, and judge them.

        A line of results holds setting, prompt, seed, cluster, tag and the first judge's judgement; ``others``, those of
        further judges by their names; ``evaluations`` (forward passes of steering) and ``gradients`` (those of them with a
        backward pass), None where the host does not tell; ``calls`` (all forward passes of the denoiser over the batch);
        and ``seconds``, the wall time of the batch divided by its pictures. A setting is warmed up by two steps before its
        first batch, so that times can be compared.
        """
        for setting in self.settings:
            if setting.name not in names:
                continue
            if setting.name not in self.warm:
                self._sample(setting, draws, WARM_UP_STEPS, _OTHER_NOISE)
                self.warm.add(setting.name)
            began = time.perf_counter()
            drawn = self._sample(setting, draws, self.steps)
            seconds = time.perf_counter() - began if drawn.seconds is None else drawn.seconds
            yield self._judged(setting, draws, drawn, seconds / len(draws))

    def _sample(self, setting: Setting, draws: Sequence[Draw], steps: int | None, change: int = 0) -> Drawn:
        prompts = [rewritten(d.prompt) if setting.rewrite else d.prompt for d in draws]
        way: dict[str, Any] = {"objective": setting.objective, "plan": setting.plan}
        way |= {"method": setting.method, "attention": setting.guidance}
        steers = setting.objective is not None or setting.method != "gradient"
        if setting.rewrite and steers:
            # The places of the words in front are those of the prompt itself.
            way["triplets"] = [
                [t for t in parse_relations(d.prompt) if self._known(setting, t.relation.value)]
                for d in draws
            ]
        if steps is not None and self.steps is not None:
            steps = min(steps, self.steps)
        sampler = setting.sampler or self.sampler
        return sampler.sample(
            prompts, [d.seed ^ change for d in draws], steps=steps, guidance=self.guidance, **way
        )

    @staticmethod
    def _known(setting: Setting, relation: str) -> bool:
        return setting.objective is None or knows(setting.objective, relation)

    def _judged(self, setting: Setting, draws: Sequence[Draw], drawn: Drawn, seconds: float) -> list[Shown]:
        verdicts = [judge.judge(drawn.pictures, [d.demand for d in draws]) for judge in self.judges]
        lines: list[Shown] = []
        for i, draw in enumerate(draws):
            line: dict[str, Any] = {"setting": setting.name, "prompt": draw.prompt, "seed": draw.seed}
            line |= {"cluster": draw.cluster} | ({"tag": draw.tag} if draw.tag else {})
            line |= verdicts[0][i].as_json()
            if len(self.judges) > 1:
                others = zip(self.judges[1:], verdicts[1:], strict=True)
                line["others"] = {judge.name: of_judge[i].as_json() for judge, of_judge in others}
            line |= {
                "evaluations": drawn.trace.evaluations[i],
                "gradients": drawn.trace.gradients[i],
                "calls": drawn.model_calls,
                "seconds": seconds,
            }
            lines.append((line, drawn.pictures[i]))
        return lines
