"""Draw with a diffusers pipeline, steered.

The pipeline's own loop runs unpatched. The first latent is made here, steered, and handed over; every later step is
steered in the pipeline's callback between two steps. What differs by architecture lies behind `Run` (`run.py`,
`stable/`, `flux/`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor, nn

from ...classifiers import check_classifier
from ...errors import SteeringError
from ...language import RelationTriplet, Triplet, understood_triplets
from ...objectives import LearnedObjective, Objective, RelationTarget, StepInfo, lowest_sigma
from ...steering import SteeringLoop, SteeringPlan, SteeringTrace, steered_steps
from ..modules import hooked
from ..protocol import evaluator
from ..targets import batch_targets
from .pipelines import attention_layers, denoiser, model_family, run_of, token_positions
from .run import Branch, Run
from .schedule import Schedule, carry_over
from .stable.unet import record_unet

__all__ = [
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


_OURS = {"latents", "generator", "callback_on_step_end", "callback_on_step_end_tensor_inputs"}


_OURS |= {"prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"}


_OURS |= {"callback", "callback_steps", "return_dict", "num_images_per_prompt"}


@dataclass(frozen=True)
class SteeredOutput:
    """What came out.

    images: as the pipeline gives them for `output_type`. latents (B, channels, h, w): the final ones, unpacked.
    triplets: per image, every relation understood, steered or not.
    trace: what was done (see `SteeringTrace`); its labels name the relations steered.
    seeds: per image, None where generators were given.
    model_calls: forward passes of the denoiser, the pipeline's and those of steering (`trace.forwards`) together.
    """

    images: Any
    latents: Tensor
    triplets: list[list[RelationTriplet]]
    trace: SteeringTrace
    seeds: list[int | None]
    model_calls: int


def generate(
    pipe: StableDiffusionPipeline | StableDiffusionXLPipeline | FluxPipeline,
    prompt: str | Sequence[str],
    *,
    objective: Objective | None = None,
    plan: SteeringPlan | None = None,
    seed: int | Sequence[int] | None = None,
    generators: Sequence[torch.Generator] | None = None,
    num_inference_steps: int = 50,
    guidance_scale: float | None = None,
    negative_prompt: str | Sequence[str] | None = None,
    height: int | None = None,
    width: int | None = None,
    triplets: Sequence[Triplet] | Sequence[Sequence[Triplet]] | None = None,
    family: str | None = None,
    on_step: Callable[[StepInfo, Tensor], None] | None = None,
    output_type: str = "pil",
    **pipe_arguments: Any,
) -> SteeredOutput:
    """Generate one image per prompt, each steered towards the relations its prompt states.

    objective: what "right" means; None = plain generation. plan: default "fast". seed: one per
    image, or one number s for s, s + 1, ...; each image has its own generator, so it does not depend on the
    others of its batch. guidance_scale: None = 7.5, for Flux 3.5. negative_prompt, height, width (pixels),
    output_type: as in the pipeline. triplets: instead of parsing the prompt; per image (for a single prompt just
    its list). family: the model's family, where it cannot be seen from its layout. on_step(StepInfo, latents
    (B, channels, h, w)): after each turn of the pipeline's loop. pipe_arguments: anything else the pipeline takes,
    such as clip_skip, eta, guidance_rescale, cross_attention_kwargs, ip_adapter_image, true_cfg_scale,
    max_sequence_length.

    With no objective, no steerable relation or strength 0 the pipeline runs as if called directly: same
    images to the bit, same number of model calls.

    Raises SteeringError for another pipeline, an objective that does not fit the model, objects that are not
    in the prompt or beyond the text encoder's length, a scheduler that cannot be steered, and arguments that
    contradict each other.
    """
    if taken := sorted(_OURS & pipe_arguments.keys()):
        raise SteeringError(
            f"Expected no {', '.join(taken)}, which steering sets itself; use seed, generators, on_step or "
            "one prompt per image instead."
        )
    single = isinstance(prompt, str)
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise SteeringError("Expected at least one prompt, got none; give a prompt.")
    negatives = (
        _per_image(negative_prompt, prompts, "negative prompts") if negative_prompt is not None else None
    )
    seeds, generators = _randomness(seed, generators, prompts)
    run = run_of(
        pipe,
        prompts,
        num_inference_steps,
        generators=generators,
        negatives=negatives,
        guidance_scale=guidance_scale,
        height=height,
        width=width,
        **pipe_arguments,
    )
    plan = plan or SteeringPlan.preset("fast")
    understood = understood_triplets(prompts, triplets, single)
    if objective is not None and triplets is not None:
        for of_image in understood:
            for triplet in of_image:
                objective.check([[RelationTarget(0, 1, triplet.relation.value)]])

    trace = SteeringTrace([[] for _ in prompts])
    steering: _Steering | None = None
    calls = _Counter()
    with hooked([run.model.register_forward_pre_hook(calls)]):
        if objective is not None and plan.strength > 0 and plan.step_size > 0 and any(understood):
            steering = _Steering.prepare(run, objective, plan, understood, family)
            trace = steering.trace if steering is not None else trace
        images, latents = run.call(steering, on_step, output_type)
    return SteeredOutput(images, latents, understood, trace, seeds, calls.count)


class _Counter:
    """A forward pre-hook that counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, module: nn.Module, args: Any) -> None:
        self.count += 1


