"""Draw a few prompts plainly and steered, look into the middle of the runs, and judge.

The moment that is looked into lies behind the plan's moves, so that whatever holds there was kept by the model itself.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import SteeringError
from ...hosts.probing import Probe, Probed
from ...language import RelationTriplet, read_prompt
from ...objectives import Objective, RelationTarget
from ...steering import SteeringPlan
from ...steering.loop import TAKEN_BACK
from ..bench import Draw
from ..detections import Demand
from ..judges import Judge
from .acting import alike, effect, lead, mean_maps, texture
from .verdict import LEAD, Figures, Verdict, unreadable, verdict

PROMPTS = ("a dog to the left of a bicycle", "a cat above a chair")
"""What is drawn where nothing else is asked: everyday things that every large model knows."""

SHARE = 0.6
"""Of the model's own schedule: where runs are looked into. The plan "fast" moves before 0.4, the published one before
0.5."""


@dataclass
class Way:
    """One way to draw, over all pictures; lists have one entry a picture.

    pictures (B, height, width, 3) uint8. calls: forward passes of the denoiser, each over a batch. seconds: a picture,
    of the median batch (the first one of a process is slow). evaluations, gradients: of steering, a picture. moved: how
    far the latent was moved, all moves added up and what was taken back taken off, in rms. spread: standard deviation
    of the finished latents; texture: of the same, see `acting.texture`. probability: of the relation at the moment.
    acts: how far the words act as asked, see `acting.lead`. seen: whether the judge sees the relation, present: whether it
    sees both objects; empty without one.
    """

    pictures: np.ndarray
    calls: int
    seconds: float
    evaluations: list[int]
    gradients: list[int]
    moved: list[float]
    spread: list[float]
    texture: list[float]
    probability: list[float] = field(default_factory=list)
    acts: list[float] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    present: list[bool] = field(default_factory=list)


@dataclass
class Check:
    """What came out. prompts, seeds: one a picture. layers: that are read, of_all: how many the model has. size: (width,
    height). memory: peak in bytes, None where it is not known. figures: None where the attention cannot be read. before,
    after: probability at steering's first and last reading, a picture."""

    family: str
    layers: list[str]
    of_all: int
    prompts: list[str]
    seeds: list[int]
    size: tuple[int, int]
    memory: int | None
    plain: Way
    steered: Way | None
    before: list[float]
    after: list[float]
    figures: Figures | None
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, ready for JSON; None for what was not read."""
        content = asdict(self)
        for name in ("before", "after"):
            content[name] = [p if math.isfinite(p) else None for p in content[name]]
        for way in ("plain", "steered"):
            if content[way] is not None:
                del content[way]["pictures"]
        return content


def relation_of(prompt: str) -> RelationTriplet:
    """The one relation of a prompt. Raises SteeringError for a prompt that states none with a direction, or several."""
    found = read_prompt(prompt).relations
    if len(found) != 1 or found[0].relation.direction is None:
        raise SteeringError(
            f'Expected a prompt that states one relation with a direction, such as "a dog above a car", got "{prompt}"; '
            "choose such prompts for a check."
        )
    return found[0]


def with_other_noun(prompt: str, triplet: RelationTriplet, which: int, nouns: Sequence[str]) -> str:
    """The prompt with another noun in the place of its subject (which = 0) or object (1): one of `nouns` that it does not
    name, else the other end's."""
    spans = (triplet.subject_noun, triplet.object_noun)
    own = [prompt[slice(*span)] for span in spans]
    lower = [noun.lower() for noun in own]
    other = next((noun for noun in nouns if noun.lower() not in lower), own[1 - which])
    start, end = spans[which]
    return prompt[:start] + other + prompt[end:]


