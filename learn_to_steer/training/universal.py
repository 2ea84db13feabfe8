"""A classifier of mean maps that fits every model: what it is, and what it is shown in training.

It reads the mean over whatever attention there is, says nothing of noise levels or layers, and is symmetric by
construction. It is trained on recorded maps of models and on maps that no model made (`synthetic`), both with what
differs between models laid over them (`augment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack, normalised, resized
from ..classifiers import SYMMETRIC_RELATIONS, ClassifierCard, SymmetricConfig, SymmetricRelationClassifier
from ..dataset import RecordedMaps
from .augment import augmented, mixed, scaled
from .synthetic import synthetic_pairs

MAP_SIZE = 8
"""Side of the maps that the classifier is given; what a relation needs is coarse, and most models' early maps are small."""

LAST_SHARE = 0.5
"""The part of a model's schedule whose maps are recorded, and beyond which the classifier is not believed."""

WORKING_SIZE = 16
"""Side of the grid on which maps are mixed and changed before they are brought to MAP_SIZE."""


def build_universal() -> SymmetricRelationClassifier:
    """The untrained classifier: any model, any number of channels, any schedule."""
    card = ClassifierCard(
        relations=SYMMETRIC_RELATIONS,
        channels=1,
        map_size=MAP_SIZE,
        num_timesteps=1,
        last_share=LAST_SHARE,
        family="any",
        renormalise="always",
        resize="area",
    )
    return SymmetricRelationClassifier(card, SymmetricConfig(mix="mean", hidden=(192, 96)))


@dataclass(frozen=True)
class ModelMaps:
    """All recorded maps of one model on one grid. channels (N, 2, C, S, S) float16, each with a mean of 1. layer_of (C,):
    number of each channel's layer. relation (N,): of the picture, as an index into SYMMETRIC_RELATIONS."""

    channels: Tensor
    layer_of: Tensor
    relation: Tensor

    @classmethod
    def of(cls, recorded: RecordedMaps) -> ModelMaps:
        """Raises SteeringError, as `RecordedMaps` with other relations than the four would in `fit`."""
        stack = recorded.stack
        parts = [
            torch.cat([scaled(resized(some.float(), WORKING_SIZE)).half() for some in layer.split(512)])
            for layer in stack.maps
        ]
        layer_of = torch.cat([torch.full((layer.heads,), i) for i, layer in enumerate(stack.layers)])
        columns = torch.tensor([SYMMETRIC_RELATIONS.index(name) for name in recorded.relations])
        return cls(torch.cat(parts, dim=2), layer_of, columns[recorded.holds])

    def some(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(count, 2, S, S) mean maps over some layers and heads of samples drawn at random, and their relations."""
        rows = torch.randint(len(self.relation), (count,), generator=generator)
        return mixed(self.channels[rows].float(), self.layer_of, generator), self.relation[rows]


def universal_loss(
    classifier: SymmetricRelationClassifier, models: Sequence[ModelMaps], batch: int, rng: np.random.Generator
) -> Tensor:
    """Cross-entropy over one batch of fresh samples: half of them synthetic, the rest in equal parts of every model."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    counts = [batch // 2 // len(models)] * len(models)
    parts = [maps.some(n, generator) for maps, n in zip(models, counts, strict=True)]
    parts.append(synthetic_pairs(batch - sum(counts), WORKING_SIZE, generator))
    maps, relation = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    shuffled = torch.randperm(len(relation), generator=generator)
    maps, relation = maps[shuffled], relation[shuffled]
    pairs = augmented(maps, relation, classifier.card.map_size, generator)[:, :, None]
    return F.cross_entropy(classifier(pairs, torch.zeros(len(pairs), dtype=torch.long)), relation)


@torch.no_grad()
def share_read(
    classifier: SymmetricRelationClassifier, recorded: RecordedMaps, layers: Sequence[str] | None
) -> float:
    """Share of recorded samples whose relation it reads off the mean map of these layers, unchanged."""
    stack: MapStack = recorded.stack.select(layers)
    maps = [normalised(resized(m.float(), classifier.card.map_size, "area")) for m in stack.maps]
    classifier.eval()
    parts = torch.cat(maps, dim=2).split(512)
    logits = torch.cat([classifier(some, torch.zeros(len(some), dtype=torch.long)) for some in parts])
    columns = torch.tensor([SYMMETRIC_RELATIONS.index(name) for name in recorded.relations])
    return (logits.argmax(1) == columns[recorded.holds]).float().mean().item()
