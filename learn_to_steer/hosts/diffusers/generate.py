"""Draw with a diffusers pipeline, steered.

The pipeline's own loop runs unpatched. The first latent is made here, steered, and handed over; every later step is
steered in the pipeline's callback between two steps. What differs by architecture lies behind `Run` (`run.py`,
`stable/`, `flux/`).
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Literal, SupportsIndex, TypeVar

import torch
from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor, nn

from ...classifiers import default_classifier, load_classifier
from ...errors import SteeringError
from ...guidance import Box, GuidancePlan, Layout, check_method, plan_for
from ...language import RelationTriplet, Triplet, Understanding, understandings
from ...objectives import (
    Goal,
    LearnedObjective,
    Objective,
    RelationTarget,
    StepInfo,
    goals_of,
    with_goals,
)
from ...steering import SteeringPlan, SteeringTrace, checked_count
from ..guiding import KEPT_APART
from ..modules import hooked
from ..recommended import reading_recommended
from ..targets import LeftOut, batch_targets
from .guided import Guided, in_both, per_image
from .moving import Steering
from .pipelines import attention_layers, denoiser, model_family, run_of, token_positions
from .stable.unet import record_unet

__all__ = [
    "LeftOut",
    "SteeredOutput",
    "Triplet",
    "attention_layers",
    "denoiser",
    "generate",
    "model_family",
    "run_of",
    "token_positions",
    "record_unet",
]


T = TypeVar("T")

_REFUSED = {
    "return_dict": "the output is always a SteeredOutput",
    "callback": "give callback_on_step_end or on_step",
    "callback_steps": "give callback_on_step_end or on_step",
}
"""Arguments of pipelines that steering has no use for, and what there is instead."""


@dataclass(frozen=True)
class SteeredOutput:
    """What came out.

    images: as the pipeline gives them for `output_type`. latents (B, channels, h, w): the final ones, unpacked.
    triplets: per image, every relation understood, steered or not.
    trace: what was done (see `SteeringTrace`); its labels name the relations steered by the gradient.
    left_out: per image, the relations that were understood and not steered, and why.
    seeds: per image, of the noise that it was drawn from, which is the one chosen where several were tried; None where
    generators were given.
    model_calls: forward passes of the denoiser, the pipeline's and those of steering (`trace.forwards`) together.
    doubtful: per image, relations that its prompt may state; not steered, their `doubt` says why. They can be given as
    `triplets`.
    """

    images: Any
    latents: Tensor
    triplets: list[list[RelationTriplet]]
    trace: SteeringTrace
    left_out: list[list[LeftOut]]
    seeds: list[int | None]
    model_calls: int
    doubtful: list[list[RelationTriplet]] = field(default_factory=list)


def generate(
    pipe: StableDiffusionPipeline | StableDiffusionXLPipeline | FluxPipeline,
    prompt: str | Sequence[str],
    *,
    objective: Objective | Literal["default"] | None = "default",
    plan: SteeringPlan | None = None,
    goals: Sequence[Goal] | None = None,
    seeds_tried: int = 1,
    seed: int | Sequence[int] | None = None,
    generators: Sequence[torch.Generator] | torch.Generator | None = None,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    negative_prompt: str | Sequence[str] | None = None,
    height: int | None = None,
    width: int | None = None,
    triplets: Sequence[Triplet] | Sequence[Sequence[Triplet]] | None = None,
    family: str | None = None,
    on_step: Callable[[StepInfo, Tensor], None] | None = None,
    output_type: str = "pil",
    method: str = "gradient",
    guidance: GuidancePlan | None = None,
    layout: Layout | Sequence[Layout | None] | None = None,
    boxes: Mapping[str, Box] | Sequence[Mapping[str, Box] | None] | None = None,
    **pipe_arguments: Any,
) -> SteeredOutput:
    """Generate one image per prompt, each steered towards the relations its prompt states.

    objective: what "right" means; None = plain generation, or no relations where there are goals; "default" = the
    classifier shipped for the model's family, else the one that fits every model, on the layers that `hosts.recommended`
    names. plan: default "fast".
    goals: what else is wanted, of `objectives.GOALS` ("relation", "implied", "presence", "separation", "single"); the
    last three also hold where the prompt states no relation and only names its things. None: what the objective itself
    asks for, stated relations alone unless it is a `CombinedObjective`. seeds_tried: of so many first noises, the seed's
    own and others derived from it, each image gets the one that promises most, by one pass without a gradient over each
    (see `steering.first_noises`); the trace says which. seed: one per
    image, or one number s for s, s + 1, ...; each image has its own generator, so it does not depend on the
    others of its batch. generators: instead of a seed, one per image, or one for all as pipelines take it.
    num_inference_steps, guidance_scale: None = the pipeline's own default. negative_prompt, height, width (pixels),
    output_type: as in the pipeline. triplets: instead of parsing the prompt; per prompt (for a single prompt just
    its list). family: the model's family, where it cannot be seen from its layout. on_step(StepInfo, latents
    (B, channels, h, w)): after each turn of the pipeline's loop.

    method: "gradient" = moves of the latent; "attention" = a bias on the attention, with no gradient and no further
    pass, for which objective may be None; "both" = the bias first, moves where they are still needed. guidance: when
    and how strongly attention is guided, default `GuidancePlan.preset(method)`. layout: where the objects belong,
    instead of solving it from the relations: one per prompt, its slots in the order of `trace.guidance["layouts"]`.
    boxes: {words of the prompt: (left, top, right, bottom)} in shares of the picture, for all prompts or one mapping
    each; such a prompt is guided without a relation too.

    pipe_arguments: anything else the pipeline takes, with its meaning there, such as clip_skip, eta, guidance_rescale,
    cross_attention_kwargs, ip_adapter_image, true_cfg_scale, max_sequence_length, and
    num_images_per_prompt: the images of a prompt stand side by side in everything that is given per image;
    latents: the unit noise to begin with, for all images, in the pipeline's layout;
    prompt_embeds and its like: of the same words as `prompt`, which must be given too, token for token;
    callback_on_step_end: called before the latents are moved for the next step.

    With no objective and no guidance, nothing to steer and no box, or strength 0 the pipeline runs as if called
    directly: same images to the bit, same number of model calls (strength 0 tries first noises where `seeds_tried` asks
    for it). A relation that cannot be steered - the objective does not know it, its objects are beyond what the text
    encoder reads - is left out, with a warning, and the picture comes all the same. So are relations beyond the first
    `language.MAX_RELATIONS`; a prompt in a language that is not read is warned of too.

    Raises SteeringError for another pipeline, an objective that does not fit the model, triplets given by hand whose words
    are not in the prompt or whose relation nobody knows, a scheduler that cannot be steered, and arguments that contradict
    each other.
    """
    if refused := sorted(_REFUSED.keys() & pipe_arguments.keys()):
        raise SteeringError(f"Expected no {refused[0]}; {_REFUSED[refused[0]]}.")
    if "generator" in pipe_arguments:
        if generators is not None:
            raise SteeringError("Expected generator or generators, got both; give one of them.")
        generators = pipe_arguments.pop("generator")
    single = isinstance(prompt, str)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise SteeringError("Expected at least one prompt, got none; give a prompt.")
    negatives = (
        _per_image(negative_prompt, prompts, "negative prompts") if negative_prompt is not None else None
    )
    if negatives is not None and pipe_arguments.get("negative_prompt_embeds") is not None:
        raise SteeringError("Expected negative_prompt or negative_prompt_embeds, got both; give one of them.")
    read = understandings(prompts, triplets, single)
    each = _whole(pipe_arguments.pop("num_images_per_prompt", None) or 1, "num_images_per_prompt")
    if each < 1:
        raise SteeringError(f"Expected num_images_per_prompt to be 1 or more, got {each}; correct it.")
    prompts, read = _repeated(prompts, each), _repeated(read, each)
    understood = [list(one.relations) for one in read]
    seeds, generators = _randomness(seed, generators, len(prompts))
    guidance, regions = _guidance(method, guidance, objective, layout, boxes, len(prompts) // each, each)
    run = run_of(
        pipe,
        prompts,
        num_inference_steps,
        generators=generators,
        negatives=_repeated(negatives, each) if negatives is not None else None,
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        each=each,
        **pipe_arguments,
    )
    plan = plan or plan_for("fast", method)
    family = family or run.family
    apart = bool(KEPT_APART & set(goals or ()))
    if objective == "default":
        # Attention is guided without a classifier, unless one is given to switch it.
        wanted_at_all = method != "attention" and (
            any(understood) or goals is not None and any(one.objects for one in read)
        )
        objective = default_objective(family) if wanted_at_all else None
        if objective is None:
            goals = None
    if goals is not None:
        objective = with_goals(objective, goals)
    apart |= objective is not None and bool(KEPT_APART & set(goals_of(objective)))
    if checked_count(seeds_tried) > 1 and (None in seeds or run.extra.get("latents") is not None):
        raise SteeringError(
            f"Expected a seed where {seeds_tried} first noises are tried, got generators or latents; give a seed instead."
        )
    if objective is not None and triplets is not None and "relation" in goals_of(objective):
        for of_image in understood:
            for triplet in of_image:
                objective.check([[RelationTarget(0, 1, triplet.relation.value)]])

    trace = SteeringTrace([[] for _ in prompts])
    left_out: list[list[LeftOut]] = [[] for _ in prompts]
    notes: list[str] = []
    moving = objective is not None and method != "attention" and plan.strength > 0
    guiding = guidance is not None and guidance.strength != 0
    if moving or guiding:
        notes = list(dict.fromkeys(one.note for one in read if one.note))
    steering: Steering | None = None
    guided: Guided | None = None
    calls = _Counter()
    with hooked([run.model.register_forward_pre_hook(calls)]), ExitStack() as stack:
        moves = moving and plan.step_size > 0
        if objective is not None and (moves or seeds_tried > 1) and _asked(objective, read):
            if plan.layers is not None:
                objective = objective.reading(plan.layers)
            objective = reading_recommended(objective, family, run.layers)
            wanted = batch_targets(
                understood,
                objective,
                lambda image, span: token_positions(run, image, span),
                run.text_length,
                [one.objects for one in read],
            )
            notes += wanted.notes
            left_out = wanted.left_out
            if any(wanted.targets):
                own = plan if moves else replace(plan, strength=0.0)
                steering = Steering.prepare(run, objective, own, wanted, family, seeds, seeds_tried)
                trace = steering.trace
        if guiding and guidance is not None:
            named = [one.objects for one in read] if apart else None
            guided = Guided.prepare(run, guidance, understood, family, objective, *regions, named)
            trace.notes += guided.notes
            left_out = guided.left_out if steering is None else in_both(left_out, guided.left_out)
            if steering is not None:
                steering.guided = guided
        for reason in dict.fromkeys(str(one) for of_image in left_out for one in of_image):
            warnings.warn(reason, stacklevel=2)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        trace.notes[:0] = notes
        if steering is not None:
            stack.enter_context(steering.watching())
        if guided is not None:
            stack.enter_context(guided.installed(watching=steering is None))
        images, latents = run.call(
            steering, on_step, output_type, guided.begin if guided is not None else None
        )
    if guided is not None:
        trace.guidance = guided.to_dict()
    doubtful = [list(one.doubtful) for one in read]
    return SteeredOutput(images, latents, understood, trace, left_out, seeds, calls.count, doubtful)


def _asked(objective: Objective, read: Sequence[Understanding]) -> bool:
    """Whether a prompt says anything that the objective has a goal for."""
    goals = set(goals_of(objective))
    return any(one.relations or (goals - {"relation", "implied"} and one.objects) for one in read)


def _guidance(
    method: str,
    guidance: GuidancePlan | None,
    objective: Objective | Literal["default"] | None,
    layout: Layout | Sequence[Layout | None] | None,
    boxes: Mapping[str, Box] | Sequence[Mapping[str, Box] | None] | None,
    prompts: int,
    each: int,
) -> tuple[GuidancePlan | None, tuple[Any, Any]]:
    """The guidance plan of a method, None for "gradient", and boxes and layouts of each image."""
    if check_method(method) == "gradient":
        if guidance is not None or layout is not None or boxes is not None:
            raise SteeringError(
                'Expected method "attention" or "both" where guidance, a layout or boxes are given, got '
                '"gradient"; name one of '
                "them."
            )
        return None, (None, None)
    if method == "both" and objective is None:
        raise SteeringError(
            'Expected an objective for method "both", got none; give one, or use method "attention", which needs none.'
        )
    regions = per_image(boxes, prompts, each, "boxes"), per_image(layout, prompts, each, "layout")
    return guidance or GuidancePlan.preset(method), regions


def default_objective(family: str) -> Objective:
    """What steers a model of this family where nobody chose: see `generate`. Raises SteeringError where an installation has
    lost its classifiers."""
    # Weights that are made under inference mode could not be a part of a gradient.
    with torch.inference_mode(False):
        return LearnedObjective(load_classifier(default_classifier(family)))


class _Counter:
    """A forward pre-hook that counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module: nn.Module, args: object) -> None:
        self.count += 1


