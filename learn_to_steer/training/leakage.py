"""Does a classifier read the picture or the prompt? Its accuracy on maps recorded under right and under wrong relation
words (Learn-to-Steer, "relation leakage")."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..classifiers import RelationReader
from ..dataset import RecordedMaps


@dataclass(frozen=True)
class LeakageReport:
    """Accuracy on maps recorded under right and under wrong relation words, and how often the wrong word won.

    A classifier that leaks is good under right words and follows the wrong ones.
    """

    right: float
    wrong: float
    follows_wrong_word: float


def inputs(classifier: RelationReader, data: RecordedMaps) -> Tensor:
    """The maps of `data` as `classifier` wants them: (N, 2, C, S, S) float32."""
    card = classifier.card
    stack = data.stack.select(card.layers)
    stack = type(stack)(stack.layers, tuple(m.float() for m in stack.maps))
    return stack.stacked(card.map_size, card.renormalise, card.resize)


def predictions(classifier: RelationReader, data: RecordedMaps) -> Tensor:
    """(N,) int64: the most probable relation, as an index into `data.relations`."""
    columns = torch.tensor([data.relations.index(name) for name in classifier.relations])
    return columns[logits_of(classifier, inputs(classifier, data), data.timestep).argmax(1)]


def accuracy(classifier: RelationReader, data: RecordedMaps) -> float:
    """Share of samples whose relation *in the picture* the classifier reads."""
    return (predictions(classifier, data) == data.holds).float().mean().item()


def leakage(classifier: RelationReader, data: RecordedMaps) -> LeakageReport:
    """Does the classifier read the picture or the prompt? `data` must hold samples of both kinds."""
    wrong = data.where(~data.right_words)
    return LeakageReport(
        right=accuracy(classifier, data.where(data.right_words)),
        wrong=accuracy(classifier, wrong),
        follows_wrong_word=(predictions(classifier, wrong) == wrong.worded).float().mean().item(),
    )


def labels(classifier: RelationReader, data: RecordedMaps) -> Tensor:
    """(N,) int64: the column of the classifier's logits that is right for each sample."""
    columns = torch.tensor([classifier.relations.index(name) for name in data.relations])
    return columns[data.holds]


@torch.no_grad()
def logits_of(classifier: RelationReader, x: Tensor, timestep: Tensor) -> Tensor:
    """(N, relations) float32 of maps (N, 2, C, S, S), in evaluation mode, some at a time."""
    classifier.eval()
    parts = zip(x.split(512), timestep.split(512), strict=True)
    return torch.cat([classifier(maps, steps) for maps, steps in parts])
