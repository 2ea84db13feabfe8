"""What a host lends the engine for one batch of prompts, and what steering makes of it.

A host says which attentions its model has and where a word's tokens are, and runs one forward pass on the conditional
branch with Q and K handed to a recorder. `evaluator` turns that into what `steering.steer` wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ..attention import AttentionLayer, MapStack
from ..objectives import Objective, Reading, RelationTarget, StepInfo
from ..steering import Evaluate


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