def _per_image(value: str | Sequence[str], prompts: list[str], what: str) -> list[str]:
    values = [value] * len(prompts) if isinstance(value, str) else list(value)
    if len(values) != len(prompts):
        raise SteeringError(f"Expected one or {len(prompts)} {what}, got {len(values)}; give one per prompt.")
    return values


def _randomness(
    seed: Any, generators: Sequence[torch.Generator] | torch.Generator | None, images: int
) -> tuple[list[int | None], list[torch.Generator] | torch.Generator]:
    if generators is not None:
        one = isinstance(generators, torch.Generator)
        given: list[torch.Generator] = [generators] if one else list(generators)  # type: ignore[arg-type, list-item]
        if seed is not None or not one and len(given) != images:
            raise SteeringError(
                f"Expected either a seed or one generator for each of {images} images, got {len(given)} generator(s) "
                f"and seed {seed}; give one or the other."
            )
        return [None] * images, given[0] if one and images > 1 else given
    if seed is None:
        seed = int(torch.randint(2**31, (1,)))
    if hasattr(seed, "__len__") and not getattr(seed, "shape", None) == ():
        seeds = [_whole(s, "seed") for s in seed]
    else:
        seeds = [_whole(seed, "seed") + i for i in range(images)]
    if len(seeds) != images:
        raise SteeringError(f"Expected one seed or {images}, got {len(seeds)}; give one per image.")
    return list(seeds), [torch.Generator("cpu").manual_seed(s) for s in seeds]


def _whole(value: SupportsIndex, name: str) -> int:
    """A whole number of any library."""
    try:
        return operator.index(value)
    except TypeError:
        raise SteeringError(f"Expected {name} to be a whole number, got {value!r}; correct it.") from None


def _repeated(values: Sequence[T], each: int) -> list[T]:
    return [value for value in values for _ in range(each)]
