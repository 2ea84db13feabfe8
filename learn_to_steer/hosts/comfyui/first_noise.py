"""The first noise of a picture out of several, for ComfyUI; see `steering.first_noises`.

The noises are those of the host's own samplers for a seed, so the seed that is kept can be given to any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...objectives import CombinedObjective, Objective, Reading, StepInfo
from ...steering import SteeringPlan, best_of, checked_count, scored, scoring_targets, seed_of
from ..modules import for_autograd
from ..protocol import evaluator
from ..recommended import reading_recommended
from ..targets import BatchTargets
from .capture import prompts_branch
from .prompt.relations import PromptRelations
from .read.evaluation import model_family
from .run import targets_of
from .steer import check_fit, without_steering


@dataclass(frozen=True)
class FirstNoises:
    """What was tried. seeds, scores: of each noise; of a batch the mean score of its images. best: which of them is kept.
    passes: of the model's conditional branch over the batch, none of them whole and none with a gradient."""

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    best: int
    passes: int

    @property
    def seed(self) -> int:
        """The seed that is kept."""
        return self.seeds[self.best]

    def in_words(self) -> str:
        """What was tried, kept and spent."""
        if not self.passes:
            return f"Nothing to choose by: the seed {self.seed} is kept, and no pass was spent."
        lines = [
            f"seed {seed}: {score:.3f}{' (kept)' if i == self.best else ''}"
            for i, (seed, score) in enumerate(zip(self.seeds, self.scores, strict=True))
        ]
        passes = "1 pass" if self.passes == 1 else f"{self.passes} passes"
        cost = f"Spent: {passes} of the conditional branch, ended after the last layer that is read, no gradient."
        return "\n".join([*lines, cost])


def tried_noises(
    model: Any,
    positive: Any,
    relations: PromptRelations,
    objective: Objective,
    latent: dict[str, Any],
    seed: int,
    count: int,
    progress: Callable[[], None] = lambda: None,
) -> FirstNoises:
    """Score the first noises of `count` seeds, the given one and those that follow from it, at the model's highest noise
    level.

    latent: the host's dict, samples (B, ...): the noises fit it. progress: called after each pass. With one seed, or no
    relation that the objective knows, no pass is spent. Raises SteeringError for a count out of range, a model that cannot
    be read, a classifier that does not fit it, and a conditioning of another prompt.
    """
    seeds = tuple(seed_of(seed, attempt) for attempt in range(checked_count(count)))
    located = check_fit(model, objective, SteeringPlan.preset("fast"))
    objective = reading_recommended(objective, model_family(model.model), [one.layer for one in located])
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    wanted = targets_of(relations, objective, samples.shape[0])
    if count == 1 or not wanted.targets[0]:
        return FirstNoises(seeds[:1], (1.0,), 0, 0)
    rows = latent.get("batch_index")
    noises = [comfy.sample.prepare_noise(samples, one, rows) for one in seeds]
    sampler = _Trying(relations, objective, wanted, noises, progress)
    guider = comfy.samplers.CFGGuider(without_steering(model))
    guider.set_conds(positive, positive)
    guider.set_cfg(1.0)
    highest = float(model.get_model_object("model_sampling").sigma_max)
    guider.sample(noises[0], samples, sampler, torch.tensor([highest, 0.0]), disable_pbar=True, seed=seed)
    assert sampler.table is not None
    means = sampler.table.mean(1, keepdim=True)
    return FirstNoises(seeds, tuple(means[:, 0].tolist()), best_of(means)[0], sampler.passes)


class _Trying(comfy.samplers.Sampler):
    """A "sampler" that reads each noise once and gives the latent back."""

    def __init__(
        self,
        relations: PromptRelations,
        objective: Objective,
        wanted: BatchTargets,
        noises: list[Tensor],
        progress: Callable[[], None],
    ) -> None:
        self.relations, self.wanted, self.noises, self.progress = relations, wanted, noises, progress
        self.objective = (
            objective if isinstance(objective, CombinedObjective) else CombinedObjective(objective)
        )
        self.table: Tensor | None = None
        self.passes = 0

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor,
        latent_image: Tensor, denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        wanted, sampling = self.wanted, model_wrap.inner_model.model_sampling
        whole = self.max_denoise(model_wrap, sigmas)
        with torch.inference_mode(False), torch.no_grad():
            level = for_autograd(sigmas[0])
            timestep = level * torch.ones(noise.shape[0], device=noise.device)
            latents = [
                for_autograd(sampling.noise_scaling(level, one.to(noise.device), latent_image, whole))
                for one in self.noises
            ]
            branch, weights = prompts_branch(
                self.relations, model_wrap, latents[0], timestep, extra_args, wanted.weights
            )
        targets = scoring_targets(wanted.targets, wanted.objects)
        info = StepInfo(0, 1000, float(sigmas[0]))
        read = evaluator(branch, self.objective, targets, weights, info)

        def evaluate(latent: Tensor, images: Any) -> Reading:
            comfy.model_management.throw_exception_if_processing_interrupted()
            reading = read(latent, images)
            self.progress()
            return reading

        # A pass has the rows of one noise: no more memory than the sampler's own passes take.
        self.table, self.passes = scored(latents, evaluate, targets, noise.shape[0])
        return latent_image
