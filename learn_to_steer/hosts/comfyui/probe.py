"""A MODEL with its CLIP and VAE as a check asks it: `hosts.probing.Probe`.

Everything goes through the host's own sampling, so models are loaded, conditionings prepared and hooks registered as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...attention import AttentionLayer, MapStack, token_weights
from ...errors import SteeringError, UnreadableModel
from ...language import RelationTriplet
from ...objectives import Objective, StepInfo
from ...steering import SteeringPlan, SteeringTrace
from ..modules import for_autograd
from ..probing import Moment, Probed
from ..protocol import Drawn
from .asking import ask, pictures_of
from .branch import ConditionalBranch
from .log import SteeringLog, merged
from .prompt.owner import owned, placed, places
from .prompt.relations import MARK, PromptRelations, read_prompt
from .read.evaluation import holding_now, located_layers, model_family
from .run import Steering, share_of_schedule
from .steer import steered_model, without_steering

_KEY = "learn_to_steer_probe"


class GraphProbe:
    """See `hosts.probing.Probe`. A batch is of one prompt: give `evaluation.check` batches of one prompt's seeds.

    latent: the host's dict with one empty latent, for the size. negative: what pictures should not show.
    """

    def __init__(
        self, model: Any, clip: Any, vae: Any, latent: dict[str, Any], negative: str, steps: int, cfg: float,
        sampler_name: str, scheduler: str,
    ) -> None:  # fmt: skip
        self.model = without_steering(model)  # or what should be plain would be steered
        self.clip, self.vae, self.steps, self.cfg = clip, vae, steps, cfg
        self.sampler_name, self.scheduler = sampler_name, scheduler
        self.empty = comfy.sample.fix_empty_latent_channels(model, torch.zeros_like(latent["samples"][:1]))
        self.negative = self._encoded(negative)
        self._known: dict[str, tuple[Any, PromptRelations]] = {}

    @property
    def family(self) -> str:
        """See `hosts.probing.Probe`."""
        return model_family(self.model.model)

    @property
    def layers(self) -> list[AttentionLayer]:
        """See `hosts.probing.Probe`; none of a model that cannot be read."""
        try:
            located = located_layers(self.model.get_model_object("diffusion_model"))
        except UnreadableModel:
            return []
        return [one.layer for one in located]

    def draw(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        objective: Objective | None,
        plan: SteeringPlan,
        share: float,
    ) -> Probed:
        """See `hosts.probing.Probe`. Raises SteeringError for a run of a single step."""
        positive, relations = self._prompt(prompts)
        log, model = SteeringLog(), self.model
        if objective is not None:
            model = steered_model(model, Steering(relations, objective, plan, log))
        counter = _Counter()
        model = model.clone()
        model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.APPLY_MODEL, _KEY, counter)
        sampling = self.model.get_model_object("model_sampling")
        sampler = comfy.samplers.KSampler(
            model, steps=self.steps, device=model.load_device, sampler=self.sampler_name, scheduler=self.scheduler,
            denoise=1.0, model_options=model.model_options,
        )  # fmt: skip
        sigmas = [float(s) for s in sampler.sigmas]
        turn = _turn_at([share_of_schedule(sampling, s) for s in sigmas[:-1]], share)
        kept: list[Tensor] = []

        def keep(step: int, denoised: Tensor, latent: Tensor, total: int) -> None:
            if step == turn:
                kept[:] = [latent.detach().clone()]

        noise = torch.cat([comfy.sample.prepare_noise(self.empty, seed) for seed in seeds])
        latents = self.empty.repeat(len(seeds), *[1] * (self.empty.ndim - 1))
        samples = comfy.sample.sample(
            model, noise, self.steps, self.cfg, self.sampler_name, self.scheduler, positive, self.negative, latents,
            callback=keep, disable_pbar=True, seed=seeds[0],
        )  # fmt: skip
        if not kept:
            raise SteeringError(
                f"Expected a sampler that says where it is, got {self.sampler_name}; check with euler."
            )
        trace = merged(log.traces) or SteeringTrace([[] for _ in seeds])
        drawn = Drawn(pictures_of(self.vae, samples), trace, counter.count)
        step = StepInfo(turn, len(sigmas) - 1, sigmas[turn])
        return Probed(drawn, _flat(samples), Moment(kept[0], turn, step))

    def maps(
        self, prompts: Sequence[str], triplets: Sequence[RelationTriplet], moment: Moment,
        layers: tuple[str, ...] | None,
    ) -> MapStack:  # fmt: skip
        """See `hosts.probing.Probe`."""
        located = located_layers(self.model.get_model_object("diffusion_model"))
        positive, relations = self._prompt(prompts)
        if not relations.triplets:
            raise SteeringError(
                next((reason for _, reason in relations.left_out), "Its words are not found.")
            )
        triplet = relations.triplets[0]
        spans = (triplet.subject_noun, triplet.object_noun)
        weights = token_weights([[relations.tokens_of(s) for s in spans]] * len(prompts), relations.length)

        def question(guider: Any, x: Tensor, sigma: Tensor, given: dict[str, Any]) -> MapStack:
            base = guider.inner_model
            with torch.inference_mode(False), torch.no_grad():
                timestep, latent = for_autograd(sigma), for_autograd(x)
                now = holding_now(guider.conds["positive"], timestep)
                entry = next((e for e in now if places(relations, e.get("cross_attn"))), None)
                if entry is None:
                    raise SteeringError("Its text states are not those of its prompt.")
                at = places(relations, entry["cross_attn"])
                spread = placed(weights, at, entry["cross_attn"].shape[1])
                branch = ConditionalBranch(base, base, entry, latent, timestep, 1.0, given, located)
                return branch.read(latent, range(len(latent)), moment.step, spread.to(latent.device), layers)

        return ask(self.model, positive, moment.latents, moment.step.sigma or 0.0, question)

    def predict(self, prompts: Sequence[str], moment: Moment) -> Tensor:
        """See `hosts.probing.Probe`: the denoised latents."""
        positive, _ = self._prompt(prompts)

        def question(guider: Any, x: Tensor, sigma: Tensor, given: dict[str, Any]) -> Tensor:
            with torch.no_grad():
                answer: Tensor = guider(x, sigma, **given)
            return _flat(answer).float()

        return ask(self.model, positive, moment.latents, moment.step.sigma or 0.0, question)

    def _prompt(self, prompts: Sequence[str]) -> tuple[Any, PromptRelations]:
        """The conditioning and the relations of the one prompt of a batch."""
        (text,) = dict.fromkeys(prompts)
        if text not in self._known:
            encoded = self._encoded(text)
            relations = owned(read_prompt(self.clip, text), encoded)
            conditioning = [[states, {**extra, MARK: relations.mark}] for states, extra in encoded]
            self._known[text] = conditioning, relations
        return self._known[text]

    def _encoded(self, text: str) -> Any:
        return self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text))


class _Counter:
    """A wrapper of the model's call that counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        self.count += 1
        return executor(*args, **kwargs)


def _flat(latents: Tensor) -> Tensor:
    """(B, channels, h, w), also of models whose latents have a time axis of one."""
    return latents[:, :, 0] if latents.ndim == 5 else latents


def _turn_at(shares: Sequence[float], share: float) -> int:
    """The first step at this share of the schedule or behind it; the last one where there is none."""
    turn = next((i for i, s in enumerate(shares) if s >= share - 1e-3), len(shares) - 1)
    if turn < 1:
        raise SteeringError("Expected a run of at least two steps to look into, got one; set more steps.")
    return turn
