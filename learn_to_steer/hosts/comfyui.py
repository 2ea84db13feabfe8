"""The ComfyUI host: a MODEL that carries its steering into any sampler.

A clone of the model gets a wrapper around its sampling. There the sampler's function is given a stand-in for its model,
which moves the sampler's own latent - in place, before the model sees it - where a step of the plan begins
(`comfyui_rehearsal.py` knows these calls). `comfyui_reading.py` reads the maps, `comfyui_gradients.py` makes gradients
possible. Everything about a run is kept in one `_Run`, and gone with it.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..classifiers import check_classifier
from ..errors import SteeringError
from ..objectives import LearnedObjective, Objective, Reading, StepInfo
from ..steering import SteeringPlan, SteeringTrace, look, steer
from . import Wanted, evaluator, wanted_relations
from .comfyui_branch import ConditionalBranch
from .comfyui_gradients import gradients, ordinary
from .comfyui_prompt import PromptRelations
from .comfyui_reading import active_entry, attention_sites, model_family, text_length
from .comfyui_rehearsal import ADAPTIVE, DEFERRED, rehearse, step_of_sigma
from .comfyui_site import Site

_KEY = "learn_to_steer"


@dataclass
class SteeringLog:
    """What happened in the runs of one steered model, the latest last."""

    traces: list[SteeringTrace] = field(default_factory=list)

    @property
    def latest(self) -> SteeringTrace | None:
        """The trace of the last run, None before the first."""
        return self.traces[-1] if self.traces else None


@dataclass(frozen=True)
class Steering:
    """What a steered MODEL knows: which relations, what "right" means, and the plan.

    mode: "steer", or "look" = read the relations once, at the end of the noise levels the classifier was trained for, and
    move nothing. rows: the images of the batch it is about (None: all).
    """

    relations: PromptRelations
    objective: Objective
    plan: SteeringPlan
    log: SteeringLog = field(default_factory=SteeringLog)
    mode: Literal["steer", "look"] = "steer"
    rows: tuple[int, ...] | None = None


def check_fit(model: Any, objective: Objective, plan: SteeringPlan) -> list[Site]:
    """The attentions of a MODEL, after a check that the objective reads this kind of model.

    Raises SteeringError for a model that cannot be read, a classifier for another family or number of channels, and
    layers the model does not have.
    """
    sites = attention_sites(model.get_model_object("diffusion_model"))
    if plan.layers is not None:
        objective = objective.reading(plan.layers)
    layers = [site.layer for site in sites]
    if isinstance(objective, LearnedObjective):
        check_classifier(objective.classifier, layers, model_family(model.model))
    return sites


def wanted_of(relations: PromptRelations, objective: Objective, batch: int) -> Wanted:
    """Targets and token weights for a batch of images of one prompt; relations the objective does not know are left
    out."""
    one = wanted_relations(
        [list(relations.triplets)], objective, lambda image, span: relations.tokens_of(span), relations.length
    )
    return Wanted(one.targets * batch, one.objects * batch, one.weights.repeat(batch, 1, 1))


def steered_model(model: Any, steering: Steering) -> Any:
    """A clone of a MODEL (ModelPatcher) that is steered in every sampler; the model itself where nothing can happen:
    strength 0, or no relation the objective knows.

    Raises SteeringError as `check_fit` does.
    """
    plan, objective = steering.plan, steering.objective
    if plan.strength == 0 or plan.step_size == 0:
        return model
    if not wanted_of(steering.relations, objective, 1).targets[0]:
        return model
    check_fit(model, objective, plan)
    if plan.layers is not None:
        steering = replace(steering, objective=objective.reading(plan.layers))

    def around_sampling(
        executor: Any, noise: Tensor, latent: Tensor, sampler: Any, sigmas: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        return executor(
            noise,
            latent,
            _steered_sampler(steering, executor.class_obj, noise, sampler, sigmas),
            sigmas,
            *args,
            **kwargs,
        )

    clone = model.clone()
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, _KEY, around_sampling)
    return clone


def without_steering(model: Any) -> Any:
    """A clone of a MODEL that carries no steering of ours."""
    clone = model.clone()
    clone.remove_wrappers_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, _KEY)
    return clone


def _steered_sampler(steering: Steering, guider: Any, noise: Tensor, sampler: Any, sigmas: Tensor) -> Any:
    """A copy of the sampler that steers; the sampler itself where the plan leaves out every step of this schedule."""
    total = len(sigmas) - 1
    run = _Run(steering, guider, [float(s) for s in sigmas])
    if steering.mode == "steer" and (total < 1 or not len(steering.plan.steps(total))):
        return sampler
    run.check(noise)
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        return _ForeignSampler(sampler, run)
    other, function = copy.copy(sampler), sampler.sampler_function

    @functools.wraps(function)
    def steered(
        model: Any, x: Tensor, levels: Tensor, *args: Any, extra_args: dict[str, Any], callback: Any = None,
        disable: Any = None, **options: Any,
    ) -> Tensor:  # fmt: skip
        run.start(x, function, model, levels, extra_args.get("seed"), options)
        return function(
            _SteeredModel(model, run), x, levels, *args, extra_args=extra_args, callback=run.after_step(callback),
            disable=disable, **options,
        )  # fmt: skip

    other.sampler_function = steered
    return other


class _ForeignSampler:
    """A sampler that is not one of the host's: its model is the guider itself, and its steps are known by their noise
    levels only."""

    def __init__(self, sampler: Any, run: _Run) -> None:
        self._sampler, self._run = sampler, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        if denoise_mask is not None:
            raise SteeringError(
                f"Expected one of ComfyUI's own samplers for a latent with a noise mask, got "
                f"{type(self._sampler).__name__}; choose another sampler or remove the mask."
            )
        self._run.start(noise, None, model_wrap, sigmas, None, {})
        return self._sampler.sample(
            _SteeredModel(model_wrap, self._run),
            sigmas,
            extra_args,
            callback,
            noise,
            latent_image,
            denoise_mask,
            disable_pbar,
        )


class _SteeredModel:
    """What the sampler is given for its model: the same in everything, but latents are moved where steps begin."""

    def __init__(self, model: Any, run: _Run) -> None:
        self._model, self._run = model, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        change = self._run.change_before(self._model, x, sigma, args, kwargs)
        if change is None:
            return self._model(x, sigma, *args, **kwargs)
        if self._run.deferred:
            return self._model(x + change, sigma, *args, **kwargs)
        x.add_(change)
        return self._model(x, sigma, *args, **kwargs)


class _Run:
    """One run of a sampler: its schedule, its calls so far, its trace."""

    def __init__(self, steering: Steering, guider: Any, sigmas: list[float]) -> None:
        self.steering, self.guider, self.sigmas = steering, guider, sigmas
        self.total = len(sigmas) - 1
        self.deferred = self.adaptive = False
        self._begins: dict[int, int] | None = None
        self._reported = True  # by an adaptive sampler, since the last call
        self._calls = 0
        self._done: set[int] = set()
        self._owed: Tensor | None = None

    def check(self, noise: Tensor) -> None:
        """Raises SteeringError for a latent that is no picture's and a conditioning that is not the prompt's."""
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
        relations = self.steering.relations
        lengths = [text_length(c) for c in conds]
        if not any(c.get("learn_to_steer") == relations.mark for c in conds) and not any(
            n in (None, relations.length) for n in lengths
        ):
            raise SteeringError(
                f"Expected a positive conditioning of {relations.length} text tokens, as the relations were found in, got "
                f"{', '.join(str(n) for n in lengths)}; connect the conditioning of the same Relation Prompt node."
            )

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
        self.wanted = wanted_of(self.steering.relations, self.steering.objective, x.shape[0])
        rows = self.steering.rows
        targets = [t if rows is None or i in rows else [] for i, t in enumerate(self.wanted.targets)]
        self.trace = SteeringTrace.of(targets, self.wanted.objects)
        self.steering.log.traces.append(self.trace)
        self.sites = attention_sites(self.guider.inner_model.diffusion_model)

    def after_step(self, callback: Callable[..., Any] | None) -> Callable[[dict[str, Any]], None]:
        """The sampler's callback: pays a deferred sampler's latent the move it did not take, then goes on."""

        def report(info: dict[str, Any]) -> None:
            self._reported = True
            if self._owed is not None:
                info["x"].add_(self._owed)
                self._owed = None
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
        if step is None or step in self._done or not self._planned(step):
            return None
        self._done.add(step)
        change = self._change(model, x, sigma, step, args, kwargs)
        if change is not None and self.deferred:
            # Such a sampler keeps its latent at the scale of the model's input.
            self._owed = change / (1 + level**2) ** 0.5
        return change

    def _planned(self, step: int) -> bool:
        if self.steering.mode == "look":
            return step == self._step_to_look_at()
        if self.deferred and step == self.total - 1:
            return False  # its last step ends before it could take a move
        return self.steering.plan.active(step, self.total)

    def _step_to_look_at(self) -> int:
        """The last step at a noise level the classifier was trained for; the middle where it does not say."""
        card = getattr(self.steering.objective, "card", None)
        if card is None or card.sigmas is None:
            return self.total // 2
        lowest = min(card.sigmas) * (1 - 1e-3)
        return max((i for i in range(self.total) if self.sigmas[i] >= lowest), default=0)

    def _change(
        self, model: Any, x: Tensor, sigma: Tensor, step: int, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        steering, base = self.steering, self.guider.inner_model
        relations, conds = steering.relations, self.guider.conds["positive"]
        entry = active_entry(conds, sigma, relations.mark, relations.length)
        if entry is None:
            return None
        info = StepInfo(step, self.total, float(sigma.max()))
        with gradients():
            timestep = ordinary(sigma.detach())
            scale = float(
                base.model_sampling.calculate_input(timestep[:1], torch.ones(1, 1, 1, 1, device=x.device))
            )
            latent = ordinary(x.detach())
            given = dict(zip(("denoise_mask", "model_options", "seed"), args, strict=False)) | kwargs
            branch = ConditionalBranch(model, base, entry, latent, timestep, scale, given, self.sites)
            evaluate = self._attended(
                evaluator(
                    branch, steering.objective, self.wanted.targets, self.wanted.weights.to(x.device), info
                ),
                step,
            )
            model_input = latent * scale
            if steering.mode == "look":
                look(model_input, evaluate, self.trace, step)
                return None
            moved = steer(model_input, evaluate, steering.plan, self.trace, step, self.total)
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