@dataclass
class _Steering:
    """The steering of one run: moves the latents between the turns of the pipeline's loop."""

    run: Run
    host: Branch
    schedule: Schedule
    objective: Objective
    loop: SteeringLoop
    trace: SteeringTrace
    targets: list[list[RelationTarget]]
    weights: Tensor
    encoded: dict[str, Tensor]

    @classmethod
    def prepare(
        cls,
        run: Run,
        objective: Objective,
        plan: SteeringPlan,
        triplets: list[list[RelationTriplet]],
        family: str | None,
    ) -> _Steering | None:
        """None where the objective knows none of the relations. Raises SteeringError, see `generate`."""
        if plan.layers is not None:
            objective = objective.reading(plan.layers)
        wanted = batch_targets(
            triplets, objective, lambda image, span: token_positions(run, image, span), run.text_length
        )
        if not any(wanted.targets):
            return None
        family = family or run.family
        if isinstance(objective, LearnedObjective):
            check_classifier(objective.classifier, run.layers, family)
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
        )
        trace.notes += [*plan.warnings(), *([why] if why else [])]
        loop = SteeringLoop(plan, trace, steps, next(run.model.parameters()).dtype)
        return cls(run, host, schedule, objective, loop, trace, wanted.targets, weights, encoded)

    def first_arguments(self) -> dict[str, Any]:
        """Text states and first latents (unit noise, as pipelines take them), moved where the plan starts at
        step 0."""
        noise = self.run.first_noise(self.host.dtype, self.host.device)
        first = noise * self.schedule.init_noise_sigma
        moved = self.move(first, 0)
        latents = noise if moved is first else moved / self.schedule.init_noise_sigma
        return {**self.encoded, **self.run.unencoded(), "latents": latents}

    def move(self, latents: Tensor, turn: int) -> Tensor:
        """The latents to go on with at this turn of the pipeline's loop; `latents` itself where nothing was
        moved."""
        step = self.schedule.steps.get(turn)
        if step is None or not self.loop.active(step):
            return latents
        info = StepInfo(step, self.schedule.total, self.schedule.sigmas[turn])
        scale = self.schedule.scales[turn]
        model_input = latents * scale
        evaluate = evaluator(self.host, self.objective, self.targets, self.weights, info)
        moved = self.loop.steer(model_input, evaluate, step)
        if moved is model_input:
            return latents
        change = (moved - model_input) / scale
        if turn > 0:
            carry_over(self.run.pipe.scheduler, turn, change)
        return latents + change


def _per_image(value: str | Sequence[str], prompts: list[str], what: str) -> list[str]:
    values = [value] * len(prompts) if isinstance(value, str) else list(value)
    if len(values) != len(prompts):
        raise SteeringError(f"Expected one or {len(prompts)} {what}, got {len(values)}; give one per prompt.")
    return values


def _randomness(
    seed: int | Sequence[int] | None, generators: Sequence[torch.Generator] | None, prompts: list[str]
) -> tuple[list[int | None], list[torch.Generator]]:
    if generators is not None:
        if seed is not None or len(generators) != len(prompts):
            raise SteeringError(
                f"Expected either a seed or one generator for each of {len(prompts)} prompts, got "
                f"{len(generators)} generator(s) and seed {seed}; give one or the other."
            )
        return [None] * len(prompts), list(generators)
    if seed is None:
        seed = int(torch.randint(2**31, (1,)))
    seeds = [seed + i for i in range(len(prompts))] if isinstance(seed, int) else [int(s) for s in seed]
    if len(seeds) != len(prompts):
        raise SteeringError(f"Expected one seed or {len(prompts)}, got {len(seeds)}; give one per prompt.")
    return list(seeds), [torch.Generator("cpu").manual_seed(s) for s in seeds]
