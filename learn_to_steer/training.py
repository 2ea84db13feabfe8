"""Fit a relation classifier to recorded maps, and ask whether it reads the picture or the prompt.

As published: AdamW, cross-entropy against the relation that holds in the picture - under right and wrong words alike -,
halve the rate after 5 epochs without progress, stop after 10 (Learn-to-Steer, training details).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from .classifiers import RelationReader
from .dataset import RecordedMaps


@dataclass(frozen=True)
class FitOptions:
    """Learning rate, weight decay, batch size and limits of a fit; `patience` in epochs."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    batch: int = 64
    epochs: int = 60
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class FitReport:
    """What a fit did: epochs run, the best epoch and its validation accuracy."""

    epochs: int
    best_epoch: int
    validation_accuracy: float


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
    return stack.stacked(card.map_size, card.renormalise)


def fit(
    classifier: RelationReader,
    train: RecordedMaps,
    validation: RecordedMaps,
    options: FitOptions | None = None,
    progress: bool = True,
) -> FitReport:
    """Train in place; the weights of the epoch with the lowest validation loss stay, in evaluation mode."""
    options = options or FitOptions()
    x, y = inputs(classifier, train), _labels(classifier, train)
    vx, vy = inputs(classifier, validation), _labels(classifier, validation)
    torch.manual_seed(options.seed)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    halve = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    best_loss, best_epoch, best_state = float("inf"), 0, copy.deepcopy(classifier.state_dict())
    epoch = 0
    for epoch in tqdm(range(1, options.epochs + 1), desc="fit", disable=not progress):
        classifier.train()
        for rows in torch.randperm(len(y)).split(options.batch):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(classifier(x[rows], train.timestep[rows]), y[rows]).backward()
            optimizer.step()
        loss = F.cross_entropy(_logits(classifier, vx, validation.timestep), vy).item()
        halve.step(loss)
        if loss < best_loss - 1e-4:
            best_loss, best_epoch, best_state = loss, epoch, copy.deepcopy(classifier.state_dict())
        elif epoch - best_epoch >= options.patience:
            break
    classifier.load_state_dict(best_state)
    classifier.eval()
    return FitReport(epoch, best_epoch, accuracy(classifier, validation))


def predictions(classifier: RelationReader, data: RecordedMaps) -> Tensor:
    """(N,) int64: the most probable relation, as an index into `data.relations`."""
    columns = torch.tensor([data.relations.index(name) for name in classifier.relations])
    return columns[_logits(classifier, inputs(classifier, data), data.timestep).argmax(1)]


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


def _labels(classifier: RelationReader, data: RecordedMaps) -> Tensor:
    columns = torch.tensor([classifier.relations.index(name) for name in data.relations])
    return columns[data.holds]


@torch.no_grad()
def _logits(classifier: RelationReader, x: Tensor, timestep: Tensor) -> Tensor:
    classifier.eval()
    parts = zip(x.split(512), timestep.split(512), strict=True)
    return torch.cat([classifier(maps, steps) for maps, steps in parts])
