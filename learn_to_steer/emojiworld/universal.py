"""The classifier that fits every model, trained on the recorded maps of both EmojiWorlds and on synthetic ones.

Left out of one model's maps it shows what it does on a model that it has never seen; such a variant does not ship.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ..classifiers import RelationReader, save_classifier, write_card
from ..dataset import RecordedMaps
from ..hosts.recommended import recommended_layers
from ..training import LeakageReport, as_json, leakage
from ..training.universal import ModelMaps, build_universal, universal_loss
from . import FAMILIES
from .fitting import TrainingRun, fit
from .scenes import recorded_parts

LEARNING_RATE = 2e-3
"""Of the shipped classifier, whose steps and batch are the defaults of `learn-to-steer emojiworld train universal`."""


def train_universal(
    run: TrainingRun, weights: Path, file: Path, leave_out: str | None = None, scenes: int = 1000
) -> dict[str, LeakageReport] | None:
    """Record the maps of each model (once) into the run's folder, train, and write the classifier and its card.

    leave_out: a model of `FAMILIES` whose maps take no part in the training. Returns how it reads the unseen pairs of each
    model, or None in all processes but the first.
    """
    parts = {model: recorded_parts(weights, run.work, scenes, model) for model in FAMILIES}
    maps = [ModelMaps.of(parts[model]["train"]) for model in FAMILIES if model != leave_out]
    torch.manual_seed(run.seed)
    classifier = build_universal()
    average = copy.deepcopy(classifier)
    name = "universal" if leave_out is None else f"universal-without-{leave_out}"
    first = fit(
        name,
        run,
        classifier.train(),
        lambda _, rng: universal_loss(classifier, maps, run.batch, rng),
        ema=average,
        weight_decay=0.02,
    )
    if not first:
        return None
    read = {model: _read(average.eval(), parts[model]["test"], FAMILIES[model]) for model in FAMILIES}
    about = {
        "architecture": "symmetric, mean map",
        "trained on": _trained_on([FAMILIES[model] for model in FAMILIES if model != leave_out]),
        "samples": run.steps * run.batch,
        "unseen pairs": {FAMILIES[model]: as_json(report) for model, report in read.items()},
    }
    average.card = replace(average.card, about=json.dumps(about))
    file.parent.mkdir(parents=True, exist_ok=True)
    save_classifier(average, file)
    write_card(average, file)
    return read


def _read(classifier: RelationReader, recorded: RecordedMaps, family: str) -> LeakageReport:
    """How it reads recorded maps on the layers recommended for their family."""
    there = copy.deepcopy(classifier)
    there.card = replace(there.card, layers=recommended_layers(family, recorded.stack.layers))
    stepless = replace(recorded, timestep=recorded.timestep * 0)
    return leakage(there, stepless)


def _trained_on(families: Sequence[str]) -> str:
    return (
        f"inverted scenes of {' and '.join(families)}, any of their layers and heads, and as many synthetic pairs of maps, "
        "all with the differences between models laid over them"
    )
