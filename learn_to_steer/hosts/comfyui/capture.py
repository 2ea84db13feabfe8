"""Evaluations without steering, in ComfyUI: the attention maps of a finished latent, and sampling that is steered only
where a plain run does not show the relation.

Both go through the host's whole sampling machinery, so models are loaded, conditionings prepared and hooks registered
as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_patcher
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...attention import MapStack, token_weights
from ...errors import SteeringError
from ...language import RelationTriplet
from ...objectives import Objective, RelationTarget, StepInfo, learned_part
from ..modules import for_autograd
from ..recommended import reading_recommended
from ..targets import knows
from .branch import ConditionalBranch
from .prompt.owner import placed, places
from .prompt.relations import PromptRelations
from .read.evaluation import holding_now, located_layers, model_family
from .run import why_not_owned
from .steer import WAY_OUT, Steering, check_fit, steered_model


@dataclass(frozen=True)
class CapturedAttention:
    """The maps of one pass over a batch of latents.

    maps: B images, O objects. objects: the words of each object. triplets: the prompt's relations, with
    slots: for each, the places of its subject and object among the objects. step: where in a schedule they were taken.
    family: the model's.
    """

    maps: MapStack
    objects: tuple[str, ...]
    triplets: tuple[RelationTriplet, ...]
    slots: tuple[tuple[int, int], ...]
    step: StepInfo
    family: str


@dataclass(frozen=True)
class RelationReading:
    """What a classifier reads for one relation of one image: the probability of the stated relation."""

    image: int
    sentence: str
    probability: float


class _Capturing(comfy.samplers.Sampler):
    """A "sampler" that adds noise once, makes one evaluation and gives the latent back."""

    def __init__(self, relations: PromptRelations, weights: Tensor) -> None:
        self.relations, self.weights = relations, weights
        self.maps: MapStack | None = None

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor,
        latent_image: Tensor, denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        base = model_wrap.inner_model
        with torch.inference_mode(False), torch.no_grad():
            timestep = for_autograd(sigmas[0] * torch.ones(noise.shape[0], device=noise.device))
            x = for_autograd(
                base.model_sampling.noise_scaling(timestep[:1].view(1, 1, 1, 1), noise, latent_image, False)
            )
            branch, weights = prompts_branch(
                self.relations, model_wrap, x, timestep, extra_args, self.weights
            )
            images = range(x.shape[0])
            step = StepInfo(0, 1, float(timestep[0]))
            self.maps = branch.read(x, images, step, weights, None)
        return latent_image


def prompts_branch(
    relations: PromptRelations,
    guider: Any,
    x: Tensor,
    timestep: Tensor,
    given: dict[str, Any],
    weights: Tensor,
) -> tuple[ConditionalBranch, Tensor]:
    """The branch of a prompt's own conditioning at a noise level, and its token weights there.

    guider: of the host, prepared. x: the batch, as the model is given it; timestep (B,) sigmas. given: keywords of the
    sampler's call. weights (B, O, T) of the prompt. Raises SteeringError where the conditioning is another prompt's, or
    holds at other noise levels only.
    """
    conds = guider.conds["positive"]
    if (sentence := why_not_owned(relations, conds)) is not None:
        raise SteeringError(sentence)
    now = [(entry, places(relations, entry.get("cross_attn"))) for entry in holding_now(conds, timestep)]
    entry, begins = next(((e, at) for e, at in now if at), (None, ()))
    if entry is None:
        raise SteeringError(
            "Expected a prompt that is in use at this noise level, found that it holds at others only; choose "
            "another noise level or remove the timestep range."
        )
    base = guider.inner_model
    located = located_layers(base.diffusion_model)
    branch = ConditionalBranch(base, base, entry, x, timestep, 1.0, given, located)
    return branch, placed(weights, begins, entry["cross_attn"].shape[1]).to(x.device)


def capture(
    model: Any,
    positive: Any,
    relations: PromptRelations,
    latent: dict[str, Any],
    noise_level: float = 0.5,
    seed: int = 0,
) -> CapturedAttention:
    """The maps of every attention of the model, for all objects of the prompt's relations.

    latent: the host's dict, samples (B, 4, h, w). noise_level: 0..1, the part of the schedule that is still to go; the
    latent gets noise of that level, drawn by `seed`. Raises SteeringError for a prompt without relations, a model that
    cannot be read and a conditioning of another prompt.
    """
    if not relations.triplets:
        raise SteeringError(
            f'Expected a prompt that relates two objects, got "{relations.text}"; state a relation or enter one by hand.'
        )
    if not 0 < noise_level <= 1:
        raise SteeringError(f"Expected a noise level in (0, 1], got {noise_level}; 0.5 is a good value.")
    located_layers(model.get_model_object("diffusion_model"))
    spans = list(dict.fromkeys(s for t in relations.triplets for s in (t.subject_noun, t.object_noun)))
    words = {t.subject_noun: t.subject for t in relations.triplets} | {
        t.object_noun: t.object for t in relations.triplets
    }
    slots = tuple((spans.index(t.subject_noun), spans.index(t.object_noun)) for t in relations.triplets)
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    batch = samples.shape[0]
    weights = token_weights([[relations.tokens_of(span) for span in spans]] * batch, relations.length)
    sigma = float(model.get_model_object("model_sampling").percent_to_sigma(1 - noise_level))
    sigma = min(sigma, float(model.get_model_object("model_sampling").sigma_max))
    noise = comfy.sample.prepare_noise(samples, seed)
    sampler = _Capturing(relations, weights)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, positive)
    guider.set_cfg(1.0)
    guider.sample(noise, samples, sampler, torch.tensor([sigma, 0.0]), disable_pbar=True, seed=seed)
    assert sampler.maps is not None
    return CapturedAttention(
        sampler.maps,
        tuple(words[span] for span in spans),
        relations.triplets,
        slots,
        StepInfo(round((1 - noise_level) * 1000), 1000, sigma),
        model_family(model.model),
    )


def classify(captured: CapturedAttention, objective: Objective) -> list[RelationReading]:
    """The probability of each relation of the prompt in each image, in that order; relations the objective does not know
    are left out. Raises SteeringError for a classifier that does not fit the model the maps are from."""
    from ...classifiers import check_classifier

    objective = reading_recommended(objective, captured.family, captured.maps.layers)
    if (learned := learned_part(objective)) is not None:
        try:
            check_classifier(learned.classifier, list(captured.maps.layers), captured.family)
        except SteeringError as error:
            raise SteeringError(f"{str(error).removesuffix('.')}{WAY_OUT}") from error
    known = [
        (triplet, RelationTarget(*slots, triplet.relation.value))
        for triplet, slots in zip(captured.triplets, captured.slots, strict=True)
        if knows(objective, triplet.relation.value)
    ]
    if not known:
        return []
    batch = captured.maps.batch
    with torch.inference_mode(False), torch.no_grad():
        maps = MapStack(captured.maps.layers, tuple(for_autograd(m) for m in captured.maps.maps))
        reading = objective(maps, [[target for _, target in known]] * batch, captured.step)
    return [
        RelationReading(image, f"{t.subject} {t.relation} {t.object}", float(reading.probability[image, r]))
        for image in range(batch)
        for r, (t, _) in enumerate(known)
    ]


def sample_where_needed(
    sample: Callable[[Any], Tensor], model: Any, steering: Steering, met_at: float
) -> Tensor:
    """Sample plainly and read the relations on the way; where one is less probable than `met_at`, sample those images
    again, steered.

    sample: MODEL -> final latents (B, ...), the same noise each time. Images that are fine come out of the plain run, to
    the bit. What was not read - some samplers choose their own steps - or is no number does not count as met. The log gets
    the trace of the evaluation and, where there was one, that of the steered run.
    """
    check_fit(model, steering.objective, steering.plan)
    watched = steered_model(model, replace(steering, mode="watch"))
    if watched is model:
        return sample(model)
    plain = sample(watched)
    seen = steering.log.latest
    if seen is None or seen.left_plain:
        return plain

    def met(image: int) -> bool:
        last = seen.last(image)
        return bool(last) and all(r.probability >= met_at for r in last)

    if not seen.records and steering.log.runs:
        steering.log.runs[-1].note(
            "The relations were not read at the plan's noise levels, so every picture is steered."
        )
    rows = tuple(image for image in range(plain.shape[0]) if not met(image))
    if not rows:
        return plain
    steered = sample(steered_model(model, replace(steering, rows=rows)))
    return torch.stack([steered[i] if i in rows else plain[i] for i in range(plain.shape[0])])
