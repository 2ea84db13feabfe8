"""One steered run of a sampler: its schedule, its calls so far, its moves, its trace.

What cannot be steered in the middle of a run is left as it is, and noted: the picture comes all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ...attention import MapStack
from ...errors import SteeringError
from ...objectives import Objective, Reading, StepInfo, lowest_sigma
from ...steering import SteeringLoop, SteeringPlan, SteeringTrace, steered_steps, watch
from ..modules import for_autograd
from ..protocol import evaluator
from ..targets import BatchTargets, batch_targets
from .branch import ConditionalBranch
from .gradients.kernels import gradients
from .log import SampledRun, SteeringLog
from .prompt.owner import placed, places
from .prompt.relations import MARK, PromptRelations
from .read.evaluation import holding_now, located_layers
from .read.own_pass import reading_along
from .rehearsal import ADAPTIVE, DEFERRED, rehearse, step_of_sigma


@dataclass(frozen=True)
class Steering:
    """What a steered MODEL knows: which relations, what "right" means, and the plan.

    mode: "steer", or "watch" = read the relations once, at the end of the noise levels the classifier was trained for, and
    move nothing. rows: the images of the batch it is about (None: all).
    """

    relations: PromptRelations
    objective: Objective
    plan: SteeringPlan
    log: SteeringLog = field(default_factory=SteeringLog)
    mode: Literal["steer", "watch"] = "steer"
    rows: tuple[int, ...] | None = None


def targets_of(relations: PromptRelations, objective: Objective, batch: int) -> BatchTargets:
    """Targets and token weights for a batch of images of one prompt; relations the objective does not know are left
    out."""
    one = batch_targets(
        [list(relations.triplets)], objective, lambda image, span: relations.tokens_of(span), relations.length
    )
    weights = one.weights.repeat(batch, 1, 1)
    return BatchTargets(
        one.targets * batch, one.objects * batch, weights, one.left_out * batch, one.kept * batch
    )


def why_not_owned(relations: PromptRelations, conds: Sequence[dict[str, Any]]) -> str | None:
    """None where a part of a conditioning - prepared entries of the host - is the prompt's; else a sentence that says what
    it is instead."""
    if any(len(states) != relations.length for states in relations.states):
        return (
            f"Expected a text encoder that gives one state for each of the {relations.length} tokens of the prompt, got "
            f"{len(relations.states[0])}; its words cannot be told apart, use another text encoder."
        )
    if any(places(relations, entry.get("cross_attn")) for entry in conds):
        return None
    if any(entry.get(MARK) == relations.mark for entry in conds):
        return (
            f'Expected the conditioning of "{_short(relations.text)}" as its Relation Prompt gives it, got one whose text '
            "was changed on the way (averaged, zeroed out); connect it unchanged, or combine instead of averaging."
        )
    return (
        f'Expected the conditioning of "{_short(relations.text)}", got that of another prompt; connect the conditioning of '
        "the same Relation Prompt node to the sampler's positive input."
    )


def _short(text: str) -> str:
    return " ".join(text.split())[:80]


def share_of_schedule(model_sampling: Any, sigma: float) -> float:
    """Where in the model's own schedule a noise level lies, as the start and end percent of the host's nodes count it: the
    inverse of `percent_to_sigma`, by bisection."""
    low, high = 0.0, 1.0
    if sigma >= float(model_sampling.percent_to_sigma(1e-6)):
        return 0.0
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if float(model_sampling.percent_to_sigma(middle)) > sigma else (low, middle)
        )
    return (low + high) / 2


def compute_dtype(model: Any) -> torch.dtype:
    """The type that a host model computes in, whatever its weights are kept in."""
    return getattr(model, "manual_cast_dtype", None) or model.get_dtype()


class SteeringRun:
    """One run of a sampler: its schedule, its calls so far, its trace."""

    def __init__(self, steering: Steering, guider: Any, sigmas: list[float], record: SampledRun) -> None:
        self.steering, self.guider, self.sigmas, self.record = steering, guider, sigmas, record
        self.total = len(sigmas) - 1
        self.deferred = self.adaptive = self._given_up = False
        self._begins: dict[int, int] | None = None
        self._reported = True  # by an adaptive sampler, since the last call
        self._calls = 0
        self._done: set[int] = set()
        self._deferred_move: Tensor | None = None
        self._watch: tuple[int, Tensor] | None = None
        self._begins_of: dict[int, tuple[Any, tuple[int, ...]]] = {}

    def check(self, noise: Tensor) -> None:
        """Raises SteeringError for a latent that is no picture's and a guider that cannot be steered; says in the record
        where no part of the conditioning is the prompt's."""
        if noise.ndim != 4 and not (noise.ndim == 5 and noise.shape[2] == 1):
            raise SteeringError(
                f"Expected latents of pictures (batch, channels, height, width), got {tuple(noise.shape)}; videos and "
                "sound cannot be steered."
            )
        conds = getattr(self.guider, "conds", {}).get("positive")
        if conds is None:
            raise SteeringError(
                f"Expected a guider with a positive conditioning, got {type(self.guider).__name__}; use CFGGuider, "
                "BasicGuider or a KSampler."
            )
        sentence = why_not_owned(self.steering.relations, conds)
        if sentence is not None:
            self._give_up(sentence)

    def _give_up(self, sentence: str) -> None:
        """Nothing more is steered in this run."""
        self._given_up = True
        self.record.note(sentence)
        logging.warning("Learn-to-Steer: not steered. %s", sentence)

    def _places(self, entry: dict[str, Any]) -> tuple[int, ...]:
        """Where the prompt begins in an entry's text states; none where it does not stand there."""
        states = entry.get("cross_attn")
        if id(states) not in self._begins_of:
            self._begins_of[id(states)] = states, places(self.steering.relations, states)
        return self._begins_of[id(states)][1]

    def start(
        self,
        x: Tensor,
        function: Callable[..., Any] | None,
        model: Any,
        sigmas: Tensor,
        seed: int | None,
        options: Any,
    ) -> None:
        """Learn the order of the sampler's calls and open a trace."""
        self.sigmas, self.total = [float(s) for s in sigmas], len(sigmas) - 1
        if function is not None and "noise_sampler" not in options:
            self._begins = rehearse(function, model, x, sigmas, seed, options)
            name = getattr(function, "__name__", "")
            self.deferred, self.adaptive = name in DEFERRED, name in ADAPTIVE
        self.wanted = targets_of(self.steering.relations, self.steering.objective, x.shape[0])
        rows = self.steering.rows
        targets = [t if rows is None or i in rows else [] for i, t in enumerate(self.wanted.targets)]
        self.trace = SteeringTrace.of(targets, self.wanted.objects)
        self.record.traces.append(self.trace)
        model_sampling = self.guider.inner_model.model_sampling
        shares = [share_of_schedule(model_sampling, s) for s in self.sigmas[:-1]]
        steps, why = steered_steps(
            self.steering.plan, shares, self.sigmas, lowest_sigma(self.steering.objective)
        )
        for sentence in (*self.steering.plan.warnings(), *([why] if why else [])):
            self.record.note(sentence)
            self.trace.notes.append(sentence)
        self.trace.left_plain = not steps
        self.loop = SteeringLoop(
            self.steering.plan, self.trace, steps, compute_dtype(self.guider.inner_model)
        )
        self.located = located_layers(self.guider.inner_model.diffusion_model)

    def after_step(self, callback: Callable[..., Any] | None) -> Callable[[dict[str, Any]], None]:
        """The sampler's callback: pays a deferred sampler's latent the move it did not take, then goes on."""

        def report(info: dict[str, Any]) -> None:
            self._reported = True
            if self._deferred_move is not None:
                info["x"].add_(self._deferred_move)
                self._deferred_move = None
            if callback is not None:
                callback(info)

        return report

    def change_before(
        self, model: Any, x: Tensor, sigma: Tensor, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        """The move of the sampler's latent before this call, None for none."""
        number, level = self._calls, float(sigma.max())
        self._calls += 1
        begins = self._reported or not self.adaptive
        self._reported = False
        if self._begins is not None:
            step = self._begins.get(number)
        else:
            step = step_of_sigma(level, self.sigmas) if begins else None
        if self._given_up or step is None or step in self._done or not self._planned(step):
            return None
        self._done.add(step)
        try:
            change = self._change(model, x, sigma, step, args, kwargs)
        except SteeringError as error:
            self._give_up(str(error))
            return None
        if change is not None and self.deferred:
            # Such a sampler keeps its latent at the scale of the model's input.
            self._deferred_move = change / (1 + level**2) ** 0.5
        return change

    def watched_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """The model options of the call that follows: with its maps read, where this step and a later one are steered."""
        if self._watch is None:
            return options
        step, weights = self._watch
        self._watch = None
        images = [i for i, labels in enumerate(self.trace.labels) if labels]
        info = StepInfo(step, self.total, self.sigmas[step])

        def take(maps: MapStack) -> None:
            chosen = MapStack(maps.layers, tuple(m[images] for m in maps.maps))
            reading = self.steering.objective(chosen, [self.wanted.targets[i] for i in images], info)
            self.loop.observe(reading, images, step)

        return reading_along(options, weights, self.located, self.steering.objective.layers, take)

    def _planned(self, step: int) -> bool:
        if self.steering.mode == "watch":
            return step == self._step_to_watch()
        if self.deferred and step == self.total - 1:
            return False  # its last step ends before it could take a move
        return self.loop.active(step)

    def _step_to_watch(self) -> int | None:
        """The last step at a noise level that the classifier was trained for, None where there is none; the middle where
        it does not say."""
        lowest = lowest_sigma(self.steering.objective)
        if lowest is None:
            return self.total // 2
        return max((i for i in range(self.total) if self.sigmas[i] >= lowest * (1 - 1e-3)), default=None)

    def _change(
        self, model: Any, x: Tensor, sigma: Tensor, step: int, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        steering, base = self.steering, self.guider.inner_model
        now = holding_now(self.guider.conds["positive"], sigma)
        entry = next((entry for entry in now if self._places(entry)), None)
        if entry is None:
            return None  # the prompt is in use at other noise levels
        weights = placed(self.wanted.weights, self._places(entry), entry["cross_attn"].shape[1])
        info = StepInfo(step, self.total, float(sigma.max()))
        with gradients():
            timestep = for_autograd(sigma.detach())
            scale = float(
                base.model_sampling.calculate_input(timestep[:1], torch.ones(1, 1, 1, 1, device=x.device))
            )
            latent = for_autograd(x.detach())
            given = dict(zip(("denoise_mask", "model_options", "seed"), args, strict=False)) | kwargs
            branch = ConditionalBranch(model, base, entry, latent, timestep, scale, given, self.located)
            evaluate = self._attended(
                evaluator(branch, steering.objective, self.wanted.targets, weights.to(x.device), info),
                step,
            )
            model_input = latent * scale
            if steering.mode == "watch":
                watch(model_input, evaluate, self.trace, step)
                return None
            moved = self.loop.steer(model_input, evaluate, step)
            if self.loop.plan.searches and step < max(self.loop.steps):
                self._watch = step, weights
            return None if moved is model_input else (moved - model_input) / scale

    def _attended(
        self, evaluate: Callable[[Tensor, Sequence[int]], Reading], step: int
    ) -> Callable[[Tensor, Sequence[int]], Reading]:
        """The evaluation, with the host's interruption and progress bar served before each."""
        most = self.steering.plan.evaluations_per_step
        bar = comfy.utils.ProgressBar(self.total * most) if most > 1 else None
        count = 0

        def attended(latent: Tensor, images: Sequence[int]) -> Reading:
            nonlocal count
            comfy.model_management.throw_exception_if_processing_interrupted()
            if bar is not None:
                bar.update_absolute(step * most + count)
            count += 1
            return evaluate(latent, images)

        return attended
