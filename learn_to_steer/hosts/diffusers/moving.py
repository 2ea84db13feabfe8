"""Moves between the steps of a pipeline's loop: the first latent before it begins, later ones in its callback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...attention import MapStack
from ...classifiers import check_classifier
from ...language import RelationTriplet
from ...objectives import Objective, StepInfo, Target, last_share, learned_part, lowest_sigma
from ...steering import SteeringLoop, SteeringPlan, SteeringTrace, coarse, steered_steps
from ..modules import hooked
from ..protocol import evaluator
from ..targets import BatchTargets
from .first_noise import tried
from .guided import Guided
from .own_pass import OwnPass
from .run import Branch, Run
from .schedule import Schedule, carry_over


@dataclass
class Steering:
    """The steering of one run: moves the latents between the turns of the pipeline's loop."""

    run: Run
    host: Branch
    schedule: Schedule
    objective: Objective
    loop: SteeringLoop
    trace: SteeringTrace
    targets: list[list[Target]]
    weights: Tensor
    encoded: dict[str, Tensor]
    noise: Tensor
    kept: list[list[RelationTriplet]]
    own_pass: OwnPass | None = None
    guided: Guided | None = None

    @classmethod
    def prepare(
        cls,
        run: Run,
        objective: Objective,
        plan: SteeringPlan,
        wanted: BatchTargets,
        family: str,
        seeds: list[int | None],
        seeds_tried: int,
    ) -> Steering:
        """Raises SteeringError, see `generate.generate`. seeds: become those of the noises chosen."""
        if (learned := learned_part(objective)) is not None:
            check_classifier(learned.classifier, run.layers, family)
        schedule, encoded = run.schedule(), run.encoded()
        host = run.branch(encoded, schedule, family)
        trace = SteeringTrace.of(wanted.targets, wanted.objects)
        weights = wanted.weights.to(host.device)
        turns = list(schedule.steps)
        steps, why = steered_steps(
            plan,
            [schedule.shares[t] for t in turns],
            [schedule.sigmas[t] for t in turns],
            lowest_sigma(objective),
            last_share(objective),
        )
        trace.notes += [*plan.warnings(), *([why] if why and plan.strength > 0 else [])]
        if seeds_tried > 1:
            noise = tried(run, host, schedule, objective, wanted, weights, trace, seeds, seeds_tried)
        else:
            noise = run.first_noise(host.dtype, host.device)
        loop = SteeringLoop(
            plan,
            trace,
            [schedule.steps[turns[i]] for i in steps],
            next(run.model.parameters()).dtype,
            coarse([schedule.shares[t] for t in turns]),
        )
        return cls(
            run, host, schedule, objective, loop, trace, wanted.targets, weights, encoded, noise, wanted.kept
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around the pipeline's loop: its own passes are read where that saves evaluations."""
        if not self.loop.plan.searches:
            yield
            return
        self.own_pass = OwnPass(self.host, self.weights, self.objective.layers, self._observe)
        try:
            with hooked(self.own_pass.hooks()):
                yield
        finally:
            self.own_pass.close()

    def _observe(self, maps: MapStack, step: int) -> None:
        """What the pipeline's own pass at this step says about the images with relations."""
        images = [i for i, targets in enumerate(self.targets) if targets]
        sigma = next(self.schedule.sigmas[turn] for turn, s in self.schedule.steps.items() if s == step)
        chosen = MapStack(maps.layers, tuple(m[images] for m in maps.maps))
        info = StepInfo(step, self.schedule.total, sigma)
        # The pipeline may be called under `torch.autocast`, which is for the model alone.
        with self.host.autocast.off():
            reading = self.objective(chosen, [self.targets[i] for i in images], info)
        self.loop.observe(reading, images, step)
        if self.guided is not None:
            self.guided.observe(reading, images, step, self.kept)

    def first_arguments(self) -> dict[str, Any]:
        """Text states and first latents (unit noise, as pipelines take them), moved where the plan starts at
        step 0."""
        first = self.noise * self.schedule.init_noise_sigma
        moved = self.move(first, 0)
        latents = self.noise if moved is first else moved / self.schedule.init_noise_sigma
        return {**self.encoded, **self.run.unencoded(), "latents": latents}

    def move(self, latents: Tensor, turn: int) -> Tensor:
        """The latents to go on with at this turn of the pipeline's loop; `latents` itself where nothing was
        moved."""
        step = self.schedule.steps.get(turn)
        if step is None:
            return latents
        if not self.loop.active(step):
            if self.own_pass is not None and self.guided is not None and self.guided.reads(step):
                self.own_pass.ask(step)
            return latents
        moved = self._moved(latents, turn, step)
        if self.own_pass is not None and step < max(self.loop.steps):
            self.own_pass.ask(step)
        return moved

    def _moved(self, latents: Tensor, turn: int, step: int) -> Tensor:
        info = StepInfo(step, self.schedule.total, self.schedule.sigmas[turn])
        scale = self.schedule.scales[turn]
        model_input = latents * scale
        evaluate = evaluator(self.host, self.objective, self.targets, self.weights, info)
        with self.host.evaluations():
            moved = self.loop.steer(model_input, evaluate, step)
        if moved is model_input:
            return latents
        change = (moved - model_input) / scale
        if turn > 0:
            carry_over(self.run.pipe.scheduler, turn, change)
        return latents + change
