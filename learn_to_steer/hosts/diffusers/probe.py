"""A pipeline as a check asks it: `hosts.probing.Probe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...attention import AttentionLayer, MapStack, token_weights
from ...errors import SteeringError
from ...language import RelationTriplet
from ...objectives import Objective, StepInfo
from ...steering import SteeringPlan
from ..probing import Moment, Probed
from ..protocol import Drawn
from .generate import generate
from .pipelines import run_of, token_positions
from .run import Run
from .sampler import decoded
from .schedule import Schedule


class PipelineProbe:
    """See `hosts.probing.Probe`. family: the model's, where its layout does not tell. call: steps, guidance and size, as
    `generate` takes them."""

    def __init__(self, pipe: Any, family: str | None = None, **call: Any) -> None:
        self.pipe, self.call, self._family = pipe, call, family
        self._bare = run_of(pipe, [], **call)

    @property
    def family(self) -> str:
        """See `hosts.probing.Probe`."""
        return self._family or self._bare.family

    @property
    def layers(self) -> list[AttentionLayer]:
        """See `hosts.probing.Probe`."""
        return self._bare.layers

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        objective: Objective | None,
        plan: SteeringPlan,
        share: float,
    ) -> Probed:
        """See `hosts.probing.Probe`. Raises SteeringError for a run of a single step, and as `generate` does."""
        turn = _turn_at(self._bare.schedule(), share)
        kept: list[Tensor] = []

        def keep(info: StepInfo, latents: Tensor) -> None:
            if info.step + 1 == turn:
                kept[:] = [latents.detach().clone()]

        output = generate(
            self.pipe, list(prompts), objective=objective, plan=plan, seed=list(seeds), family=self._family,
            on_step=keep, output_type="latent", **self.call,
        )  # fmt: skip
        drawn = Drawn(decoded(self.pipe, output.latents), output.trace, output.model_calls)
        schedule = self._bare.schedule()
        step = StepInfo(schedule.steps[turn], schedule.total, schedule.sigmas[turn])
        return Probed(drawn, output.latents.detach(), Moment(kept[0], turn, step))

    def maps(
        self, prompts: Sequence[str], triplets: Sequence[RelationTriplet], moment: Moment,
        layers: tuple[str, ...] | None,
    ) -> MapStack:  # fmt: skip
        """See `hosts.probing.Probe`."""
        run, schedule, latents = self._at(prompts, moment)
        positions = [
            [token_positions(run, i, span) for span in (t.subject_noun, t.object_noun)]
            for i, t in enumerate(triplets)
        ]
        branch = run.branch(run.encoded(), schedule, self.family)
        weights = token_weights(positions, run.text_length).to(branch.device)
        times = schedule.timesteps[moment.turn].expand(len(prompts))
        with torch.no_grad():
            return branch.record_at(latents, times, range(len(prompts)), weights, layers)

    def predict(self, prompts: Sequence[str], moment: Moment) -> Tensor:
        """See `hosts.probing.Probe`."""
        run, schedule, latents = self._at(prompts, moment)
        branch = run.branch(run.encoded(), schedule, self.family)
        with torch.no_grad(), branch.evaluations():
            return run.unpacked(branch.predict(latents, moment.step.step)).float()

    def _at(self, prompts: Sequence[str], moment: Moment) -> tuple[Run, Schedule, Tensor]:
        run = run_of(self.pipe, list(prompts), **self.call)
        schedule = run.schedule()
        return run, schedule, run.packed(moment.latents * schedule.scales[moment.turn])


def _turn_at(schedule: Schedule, share: float) -> int:
    """The first turn that starts a step at this share of the schedule or behind it; the last one where there is none."""
    turns = sorted(schedule.steps)
    turn = next((t for t in turns if schedule.shares[t] >= share - 1e-6), turns[-1])
    if turn == 0:
        raise SteeringError("Expected a run of at least two steps to look into, got one; set more steps.")
    return turn
