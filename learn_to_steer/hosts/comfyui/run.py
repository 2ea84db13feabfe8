"""One steered run of a sampler: its schedule, its calls so far, its moves, its trace.

What cannot be steered in the middle of a run is left as it is, and noted: the picture comes all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ...attention import AttentionLayer, MapStack
from ...errors import SteeringError
from ...guidance import GuidancePlan, Method
from ...objectives import Objective, Reading, StepInfo, Target, goals_of, last_share, lowest_sigma
from ...steering import SteeringLoop, SteeringPlan, SteeringTrace, coarse, steered_steps, watch
from ..guiding import KEPT_APART, GuidanceTargets
from ..modules import for_autograd
from ..protocol import evaluator
from ..recommended import reading_recommended
from ..targets import BatchTargets, batch_targets
from .branch import ConditionalBranch
from .gradients.kernels import gradients
from .guide.layout import RelationLayout, guidance_of
from .guide.run import AMBIGUOUS, GuidedRun
from .log import SampledRun, SteeringLog
from .prompt.owner import placed, places
from .prompt.relations import MARK, PromptRelations
from .read.evaluation import holding_now, located_layers, model_family
from .read.own_pass import reading_along
from .rehearsal import ADAPTIVE, DEFERRED, rehearse, step_of_sigma


@dataclass(frozen=True)
class Steering:
    """What a steered MODEL knows: which relations, what "right" means, and the plan.

    mode: "steer", or "watch" = read the relations once, at the end of the noise levels the classifier was trained for, and
    move nothing. rows: the images of the batch it is about (None: all). method: by moves of the latent, by a bias on the
    attention, or by both; guidance: how the attention is guided; layout: places that are given by hand.
    """

    relations: PromptRelations
    objective: Objective
    plan: SteeringPlan
    log: SteeringLog = field(default_factory=SteeringLog)
    mode: Literal["steer", "watch"] = "steer"
    rows: tuple[int, ...] | None = None
    method: Method = "gradient"
    guidance: GuidancePlan = field(default_factory=GuidancePlan)
    layout: RelationLayout | None = None

    @property
    def moves(self) -> bool:
        """Whether latents are moved."""
        return self.method != "attention"

    @property
    def keeps_apart(self) -> bool:
        """Whether things that the prompt only names have a place as well."""
        return bool(KEPT_APART & set(goals_of(self.objective)))

    @property
    def guides(self) -> bool:
        """Whether attention is guided."""
        return self.method != "gradient"


def as_read(
    objective: Objective, plan: SteeringPlan, family: str, layers: Sequence[AttentionLayer]
) -> Objective:
    """The objective on the layers it reads of this model: those of the plan, else its own, else the recommended ones."""
    if plan.layers is not None:
        objective = objective.reading(plan.layers)
    return reading_recommended(objective, family, layers)


def targets_of(relations: PromptRelations, objective: Objective, batch: int) -> BatchTargets:
    """Targets and token weights for a batch of images of one prompt; relations the objective does not know are left
    out."""
    one = batch_targets(
        [list(relations.triplets)],
        objective,
        lambda image, span: relations.tokens_of(span),
        relations.length,
        [relations.objects],
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
        self.deferred = self.adaptive = self._given_up = self._foreign = False
        self.guided: GuidedRun | None = None
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
            self._foreign = True
            self._give_up(sentence)

    def _give_up(self, sentence: str) -> None:
        """No latent is moved any more in this run."""
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
        base = self.guider.inner_model
        self.located = located_layers(base.diffusion_model)
        layers = [one.layer for one in self.located]
        read = as_read(self.steering.objective, self.steering.plan, model_family(base), layers)
        self.steering = replace(self.steering, objective=read)
        self.wanted = targets_of(self.steering.relations, self.steering.objective, x.shape[0])
        rows = self.steering.rows
        targets = [t if rows is None or i in rows else [] for i, t in enumerate(self.wanted.targets)]
        self.trace = SteeringTrace.of(targets, self.wanted.objects)
        self.record.traces.append(self.trace)
        self.shares = [share_of_schedule(base.model_sampling, s) for s in self.sigmas[:-1]]
        steps, why = self._planned_steps(targets, width=x.shape[-1], height=x.shape[-2])
        warnings = self.steering.plan.warnings() if self.steering.moves else []
        for sentence in (*warnings, *why):
            self.record.note(sentence)
            self.trace.notes.append(sentence)
        self.loop = SteeringLoop(
            self.steering.plan, self.trace, steps, compute_dtype(base), coarse(self.shares)
        )

    def _planned_steps(
        self, targets: Sequence[Sequence[Target]], width: int, height: int
    ) -> tuple[list[int], list[str]]:
        """The steps at which latents are moved, and sentences on why nothing, or not everything, of the plan has a step.
        Makes the guidance of the run ready."""
        steering, model = self.steering, self.guider.inner_model
        steps, why, left = list[int](), list[str](), True
        if steering.moves:
            read = steering.objective
            steps, sentence = steered_steps(
                steering.plan, self.shares, self.sigmas, lowest_sigma(read), last_share(read)
            )
            left, why = not steps, [sentence] if sentence else []
        if steering.guides:
            guided = GuidedRun(
                steering.guidance, steering.relations, self._guidance_targets(len(targets), width / height),
                steering.objective, model.diffusion_model, self.located, model_family(model), steering.plan.strength,
                self.shares, self.sigmas, self.record.note,
            )  # fmt: skip
            left = left and bool(guided.why_not)
            why += [guided.why_not] if guided.why_not else []
            if steering.mode == "steer":
                self.guided = guided
                self.record.guided.append(guided.record)
        self.trace.left_plain = left
        return steps, why

    def _guidance_targets(self, batch: int, aspect: float) -> GuidanceTargets:
        """What guidance is about in a batch, the images that are left alone without a layout."""
        steering = self.steering
        wanted = guidance_of(steering.relations, batch, aspect, steering.layout, steering.keeps_apart)
        rows = range(batch) if steering.rows is None else steering.rows
        return replace(wanted, layouts=[one if i in rows else None for i, one in enumerate(wanted.layouts)])

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

    def call_options(self, options: dict[str, Any], sigma: Tensor) -> dict[str, Any]:
        """The model options of the call that follows: with its attention guided, and its maps read, where that is due."""
        if self._watch is not None:
            (step, weights), self._watch = self._watch, None
            options = self._reading(options, weights, step, self._observe)
        guided = self._guided_step(sigma)
        if guided is None or self.guided is None:
            return options
        step, entry, begins = guided
        if self.guided.reads(step):
            weights = self.guided.weights(begins, entry["cross_attn"].shape[1])
            options = self._reading(options, weights, step, self.guided.take)
        return self.guided.options(options, step, entry, begins)

    def _reading(
        self, options: dict[str, Any], weights: Tensor, step: int, take: Callable[[MapStack, StepInfo], None]
    ) -> dict[str, Any]:
        """Model options of a pass whose maps are read along, as those of a step."""
        info = StepInfo(step, self.total, self.sigmas[step])
        layers = self.steering.objective.layers
        return reading_along(options, weights, self.located, layers, lambda maps: take(maps, info))

    def _observe(self, maps: MapStack, info: StepInfo) -> None:
        """What the loop is to know of the sampler's own pass at a step."""
        images = [i for i, labels in enumerate(self.trace.labels) if labels]
        chosen = MapStack(maps.layers, tuple(m[images] for m in maps.maps))
        reading = self.steering.objective(chosen, [self.wanted.targets[i] for i in images], info)
        self.loop.observe(reading, images, info.step)

    def _guided_step(self, sigma: Tensor) -> tuple[int, dict[str, Any], tuple[int, ...]] | None:
        """Where attention is guided in a call at this noise level: its step, the prompt's own entry of the conditioning,
        and where the prompt begins in its text. None: in nothing of it."""
        step = self.guided.step(sigma) if self.guided is not None and not self._foreign else None
        if step is None:
            return None
        now = holding_now(self.guider.conds["positive"], sigma)
        mine = [entry for entry in now if self._places(entry)]
        if not mine:
            return None  # the prompt is in use at other noise levels
        if len(now) > 1 or "area" in mine[0]:
            self.record.note(AMBIGUOUS)
            return None
        return step, mine[0], self._places(mine[0])

    def _planned(self, step: int) -> bool:
        if self.steering.mode == "watch":
            return step == self._step_to_watch()
        if self.deferred and step == self.total - 1:
            return False  # its last step ends before it could take a move
        return self.loop.active(step)

    def _step_to_watch(self) -> int | None:
        """The last step at a noise level that the classifier was trained for, None where there is none; the middle where
        it does not say."""
        objective = self.steering.objective
        lowest, until = lowest_sigma(objective), last_share(objective)
        if lowest is None and until < 1:
            return max((i for i in range(self.total) if self.shares[i] <= until + 1e-4), default=None)
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
