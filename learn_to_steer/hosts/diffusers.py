"""The diffusers host: Stable Diffusion 1.x, 2.x and XL pipelines, with any scheduler that can be steered.

The pipeline's own loop runs unpatched. The first latent is made here, steered, and handed over; every later
step is steered in the pipeline's callback between two steps. `diffusers_unet.py` reads the maps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn

from ..attention import MapStack
from ..classifier import check_classifier
from ..errors import SteeringError
from ..objectives import LearnedObjective, Objective, RelationTarget, StepInfo
from ..relations import RelationTriplet
from ..steering import SteeringPlan, SteeringTrace, steer
from ..tokens import encoder_of, locate
from . import Triplet, evaluator, frozen, hooked, understood_triplets, wanted_relations
from .diffusers_schedule import Schedule, carry_over
from .diffusers_unet import attention_layers, model_family, unet_reading

__all__ = ["SteeredOutput", "Triplet", "attention_layers", "generate", "model_family", "unet_reading"]

_OURS = {"latents", "generator", "callback_on_step_end", "callback_on_step_end_tensor_inputs"}
_OURS |= {"prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"}
_OURS |= {"callback", "callback_steps", "return_dict", "num_images_per_prompt"}


@dataclass(frozen=True)
class SteeredOutput:
    """What came out.

    images: as the pipeline gives them for `output_type`. latents (B, 4, h, w): the final ones.
    triplets: per image, every relation understood, steered or not.
    trace: what was done (see `SteeringTrace`); its labels name the relations steered.
    seeds: per image, None where generators were given.
    model_calls: forward passes of the UNet, the pipeline's and those of steering (`trace.forwards`) together.
    """

    images: Any
    latents: Tensor
    triplets: list[list[RelationTriplet]]
    trace: SteeringTrace
    seeds: list[int | None]
    model_calls: int


class _ConditionalUNet:
    """`Host` for one batch of prompts: the UNet with everything its conditional branch is given."""

    def __init__(
        self, unet: Any, family: str, schedule: Schedule, context: Tensor, arguments: dict[str, Any]
    ) -> None:
        self.unet, self.family, self.context, self.arguments = unet, family, context, arguments
        self.layers = attention_layers(unet)
        self.timestep_of = {step: schedule.timesteps[turn] for turn, step in schedule.steps.items()}

    def read(
        self,
        latent: Tensor,
        images: Sequence[int],
        step: StepInfo,
        weights: Tensor,
        layers: tuple[str, ...] | None,
    ) -> MapStack:
        rows = list(images)
        with frozen(self.unet):
            return unet_reading(
                self.unet,
                latent.to(self.context.dtype),
                self.timestep_of[step.step],
                self.context[rows],
                weights,
                layers,
                **_rows(self.arguments, rows),
            )


def _rows(value: Any, rows: list[int]) -> Any:
    """The given batch rows of every tensor inside."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {k: v if k == "cross_attention_kwargs" else _rows(v, rows) for k, v in value.items()}
    if isinstance(value, list):
        return [_rows(v, rows) for v in value]
    return value


