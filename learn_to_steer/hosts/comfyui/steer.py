"""A MODEL that carries its steering into any sampler.

A clone of the model gets a wrapper around its sampling. There the sampler's function is given a stand-in for its model,
which moves the sampler's own latent - in place, before the model sees it - where a step of the plan begins
(`rehearsal.py` knows these calls). Everything about a run is kept in one `SteeringRun`, and gone with it.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import comfy.utils
from torch import Tensor

from ...classifiers import check_classifier
from ...errors import SteeringError
from ...objectives import CombinedObjective, Objective, learned_part
from ...steering import SteeringPlan
from ..targets import knows
from .execution import record_of
from .guide.layout import guidance_of
from .log import SteeringLog
from .prompt.owner import joined
from .read.evaluation import located_layers, model_family
from .read.located import LocatedLayer
from .run import Steering, SteeringRun, as_read, targets_of

_KEY = "learn_to_steer"

WAY_OUT = ', or choose "universal" in Load Relation Classifier, which fits every model.'
"""Behind the refusal of a classifier."""


def check_fit(model: Any, objective: Objective, plan: SteeringPlan) -> list[LocatedLayer]:
    """The attentions of a MODEL, after a check that the objective reads this kind of model.

    Raises SteeringError for a model that cannot be read, a classifier for another family or number of channels, and
    layers the model does not have; a sentence that says what else could be loaded.
    """
    located = located_layers(model.get_model_object("diffusion_model"))
    layers, family = [one.layer for one in located], model_family(model.model)
    objective = as_read(objective, plan, family, layers)
    if (learned := learned_part(objective)) is not None:
        try:
            check_classifier(learned.classifier, layers, family)
        except SteeringError as error:
            raise SteeringError(f"{str(error).removesuffix('.')}{WAY_OUT}") from error
    return located


def steered_model(model: Any, steering: Steering) -> Any:
    """A clone of a MODEL (ModelPatcher) that is steered in every sampler; the model itself where nothing can happen:
    strength 0, or no relation the objective knows. The log gets a sentence on what is not steered, and why.

    A model that is steered already keeps that: relations of one prompt under the same classifier and plan become one
    steering, others take turns, the earlier first. Raises SteeringError as `check_fit` does.
    """
    plan, objective = steering.plan, steering.objective
    before = chain_of(model)
    for sentence in left_out(steering):
        steering.log.reason(sentence)
    if not steers(steering):
        return (
            _carrying(model, Chain(before.steerings, (*before.logs, steering.log)))
            if before.steerings
            else model
        )
    check_fit(model, objective, plan)
    return _carrying(model, Chain(_with(before.steerings, steering), (*before.logs, steering.log)))


def steers(steering: Steering) -> bool:
    """Whether this steering can move anything: it has a strength, and a relation that its objective knows."""
    return steering.plan.strength != 0 and (_moves(steering) or _guides(steering))


def _moves(steering: Steering) -> bool:
    if not steering.moves or steering.plan.step_size == 0:
        return False
    return bool(targets_of(steering.relations, steering.objective, 1).targets[0])


def _guides(steering: Steering) -> bool:
    if not steering.guides or steering.guidance.strength == 0:
        return False
    return guidance_of(steering.relations, 1, 1.0, steering.layout, steering.keeps_apart).any


def _wishes(steering: Steering) -> bool:
    """Whether there is a goal without a relation."""
    if not steering.keeps_apart or not steering.relations.objects:
        return False
    return steering.moves or _guides(steering)


def left_out(steering: Steering) -> list[str]:
    """What this steering does not steer whatever the run, a sentence each."""
    relations, objective, plan = steering.relations, steering.objective, steering.plan
    said = [f'"{words}": {reason}' for words, reason in relations.left_out]
    said += [relations.note] if relations.note else []
    if not relations.triplets and not _wishes(steering):
        doubtful = [
            f'"{t.subject} {t.relation} {t.object}" is doubtful: {t.doubt}.' for t in relations.doubtful
        ]
        none = "The prompt states no relation between two objects."
        return [*([] if relations.left_out else [none]), *said, *doubtful]
    if plan.strength == 0 or (steering.moves and plan.step_size == 0 and not steering.guides):
        return ["Steering is switched off: the strength is 0."]
    names = getattr(getattr(objective, "card", None), "relations", None)
    known = f"it knows {', '.join(names)}" if names is not None else "no classifier is loaded"
    if steering.guides:
        lost = guidance_of(relations, 1, 1.0, steering.layout).left_out[0]
        said += [
            str(one) for one in lost if not (steering.moves and knows(objective, one.triplet.relation.value))
        ]
        return said
    return said + [
        f'"{t.subject} {t.relation} {t.object}": the classifier does not know this relation ({known}).'
        for t in relations.triplets
        if not knows(objective, t.relation.value)
    ]


@dataclass(frozen=True)
class Chain:
    """What a MODEL carries. steerings: in the order they were applied. logs: which hear of every run."""

    steerings: tuple[Steering, ...] = ()
    logs: tuple[SteeringLog, ...] = ()


def chain_of(model: Any) -> Chain:
    """The steering that a MODEL carries."""
    wrappers = model.get_wrappers(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, _KEY)
    return next((w.chain for w in wrappers if isinstance(getattr(w, "chain", None), Chain)), Chain())


def _with(steerings: tuple[Steering, ...], more: Steering) -> tuple[Steering, ...]:
    """The steerings and one more, joined to one of the same prompt, classifier and plan."""
    for at, one in enumerate(steerings):
        same = (
            _alike(one.objective, more.objective) and one.plan == more.plan and one.rows is more.rows is None
        )
        same = same and (one.method, one.guidance, one.layout) == (more.method, more.guidance, more.layout)
        if (
            same
            and one.mode == more.mode
            and (relations := joined(one.relations, more.relations)) is not None
        ):
            return (*steerings[:at], replace(one, relations=relations), *steerings[at + 1 :])
    return (*steerings, more)


def _alike(one: Objective, more: Objective) -> bool:
    """Whether two steerings want the same: one classifier, and the same goals."""
    if isinstance(one, CombinedObjective) and isinstance(more, CombinedObjective):
        return one.relation is more.relation and one.goals == more.goals
    return one is more


def _carrying(model: Any, chain: Chain) -> Any:
    """A clone of a MODEL that carries this steering and no other."""

    def around_sampling(
        executor: Any, noise: Tensor, latent: Tensor, sampler: Any, sigmas: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        sampler = _steered_sampler(chain, executor.class_obj, noise, sampler, sigmas)
        return executor(noise, latent, sampler, sigmas, *args, **kwargs)

    around_sampling.chain = chain  # type: ignore[attr-defined]
    clone = without_steering(model)
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, _KEY, around_sampling)
    return clone


def without_steering(model: Any) -> Any:
    """A clone of a MODEL that carries no steering of ours."""
    clone = model.clone()
    clone.remove_wrappers_with_key(comfy.patcher_extension.WrappersMP.OUTER_SAMPLE, _KEY)
    return clone


def _steered_sampler(chain: Chain, guider: Any, noise: Tensor, sampler: Any, sigmas: Tensor) -> Any:
    """A copy of the sampler that steers; the sampler itself where no plan has a step in this schedule."""
    total, runs = len(sigmas) - 1, list[SteeringRun]()
    record = record_of(guider, noise, sampler, sigmas, all(s.mode == "watch" for s in chain.steerings))
    for log in chain.logs:
        log.add(record)
    for steering in chain.steerings:
        if total < 1:
            continue
        run = SteeringRun(steering, guider, [float(s) for s in sigmas], record)
        run.check(noise)
        runs.append(run)
    if not runs:
        return sampler
    if not isinstance(sampler, comfy.samplers.KSAMPLER):
        return _ForeignSampler(sampler, runs)
    other, function = copy.copy(sampler), sampler.sampler_function

    @functools.wraps(function)
    def steered(
        model: Any, x: Tensor, levels: Tensor, *args: Any, extra_args: dict[str, Any], callback: Any = None,
        disable: Any = None, **options: Any,
    ) -> Tensor:  # fmt: skip
        record.seed = extra_args.get("seed")
        for run in runs:
            run.start(x, function, model, levels, extra_args.get("seed"), options)
            callback = run.after_step(callback)
        return function(
            _SteeredModel(model, runs), x, levels, *args, extra_args=extra_args, callback=callback, disable=disable,
            **options,
        )  # fmt: skip

    other.sampler_function = steered
    return other


class _ForeignSampler:
    """A sampler that is not one of the host's: its model is the guider itself, and its steps are known by their noise
    levels only."""

    def __init__(self, sampler: Any, runs: list[SteeringRun]) -> None:
        self._sampler, self._runs = sampler, runs

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
        for run in self._runs:
            run.record.seed = extra_args.get("seed")
            run.start(noise, None, model_wrap, sigmas, None, {})
        return self._sampler.sample(
            _SteeredModel(model_wrap, self._runs),
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

    def __init__(self, model: Any, runs: list[SteeringRun]) -> None:
        self._model, self._runs = model, runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for run in self._runs:
            change = run.change_before(self._model, x, sigma, args, kwargs)
            if change is None:
                continue
            if run.deferred:
                x = x + change
            else:
                x.add_(change)
        for run in self._runs:
            if "model_options" in kwargs:
                kwargs["model_options"] = run.call_options(kwargs["model_options"], sigma)
        return self._model(x, sigma, *args, **kwargs)
