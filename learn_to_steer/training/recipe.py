"""A classifier of a kind, built for a model and fitted to its recorded maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from ..attention import AttentionLayer
from ..classifiers import (
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    RelationReader,
    SymmetricConfig,
    SymmetricRelationClassifier,
)
from ..dataset import RecordedMaps
from ..dataset.recording import trained_sigmas, trained_steps
from ..hosts.protocol import MapRecorder
from .fit import FitOptions, FitReport, fit
from .leakage import LeakageReport, leakage

Kind = Literal["symmetric", "mean", "official"]
"""Our architecture with a learnt mix of channels, ours on their plain mean, or the published one."""

MAP_SIZE = {"symmetric": 8, "mean": 8, "official": 16}

LEARNING_RATE = {"symmetric": 1e-3, "mean": 1e-3, "official": 1e-4}


@dataclass(frozen=True)
class Trained:
    """A fitted classifier and how it does on pairs of objects that it has not seen."""

    classifier: RelationReader
    fit: FitReport
    test: LeakageReport


def build(
    kind: Kind,
    layers: tuple[str, ...] | None,
    relations: Sequence[str],
    present: Sequence[AttentionLayer],
    recorder: MapRecorder,
    family: str,
) -> RelationReader:
    """An untrained classifier. layers: what it reads, None = all of ``present``, the model's attentions. "official": the
    published architecture with the sizes of its SD configuration."""
    card = ClassifierCard(
        relations=tuple(relations),
        channels=sum(layer.heads for layer in present if layers is None or layer.name in layers),
        map_size=MAP_SIZE[kind],
        layers=layers,
        timesteps=trained_steps(recorder),
        num_timesteps=recorder.steps,
        sigmas=trained_sigmas(recorder),
        family=family,
        renormalise="always",
        resize="area",
    )
    if kind == "official":
        return RelationClassifier(card, OfficialConfig())
    return SymmetricRelationClassifier(card, SymmetricConfig(mix="mean" if kind == "mean" else "learnt"))


def train(
    kind: Kind,
    layers: tuple[str, ...] | None,
    parts: Mapping[Any, RecordedMaps],
    recorder: MapRecorder,
    family: str,
    wrong_words: bool = True,
    seed: int = 0,
) -> Trained:
    """Fit one classifier to the parts "train", "validation" and "test". ``wrong_words=False`` leaves the samples under
    wrong words out of the training."""
    torch.manual_seed(seed)
    kept, validation = parts["train"], parts["validation"]
    classifier = build(kind, layers, kept.relations, kept.stack.layers, recorder, family)
    if not wrong_words:
        kept, validation = (data.where(data.right_words) for data in (kept, validation))
    report = fit(classifier, kept, validation, FitOptions(learning_rate=LEARNING_RATE[kind], seed=seed))
    return Trained(classifier, report, leakage(classifier, parts["test"]))