def generate(
    pipe: StableDiffusionPipeline | StableDiffusionXLPipeline,
    prompt: str | Sequence[str],
    *,
    objective: Objective | None = None,
    plan: SteeringPlan | None = None,
    seed: int | Sequence[int] | None = None,
    generators: Sequence[torch.Generator] | None = None,
    num_inference_steps: int = 50,
    guidance_scale: float = 7.5,
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

    objective: what "right" means; None = plain generation. plan: default `SteeringPlan()`. seed: one per
    image, or one number s for s, s + 1, ...; each image has its own generator, so it does not depend on the
    others of its batch. guidance_scale, negative_prompt, height, width (pixels), output_type: as in the
    pipeline. triplets: instead of parsing the prompt; per image (for a single prompt just its list). family:
    the model's family, where it cannot be seen from its text width. on_step(StepInfo, latents): after each
    turn of the pipeline's loop. pipe_arguments: anything else the pipeline takes, such as clip_skip, eta,
    guidance_rescale, cross_attention_kwargs, ip_adapter_image.

    With no objective, no steerable relation or strength 0 the pipeline runs as if called directly: same
    images to the bit, same number of model calls.

    Raises SteeringError for another pipeline, an objective that does not fit the model, objects that are not
    in the prompt or beyond the text encoder's length, a scheduler that cannot be steered, and arguments that
    contradict each other.
    """
    if not isinstance(pipe, (StableDiffusionPipeline, StableDiffusionXLPipeline)):
        raise SteeringError(
            f"Expected a StableDiffusionPipeline or StableDiffusionXLPipeline, got {type(pipe).__name__}; "
            "load the model with one of these."
        )
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
    plan = plan or SteeringPlan()
    understood = understood_triplets(prompts, triplets, single)
    if objective is not None and triplets is not None:
        for of_image in understood:
            for triplet in of_image:
                objective.check([[RelationTarget(0, 1, triplet.relation.value)]])

    trace = SteeringTrace([[] for _ in prompts])
    run = _Run(
        pipe,
        prompts,
        negatives,
        generators,
        num_inference_steps,
        guidance_scale,
        height,
        width,
        pipe_arguments,
    )
    steering: _Steering | None = None
    calls = _Counter()
    with hooked([run.pipe.unet.register_forward_pre_hook(calls)]):
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
class _Run:
    """One call of a pipeline, as its user wants it."""

    pipe: Any
    prompts: list[str]
    negatives: list[str] | None
    generators: list[torch.Generator]
    num_inference_steps: int
    guidance_scale: float
    height: int | None
    width: int | None
    extra: dict[str, Any]

    @property
    def guided(self) -> bool:
        return self.guidance_scale > 1 and self.pipe.unet.config.time_cond_proj_dim is None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        sample = self.pipe.unet.config.sample_size
        default = (sample, sample) if isinstance(sample, int) else tuple(sample)
        factor = self.pipe.vae_scale_factor
        return self.height or default[0] * factor, self.width or default[1] * factor

    def call(
        self, steering: _Steering | None, on_step: Callable[[StepInfo, Tensor], None] | None, output_type: str
    ) -> tuple[Any, Tensor]:
        """Run the pipeline; the images and the final latents."""
        final: list[Tensor] = []

        def between(pipe: Any, turn: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latents = tensors["latents"]
            if steering is not None:
                latents = steering.move(latents, turn + 1)
            final[:] = [latents]
            if on_step is not None:
                on_step(StepInfo(turn, pipe.num_timesteps), latents)
            return {"latents": latents}

        arguments: dict[str, Any] = {"prompt": self.prompts, "negative_prompt": self.negatives}
        if steering is not None:
            arguments = steering.first_arguments()
        result = self.pipe(
            **arguments,
            height=self.height,
            width=self.width,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            generator=self.generators,
            output_type=output_type,
            callback_on_step_end=between,
            **self.extra,
        )
        return result.images, final[0]

    def encoded(self) -> dict[str, Tensor]:
        """The text states, encoded once, under the pipeline's own argument names."""
        extra = self.extra
        lora = (extra.get("cross_attention_kwargs") or {}).get("scale")
        more = {k: extra[k] for k in ("prompt_2", "negative_prompt_2") if k in extra}
        with torch.no_grad():
            states = self.pipe.encode_prompt(
                prompt=self.prompts,
                device=self.pipe._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=self.guided,
                negative_prompt=self.negatives,
                lora_scale=lora,
                clip_skip=extra.get("clip_skip"),
                **more,
            )
        names = (
            "prompt_embeds",
            "negative_prompt_embeds",
            "pooled_prompt_embeds",
            "negative_pooled_prompt_embeds",
        )
        return {name: state for name, state in zip(names, states, strict=False) if state is not None}

    def conditional_arguments(self, encoded: dict[str, Tensor]) -> dict[str, Any]:
        """What the UNet is given besides latent, timestep and text states, conditional rows only."""
        pipe, extra, context = self.pipe, self.extra, encoded["prompt_embeds"]
        batch, device, dtype = len(self.prompts), context.device, context.dtype
        arguments: dict[str, Any] = {"cross_attention_kwargs": extra.get("cross_attention_kwargs")}
        added: dict[str, Any] = {}
        extra_large = isinstance(pipe, StableDiffusionXLPipeline)
        if extra_large:
            width = pipe.text_encoder_2.config.projection_dim if pipe.text_encoder_2 is not None else None
            ids = pipe._get_add_time_ids(
                extra.get("original_size") or self.size,
                extra.get("crops_coords_top_left") or (0, 0),
                extra.get("target_size") or self.size,
                dtype=dtype,
                text_encoder_projection_dim=width or int(encoded["pooled_prompt_embeds"].shape[-1]),
            )
            added = {
                "text_embeds": encoded["pooled_prompt_embeds"],
                "time_ids": ids.to(device).repeat(batch, 1),
            }
        image, embeds = extra.get("ip_adapter_image"), extra.get("ip_adapter_image_embeds")
        if image is not None or embeds is not None:
            with torch.no_grad():
                states = pipe.prepare_ip_adapter_image_embeds(image, embeds, device, batch, self.guided)
            added["image_embeds"] = [state.chunk(2)[1] if self.guided else state for state in states]
        if added:
            arguments["added_cond_kwargs"] = added
        if pipe.unet.config.time_cond_proj_dim is not None:
            scale = torch.tensor(self.guidance_scale - 1).repeat(batch)
            embedding = pipe.get_guidance_scale_embedding(
                scale, embedding_dim=pipe.unet.config.time_cond_proj_dim
            )
            arguments["timestep_cond"] = embedding.to(device=device, dtype=dtype)
        return arguments


@dataclass
class _Steering:
    """The steering of one run: moves the latents between the turns of the pipeline's loop."""

    run: _Run
    host: _ConditionalUNet
    schedule: Schedule
    objective: Objective
    plan: SteeringPlan
    trace: SteeringTrace
    targets: list[list[RelationTarget]]
    weights: Tensor
    encoded: dict[str, Tensor]

    @classmethod
    def prepare(
        cls,
        run: _Run,
        objective: Objective,
        plan: SteeringPlan,
        triplets: list[list[RelationTriplet]],
        family: str | None,
    ) -> _Steering | None:
        """None where the objective knows none of the relations. Raises SteeringError, see `generate`."""
        if plan.layers is not None:
            objective = objective.reading(plan.layers)
        pipe = run.pipe
        tokenizer = pipe.tokenizer if pipe.tokenizer is not None else pipe.tokenizer_2

        def positions(image: int, span: tuple[int, int]) -> list[int]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ids = list(tokenizer(run.prompts[image], truncation=False, verbose=False).input_ids)
            return locate(encoder_of(tokenizer), run.prompts[image], span, tokenizer.model_max_length, ids)

        wanted = wanted_relations(triplets, objective, positions, tokenizer.model_max_length)
        if not any(wanted.targets):
            return None
        family = family or model_family(pipe.unet)
        layers = attention_layers(pipe.unet)
        if isinstance(objective, LearnedObjective):
            check_classifier(objective.classifier, layers, family)
        device = pipe._execution_device
        schedule = Schedule(
            pipe.scheduler,
            run.num_inference_steps,
            device,
            run.extra.get("timesteps"),
            run.extra.get("sigmas"),
        )
        encoded = run.encoded()
        host = _ConditionalUNet(
            pipe.unet,
            family,
            schedule,
            encoded["prompt_embeds"].to(device),
            run.conditional_arguments(encoded),
        )
        trace = SteeringTrace.of(wanted.targets, wanted.objects)
        return cls(
            run, host, schedule, objective, plan, trace, wanted.targets, wanted.weights.to(device), encoded
        )

    def first_arguments(self) -> dict[str, Any]:
        """Text states and first latents (unit noise, as pipelines take them), moved where the plan starts at
        step 0."""
        pipe, (height, width) = self.run.pipe, self.run.size
        shape = (
            len(self.run.prompts),
            pipe.unet.config.in_channels,
            height // pipe.vae_scale_factor,
            width // pipe.vae_scale_factor,
        )
        context = self.host.context
        noise = randn_tensor(shape, generator=self.run.generators, device=context.device, dtype=context.dtype)
        first = noise * self.schedule.init_noise_sigma
        moved = self.move(first, 0)
        latents = noise if moved is first else moved / self.schedule.init_noise_sigma
        return {**self.encoded, "latents": latents}

    def move(self, latents: Tensor, turn: int) -> Tensor:
        """The latents to go on with at this turn of the pipeline's loop; `latents` itself where nothing was
        moved."""
        step = self.schedule.steps.get(turn)
        if step is None or not self.plan.active(step, self.schedule.total):
            return latents
        info = StepInfo(step, self.schedule.total, self.schedule.sigmas[turn])
        scale = self.schedule.scales[turn]
        model_input = latents * scale
        evaluate = evaluator(self.host, self.objective, self.targets, self.weights, info)
        moved = steer(model_input, evaluate, self.plan, self.trace, step, self.schedule.total)
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
