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
from ..guidance import GuidancePlan, Method
from ..inversion import Slope
from ..language import RelationTriplet
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
    a batch, those of steering among them; None where the host does not tell. seconds: the wall time, where the host tells
    it better than a clock around the call.
    """

    pictures: np.ndarray
    trace: SteeringTrace
    model_calls: int | None
    seconds: float | None = None


class Sampler(Protocol):
    """A model under some host that draws prompts from seeds, plainly or steered."""

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        objective: Objective | None = None,
        plan: SteeringPlan | None = None,
        steps: int | None,
        guidance: float | None,
        triplets: Sequence[Sequence[RelationTriplet]] | None = None,
        method: Method = "gradient",
        attention: GuidancePlan | None = None,
    ) -> Drawn:
        """One picture a prompt. objective: None = no gradient. steps, guidance: None = the model's usual ones. triplets:
        per prompt, the relations to steer instead of those that it states. method, attention: how it is steered, and the
        plan of attention guidance, None = the method's own."""

    def digest(self) -> str:
        """SHA-256 of the denoiser's weights: pictures of two samplers with the same digest may be compared."""


class MapRecorder(Protocol):
    """A model under some host whose maps can be recorded for pictures that it did not draw.

    Latents (B, ...) are in one layout of the host's own throughout, and in the sense of `inversion`.
    """

    steps: int
    """Steps of the schedule that maps are recorded on."""

    family: str
    """Model family, see `ClassifierCard.family`."""

    flow: bool
    """Whether it is a flow model; see `inversion.Path`."""

    size: tuple[int, int]
    """Height and width of the pictures, in pixels."""

    layers: list[AttentionLayer]
    """Every attention that can be read, in execution order."""

    def digest(self) -> str:
        """SHA-256 of the denoiser's weights: maps of two recorders with the same digest may be mixed."""

    def sigmas(self) -> list[float]:
        """Noise level of each step, see `objectives.StepInfo`."""

    def encode(self, pictures: np.ndarray) -> Tensor:
        """(B, height, width, 3) uint8 -> clean latents, float32."""

    def decode(self, latents: Tensor) -> np.ndarray:
        """Clean latents -> (B, height, width, 3) uint8."""

    def slope(self, prompts: Sequence[str]) -> Slope:
        """How latents change with the noise level under one prompt each, without negatives; float32."""

    def model_input(self, latents: Tensor, steps: Tensor) -> Tensor:
        """Latents at a step (B,) each -> as the model is given them."""

    def maps(
        self,
        noisy: Tensor,
        steps: Tensor,
        prompts: Sequence[str],
        names: Sequence[tuple[str, str]],
        layers: tuple[str, ...] | None = None,
    ) -> MapStack:
        """Maps of both named objects, one forward pass on the conditional branch. noisy: as `model_input` gives it. steps
        (B,) int64. layers: names, None = all; the pass ends after the last of them.

        Raises SteeringError where the words of a prompt cannot be found in the model's text.
        """
