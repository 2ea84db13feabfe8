"""What a host lends the engine for one batch of prompts, and what steering makes of it.

A host says which attentions its model has and where a word's tokens are, and runs one forward pass on the conditional
branch with Q and K handed to a recorder. `evaluator` turns that into what `steering.steer` wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from ..attention import AttentionLayer, MapStack
from ..objectives import Objective, Reading, RelationTarget, StepInfo
from ..steering import Evaluate, SteeringPlan, SteeringTrace


class Host(Protocol):
    """A model under some host, set up for the prompts of one batch."""

    family: str
    """Model family, see `ClassifierCard.family`."""

    layers: list[AttentionLayer]
    """Every attention that can be read, in execution order."""

    def read(
        self,
        latent: Tensor,
        images: Sequence[int],
        step: StepInfo,
        weights: Tensor,
        layers: tuple[str, ...] | None,
    ) -> MapStack:
        """One conditional forward pass of these images at this step, ended after the last of the wanted
        layers.

        latent (b, ...): in model-input space, may require a gradient. weights (b, O, T): tokens of the
        objects. layers: names, None = all. The model is left as it was found, also after an exception.
        """


def evaluator(
    host: Host,
    objective: Objective,
    targets: Sequence[Sequence[RelationTarget]],
    weights: Tensor,
    step: StepInfo,
) -> Evaluate:
    """What `steer` calls: read the maps of some images, ask the objective. weights (B, O, T) of the whole
    batch."""

    def evaluate(latent: Tensor, images: Sequence[int]) -> Reading:
        maps = host.read(latent, images, step, weights[list(images)], objective.layers)
        return objective(maps, [targets[i] for i in images], step)

    return evaluate


@dataclass(frozen=True)
class Drawn:
    """What a host drew for a batch of prompts.

    pictures (B, height, width, 3) uint8. trace: what steering did. model_calls: forward passes of the denoiser, each over
    a batch, those of steering among them.
    """

    pictures: np.ndarray
    trace: SteeringTrace
    model_calls: int


class Sampler(Protocol):
    """A model under some host that draws prompts from seeds, plainly or steered."""

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        objective: Objective | None = None,
        plan: SteeringPlan | None = None,
        steps: int,
        guidance: float | None,
    ) -> Drawn:
        """One picture a prompt. objective: None = plain. guidance: None = the model's usual scale."""

    def digest(self) -> str:
        """SHA-256 of the denoiser's weights: pictures of two samplers with the same digest may be compared."""


class MapRecorder(Protocol):
    """A model under some host whose maps can be recorded for pictures that it did not draw."""

    steps: int
    """Steps of the schedule that maps are recorded on."""

    def encode(self, pictures: np.ndarray) -> Tensor:
        """(B, height, width, 3) uint8 -> clean latents (B, channels, h, w)."""

    def signal(self) -> list[float]:
        """Per step of the schedule, the share of the clean latent that is left in what the model is given."""

    def sigmas(self) -> list[float]:
        """Noise level of each step, see `objectives.StepInfo`."""

    def noised(self, latents: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """Latents brought to the noise level of a step (B,) each, as the model is given them."""

    def inverted(self, latents: Tensor, prompts: Sequence[str]) -> Tensor:
        """(steps, B, ...): what the model is given at each step of a run that ends at these latents; see `inversion`."""

    def maps(
        self, noisy: Tensor, steps: Tensor, prompts: Sequence[str], names: Sequence[tuple[str, str]]
    ) -> MapStack:
        """Maps of both named objects on every layer, one forward pass on the conditional branch."""
