"""Fit a relation classifier to recorded maps.

As published: AdamW, cross-entropy against the relation that holds in the picture - under right and wrong words alike -,
halve the rate after 5 epochs without progress, stop after 10 (Learn-to-Steer, training details).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ..classifiers import RelationReader
from ..dataset import Inputs, MapData, RecordedMaps, map_data
from ..errors import SteeringError
from .leakage import AT_ONCE, accuracy, device_of, relation_columns


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
    """What a fit did: epochs run, the best epoch and its validation accuracy. losses: per epoch, of training (mean over its
    batches) and of validation."""

    epochs: int
    best_epoch: int
    validation_accuracy: float
    losses: tuple[tuple[float, float], ...] = ()


EpochDone = Callable[[int, int, float, float], None]
"""(epoch, most epochs, training loss, validation loss). What it raises ends the fit."""


def fit(
    classifier: RelationReader,
    train: MapData | RecordedMaps,
    validation: MapData | RecordedMaps,
    options: FitOptions | None = None,
    progress: bool = True,
    on_epoch: EpochDone | None = None,
    on_batch: Callable[[], None] | None = None,
) -> FitReport:
    """Train in place, on the classifier's device; the weights of the epoch with the lowest validation loss stay, in
    evaluation mode.

    on_batch: called before each batch; what it raises ends the fit. Of shards only some are in memory at a time.
    Raises SteeringError where a part has no record.
    """
    options = options or FitOptions()
    train, validation = map_data(train), map_data(validation)
    if not len(train) or not len(validation):
        raise SteeringError(
            f"Expected records to train on and to validate by, got {len(train)} and {len(validation)}; record more samples."
        )
    inputs, held_out = train.inputs(classifier.card), validation.inputs(classifier.card)
    columns, device = relation_columns(classifier, train.relations), device_of(classifier)
    torch.manual_seed(options.seed)
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    halve = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    best_loss, best_epoch, best_state = float("inf"), 0, copy.deepcopy(classifier.state_dict())
    epoch, losses = 0, []
    for epoch in tqdm(range(1, options.epochs + 1), desc="fit", disable=not progress):
        classifier.train()
        total = count = 0.0
        for batch in inputs.batches(options.batch, options.seed * 1_000_003 + epoch):
            if on_batch is not None:
                on_batch()
            optimizer.zero_grad(set_to_none=True)
            logits = classifier(batch.maps.to(device), batch.timestep.to(device))
            loss = F.cross_entropy(logits, columns[batch.holds].to(device))
            loss.backward()
            optimizer.step()
            total, count = total + loss.item() * len(batch), count + len(batch)
        held_loss = validation_loss(classifier, held_out, columns)
        losses.append((total / max(1, count), held_loss))
        halve.step(held_loss)
        if held_loss < best_loss - 1e-4:
            best_loss, best_epoch, best_state = held_loss, epoch, copy.deepcopy(classifier.state_dict())
        if on_epoch is not None:
            on_epoch(epoch, options.epochs, *losses[-1])
        if epoch - best_epoch >= options.patience:
            break
    classifier.load_state_dict(best_state)
    classifier.eval()
    return FitReport(epoch, best_epoch, accuracy(classifier, validation), tuple(losses))


@torch.no_grad()
def validation_loss(classifier: RelationReader, inputs: Inputs, columns: Tensor) -> float:
    """Mean cross-entropy over all records, in evaluation mode. columns: see `relation_columns`."""
    classifier.eval()
    device, total, count = device_of(classifier), 0.0, 0
    for batch in inputs.batches(AT_ONCE):
        logits = classifier(batch.maps.to(device), batch.timestep.to(device))
        total += F.cross_entropy(logits, columns[batch.holds].to(device), reduction="sum").item()
        count += len(batch)
    return total / max(1, count)
