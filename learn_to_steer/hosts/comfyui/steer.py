"""A MODEL that carries its steering into any sampler.

A clone of the model gets a wrapper around its sampling. There the sampler's function is given a stand-in for its model,
which moves the sampler's own latent - in place, before the model sees it - where a step of the plan begins
(`rehearsal.py` knows these calls). Everything about a run is kept in one `SteeringRun`, and gone with it.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
from torch import Tensor

from ...classifiers import check_classifier
from ...errors import SteeringError
from ...objectives import LearnedObjective, Objective
from ...steering import SteeringPlan
from .read.evaluation import located_layers, model_family
from .read.located import LocatedLayer
from .run import Steering, SteeringRun, targets_of

_KEY = "learn_to_steer"


def check_fit(model: Any, objective: Objective, plan: SteeringPlan) -> list[LocatedLayer]:
    """The attentions of a MODEL, after a check that the objective reads this kind of model.

    Raises SteeringError for a model that cannot be read, a classifier for another family or number of channels, and
    layers the model does not have.
    """
    located = located_layers(model.get_model_object("diffusion_model"))
    if plan.layers is not None:
        objective = objective.reading(plan.layers)
    layers = [one.layer for one in located]
    if isinstance(objective, LearnedObjective):
        check_classifier(objective.classifier, layers, model_family(model.model))
    return located


def steered_model(model: Any, steering: Steering) -> Any:
    """A clone of a MODEL (ModelPatcher) that is steered in every sampler; the model itself where nothing can happen:
    strength 0, or no relation the objective knows.

    Raises SteeringError as `check_fit` does.
    """
    plan, objective = steering.plan, steering.objective
    if plan.strength == 0 or plan.step_size == 0:
        return model
    if not targets_of(steering.relations, objective, 1).targets[0]:
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
    run = SteeringRun(steering, guider, [float(s) for s in sigmas])
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

    def __init__(self, sampler: Any, run: SteeringRun) -> None:
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

    def __init__(self, model: Any, run: SteeringRun) -> None:
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
