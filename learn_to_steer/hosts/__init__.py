"""The only rooms that know a host. This file is what they have in common.

A host lends the engine its model for a moment: which attentions it has, where a word's tokens are, and one
forward pass on the conditional branch with Q and K handed to a recorder. `evaluator` turns that into what
`steering.steer` wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ..attention import AttentionLayer, MapStack, token_weights
from ..errors import SteeringError
from ..language import RelationTriplet
from ..objectives import Objective, Reading, RelationTarget, StepInfo
from ..steering import Evaluate

UNET_FAMILIES = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
"""Model family of a UNet by the width of its text states."""


FLUX_LAYOUT = (19, 38, 24)
"""Double blocks, single blocks and heads of FLUX.1 schnell and dev: 1368 channels."""


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
class Wanted:
    """What a batch of prompts asks for, in the engine's terms.

    targets: per image, its steerable relations. objects: per image, the words of each object slot. weights
    (B, O, T).
    """

    targets: list[list[RelationTarget]]
    objects: list[list[str]]
    weights: Tensor


def wanted_relations(
    triplets: Sequence[Sequence[RelationTriplet]],
    objective: Objective,
    positions: Callable[[int, tuple[int, int]], list[int]],
    length: int,
) -> Wanted:
    """Triplets of each prompt -> targets and token weights. One object slot per noun, however often it is
    related.

    Relations the objective does not know are left out. positions(image, span) -> token positions of the noun
    at these characters of the image's prompt. length: T. Raises SteeringError as `positions` does.
    """
    targets: list[list[RelationTarget]] = []
    objects: list[list[str]] = []
    tokens: list[list[list[int]]] = []
    for image, of_image in enumerate(triplets):
        slots: dict[tuple[int, int], int] = {}
        words: list[str] = []
        wanted: list[RelationTarget] = []
        for triplet in of_image:
            if not knows(objective, triplet.relation.value):
                continue
            for span, text in (
                (triplet.subject_noun, triplet.subject),
                (triplet.object_noun, triplet.object),
            ):
                if span not in slots:
                    slots[span] = len(slots)
                    words.append(text)
            wanted.append(
                RelationTarget(
                    slots[triplet.subject_noun], slots[triplet.object_noun], triplet.relation.value
                )
            )
        targets.append(wanted)
        objects.append(words)
        tokens.append([positions(image, span) for span in slots])
    return Wanted(targets, objects, token_weights(tokens, length))


def knows(objective: Objective, relation: str) -> bool:
    """Whether the objective can steer towards this relation."""
    try:
        objective.check([[RelationTarget(0, 1, relation)]])
    except SteeringError:
        return False
    return True


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """No parameter of `model` asks for a gradient inside; afterwards each is as it was."""
    asking = [p for p in model.parameters() if p.requires_grad]
    for p in asking:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in asking:
            p.requires_grad_(True)


@contextmanager
def hooked(handles: list[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    """Remove these hooks at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
