"""What happened in the runs of a steered model, and which of them made these pictures.

A MODEL and its log live in the host's cache and outlast a prompt: another prompt may sample with the same model again, or
not at all. So each run says which execution of which graph it belongs to, and a report asks for the runs of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...steering import SteeringTrace
from .graph import Graph
from .guide.record import GuidedRecord

REMEMBERED = 32
"""So many samplers' runs are kept for reports of pictures that come from the cache."""


@dataclass
class SampledRun:
    """One run of a sampler with a steered model.

    prompt, node: the host's numbers of the execution and of the sampler's node, None where it does not say. watched: it
    was only read. size: width and height of the latent; pixels: how many pixels of the picture one of it is wide, None
    where the host does not say. noise: the first and the last level. traces: of each steering that took part.
    notes: what was not steered, and why, a sentence each. guided: what attention guidance did.
    """

    prompt: str | None
    node: str | None
    sampler: str
    steps: int
    noise: tuple[float, float]
    seed: int | None
    size: tuple[int, int]
    pixels: int | None
    batch: int
    watched: bool = False
    traces: list[SteeringTrace] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    guided: list[GuidedRecord] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Say something about this run, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def in_words(self) -> str:
        """ "seed 4, 128 x 128 pixels, euler, 20 steps"."""
        width, height = (n * (self.pixels or 1) for n in self.size)
        unit = "pixels" if self.pixels else "in the latent"
        seed = f"seed {self.seed}, " if self.seed is not None else ""
        steps = f"{self.steps} step" + ("" if self.steps == 1 else "s")
        return f"{seed}{width} x {height} {unit}, {self.sampler}, {steps}" + (
            ", only read" if self.watched else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists, ready for JSON."""
        width, height = (n * (self.pixels or 1) for n in self.size)
        return {
            "seed": self.seed, "width": width, "height": height, "pixels_known": self.pixels is not None,
            "batch": self.batch, "sampler": self.sampler, "steps": self.steps, "noise": list(self.noise),
            "watched": self.watched, "notes": list(self.notes), "traces": [t.to_dict() for t in self.traces],
            "guidance": [g.to_dict() for g in self.guided],
        }  # fmt: skip


@dataclass
class SteeringLog:
    """The runs of one steered model.

    of_latents: it was made together with latents, all of whose runs it holds (the steering samplers). reasons: why
    nothing, or not everything, can be steered, as known before any run. runs: the latest last.
    """

    of_latents: bool = False
    reasons: list[str] = field(default_factory=list)
    runs: list[SampledRun] = field(default_factory=list)
    _remembered: dict[str, list[SampledRun]] = field(default_factory=dict)

    @property
    def traces(self) -> list[SteeringTrace]:
        """The traces of all runs, the latest last."""
        return [trace for run in self.runs for trace in run.traces]

    @property
    def latest(self) -> SteeringTrace | None:
        """The trace of the last run, None before the first."""
        return self.traces[-1] if self.traces else None

    def reason(self, sentence: str) -> None:
        """Say, once, why something is not steered."""
        if sentence not in self.reasons:
            self.reasons.append(sentence)

    def add(self, run: SampledRun) -> None:
        """A run begins. Those of an earlier execution are let go."""
        if not self.of_latents:
            self.runs = [r for r in self.runs if r.prompt in (run.prompt, None)]
        self.runs.append(run)

    def made(self, prompt: str | None, graph: Graph | None = None) -> tuple[list[SampledRun], list[str]]:
        """The runs that made the pictures of a report in this execution, and remarks on them in sentences.

        prompt: the host's number of the execution, None where it does not say. graph: as the report's node sees it.
        Runs of other executions count only where their sampler was given the same, and so was taken from the cache.
        """
        for run in self.runs:
            if (
                run.prompt is None
            ):  # a sampler in a thread of its own: it belongs to the first report after it
                run.prompt = prompt
        if self.of_latents:
            before = prompt is not None and any(run.prompt != prompt for run in self.runs)
            return self.runs, [_CACHED] if before else []
        now = [run for run in self.runs if run.prompt == prompt]
        if graph is None:
            return now, [] if now else [_NONE]
        now = [run for run in now if graph.may_have_made(run.node)]
        cached: list[SampledRun] = []
        for node in graph.makers:
            mine = [run for run in now if run.node == node]
            signature = graph.signature(node)
            if mine:
                self._remembered.pop(signature, None)
                self._remembered[signature] = mine
            else:
                cached += self._remembered.get(signature, [])
        while len(self._remembered) > REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        if not graph.uses_model:
            return now + cached, [_NOT_USED] if not now + cached else []
        return cached + now, [_CACHED] if cached else [] if now else [_NONE]


_CACHED = "Some of this was taken from the cache: it was sampled before, with the same settings."
_NONE = (
    "No sampler ran with the steered model this time: what it made came from the cache, so what steering did is not known "
    "here; change the seed to sample anew."
)
_NOT_USED = (
    "The sampler of these pictures was not given the steered model: connect the MODEL of Apply Relation Steering to that "
    "sampler."
)


def merged(traces: Sequence[SteeringTrace]) -> SteeringTrace | None:
    """The traces of steerings that took part in one run, as one: relations counted through, evaluations added up. None
    for none."""
    if len(traces) < 2:
        return traces[0] if traces else None
    images = max(len(trace.labels) for trace in traces)
    whole = SteeringTrace([[] for _ in range(images)])
    for trace in traces:
        before = [len(labels) for labels in whole.labels]
        for image, labels in enumerate(trace.labels):
            whole.labels[image] += labels
            whole.evaluations[image] += trace.evaluations[image]
            whole.gradients[image] += trace.gradients[image]
        whole.records += [replace(r, relation=r.relation + before[r.image]) for r in trace.records]
        whole.notes += [note for note in trace.notes if note not in whole.notes]
        whole.forwards += trace.forwards
        whole.backwards += trace.backwards
    whole.records.sort(key=lambda r: (r.step, r.evaluation))
    return whole