def check(
    probe: Probe,
    objective: Objective,
    plan: SteeringPlan,
    prompts: Sequence[str],
    seeds: Sequence[int],
    batch: int = 4,
    judge: Judge | None = None,
    decide: Callable[[Figures], Verdict] = verdict,
    progress: Callable[[], object] | None = None,
) -> Check:
    """Every prompt with every seed, plainly and steered.

    prompts: each states one relation with a direction. batch: pictures drawn at once. judge: looks at the pictures.
    decide: what the figures say; `verdict` takes a judge as further evidence only, `verdict_of_judge` rests on it.
    progress: called after each of the 2 * ceil(pictures / batch) draws.
    Raises SteeringError for other prompts, an objective that does not fit and prompts that the judge cannot judge.
    """
    triplets_of = {prompt: relation_of(prompt) for prompt in prompts}
    pictures = [(prompt, seed) for prompt in prompts for seed in seeds]
    objective.check([[RelationTarget(0, 1, t.relation.value)] for t in triplets_of.values()])
    demands = [Draw(p, s).demand for p, s in pictures]
    if judge is not None:
        judge.check(demands)
    nouns = [p[slice(*span)] for p, t in triplets_of.items() for span in (t.subject_noun, t.object_noun)]
    chunks = [pictures[i : i + batch] for i in range(0, len(pictures), batch)]
    watch = _Memory()
    probed: dict[str, list[tuple[Probed, float]]] = {"plain": [], "steered": []}
    looks: dict[str, list[_Seen]] = {"plain": [], "steered": []}
    reason: str | None = None
    for chunk in chunks:
        texts, numbers = [p for p, _ in chunk], [s for _, s in chunk]
        asked = [triplets_of[p] for p in texts]
        for name, wanted in (("plain", None), ("steered", objective)):
            if reason is not None and name == "steered":
                continue
            began = time.perf_counter()
            one = probe.draw(texts, numbers, wanted, plan, SHARE)
            probed[name].append((one, time.perf_counter() - began))
            try:
                looks[name].append(_look(probe, objective, texts, asked, nouns, one))
            except SteeringError as error:
                if name == "steered":
                    raise
                reason = str(error)
            if progress is not None:
                progress()
    ways = {
        name: _way([one for one, _ in parts], _a_picture(parts), looks[name], demands, judge)
        for name, parts in probed.items()
        if parts and (name == "plain" or reason is None)
    }
    names = [layer.name for layer in probe.layers]
    wanted_layers = names if objective.layers is None else objective.layers
    read = [name for name in names if name in wanted_layers]
    height, width = ways["plain"].pictures.shape[1:3]
    whole: dict[str, Any] = {
        "family": probe.family, "layers": read, "of_all": len(names), "prompts": [p for p, _ in pictures],
        "seeds": [s for _, s in pictures], "size": (width, height), "memory": watch.peak(), "plain": ways["plain"],
    }  # fmt: skip
    if reason is not None:
        return Check(**whole, steered=None, before=[], after=[], figures=None, verdict=unreadable(reason))
    readings = [
        _readings(one.drawn.trace, i) for one, _ in probed["steered"] for i in range(len(one.latents))
    ]
    before, after = [a for a, _ in readings], [b for _, b in readings]
    figures = _figures(ways["plain"], ways["steered"], looks, before, after)
    return Check(
        **whole,
        steered=ways["steered"],
        before=before,
        after=after,
        figures=figures,
        verdict=decide(figures),
    )


@dataclass(frozen=True)
class _Seen:
    """Of one batch: (B,) each."""

    alike: Tensor
    probability: Tensor
    lead: Tensor


def _look(
    probe: Probe, objective: Objective, prompts: Sequence[str], triplets: Sequence[RelationTriplet],
    nouns: Sequence[str], one: Probed,
) -> _Seen:  # fmt: skip
    moment = one.moment
    maps = probe.maps(prompts, triplets, moment, objective.layers)
    with torch.no_grad():
        reading = objective(maps, [[RelationTarget(0, 1, t.relation.value)] for t in triplets], moment.step)
    answer = probe.predict(prompts, moment)
    effects = [
        effect(
            answer,
            probe.predict(
                [with_other_noun(p, t, which, nouns) for p, t in zip(prompts, triplets, strict=True)], moment
            ),
        )
        for which in (0, 1)
    ]
    directions = torch.tensor([t.relation.direction for t in triplets])
    return _Seen(
        alike(mean_maps(maps)).cpu(),
        reading.probability[:, 0].float().cpu(),
        lead(torch.stack(effects, 1), directions).cpu(),
    )


