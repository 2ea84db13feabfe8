"""Fit a relation classifier to recorded maps.

As published: AdamW, cross-entropy against the relation that holds in the picture - under right and wrong words alike -,
halve the rate after 5 epochs without progress, stop after 10 (Learn-to-Steer, training details).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..classifiers import RelationReader
from ..dataset import RecordedMaps
from .leakage import accuracy, inputs, labels, logits_of


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


def fit(
    classifier: RelationReader,
    train: RecordedMaps,
    validation: RecordedMaps,
    options: FitOptions | None = None,
    progress: bool = True,
) -> FitReport:
    """Train in place; the weights of the epoch with the lowest validation loss stay, in evaluation mode."""
    options = options or FitOptions()
    x, y = inputs(classifier, train), labels(classifier, train)
    vx, vy = inputs(classifier, validation), labels(classifier, validation)
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
        loss = F.cross_entropy(logits_of(classifier, vx, validation.timestep), vy).item()
        halve.step(loss)
        if loss < best_loss - 1e-4:
            best_loss, best_epoch, best_state = loss, epoch, copy.deepcopy(classifier.state_dict())
        elif epoch - best_epoch >= options.patience:
            break
    classifier.load_state_dict(best_state)
    classifier.eval()
    return FitReport(epoch, best_epoch, accuracy(classifier, validation))