def _way(
    parts: Sequence[Probed], seconds: float, looks: Sequence[_Seen], demands: Sequence[Demand], judge: Judge | None
) -> Way:  # fmt: skip
    traces = [part.drawn.trace for part in parts]
    way = Way(
        pictures=np.concatenate([part.drawn.pictures for part in parts]),
        calls=sum(part.drawn.model_calls or 0 for part in parts),
        seconds=seconds,
        evaluations=[n for trace in traces for n in trace.evaluations],
        gradients=[n for trace in traces for n in trace.gradients],
        moved=[_moved(part.drawn.trace, i) for part in parts for i in range(len(part.latents))],
        spread=[float(latent.float().std()) for part in parts for latent in part.latents],
        texture=[float(x) for part in parts for x in texture(part.latents.float())],
        probability=[float(p) for look in looks for p in look.probability],
        acts=[float(x) for look in looks for x in look.lead],
    )
    if judge is not None:
        found = [judgement.verdict for judgement in judge.judge(way.pictures, demands)]
        way.seen = [one.relations[0].holds for one in found]
        way.present = [one.present for one in found]
    return way


def _a_picture(parts: Sequence[tuple[Probed, float]]) -> float:
    return statistics.median_low([seconds / len(one.latents) for one, seconds in parts])


def _moved(trace: Any, image: int) -> float:
    """All moves of an image's latent added up, what was taken back taken off."""
    steps = {
        (r.step, r.evaluation): (-r.length if r.note == TAKEN_BACK else r.length) for r in trace.image(image)
    }
    return max(0.0, sum(steps.values()))


def _readings(trace: Any, image: int) -> tuple[float, float]:
    """Probability at the first and at the last reading of an image; (nan, nan) where nothing was read."""
    records = trace.image(image)
    if not records:
        return float("nan"), float("nan")
    return records[0].probability, records[-1].probability


def _figures(
    plain: Way, steered: Way, looks: dict[str, list[_Seen]], before: Sequence[float], after: Sequence[float]
) -> Figures:  # fmt: skip
    def share(values: Iterable[bool]) -> float:
        return float(np.mean(list(values)))

    def mean(values: Sequence[float]) -> float:
        finite = [v for v in values if np.isfinite(v)]
        return float(np.mean(finite)) if finite else 0.0

    shared = [float(x) for look in looks["plain"] for x in look.alike]
    return Figures(
        texture=mean(plain.texture),
        alike=mean(shared),
        before=mean(before),
        after=mean(after),
        kept=share(p >= 0.5 for p in steered.probability),
        acts_plain=share(x >= LEAD for x in plain.acts),
        acts_steered=share(x >= LEAD for x in steered.acts),
        lead_plain=mean(plain.acts),
        lead_steered=mean(steered.acts),
        lead_sure=mean(steered.acts) - _error(steered.acts),
        spread=mean(steered.spread) / max(mean(plain.spread), 1e-12),
        seen_plain=share(plain.seen) if plain.seen else None,
        seen_steered=share(steered.seen) if steered.seen else None,
        present_plain=share(plain.present) if plain.present else None,
        present_steered=share(steered.present) if steered.present else None,
    )


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for a single value."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


class _Memory:
    """Peak memory from here on: of the GPU where there is one, else of the process since it began."""

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int | None:
        """In bytes; None where the system does not say."""
        if torch.cuda.is_available():
            return int(torch.cuda.max_memory_allocated())
        try:
            import resource
        except ImportError:  # Windows
            return None
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
