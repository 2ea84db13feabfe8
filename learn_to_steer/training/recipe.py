"""A classifier for a model: built, fitted to its recorded maps, judged, and described on its card."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from ..dataset import Job, RecordedMaps, ShardPart, Work, map_data, trained_sigmas, trained_steps
from ..hosts.protocol import MapRecorder
from .fit import EpochDone, FitOptions, FitReport, fit
from .leakage import LeakageReport, as_json, errors_in_words, leakage
from .pilot import of_layers

Kind = Literal["symmetric", "mean", "official"]
"""Our architecture with a learnt mix of channels, ours on their plain mean, or the published one."""

KINDS: tuple[Kind, ...] = ("symmetric", "mean", "official")

MAP_SIZE = {"symmetric": 8, "mean": 8, "official": 16}

LEARNING_RATE = {"symmetric": 1e-3, "mean": 1e-3, "official": 1e-4}


@dataclass(frozen=True)
class Trained:
    """A fitted classifier and how it does on pairs of objects that it has not seen."""

    classifier: RelationReader
    fit: FitReport
    test: LeakageReport


def classifier_of(kind: Kind, card: ClassifierCard) -> RelationReader:
    """An untrained classifier. "official": the published architecture with the sizes of its SD configuration."""
    if kind == "official":
        return RelationClassifier(card, OfficialConfig())
    return SymmetricRelationClassifier(card, SymmetricConfig(mix="mean" if kind == "mean" else "learnt"))


def build(
    kind: Kind,
    layers: tuple[str, ...] | None,
    relations: Sequence[str],
    present: Sequence[AttentionLayer],
    recorder: MapRecorder,
    family: str,
) -> RelationReader:
    """An untrained classifier. layers: what it reads, None = all of ``present``, the model's attentions."""
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
    return classifier_of(kind, card)


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
    classifier = build(kind, layers, kept.relations, map_data(kept).layers, recorder, family)
    if not wrong_words:
        kept, validation = (data.where(data.right_words) for data in (kept, validation))
    report = fit(classifier, kept, validation, FitOptions(learning_rate=LEARNING_RATE[kind], seed=seed))
    return Trained(classifier, report, leakage(classifier, parts["test"]))


def card_of(job: Job, kind: Kind) -> ClassifierCard:
    """The card of a classifier that reads everything that was recorded, at the size of its kind or what there is."""
    return ClassifierCard(
        relations=job.relations,
        channels=job.channels,
        map_size=min(MAP_SIZE[kind], job.map_size),
        layers=job.layer_names,
        timesteps=job.timesteps,
        num_timesteps=job.steps,
        sigmas=job.sigmas,
        family=job.family,
        renormalise="always",
        resize="area",
        layout=job.layout,
    )


def train_from_shards(
    work: Work,
    kind: Kind = "symmetric",
    layers: tuple[str, ...] | None = None,
    *,
    wrong_words: bool = True,
    seed: int = 0,
    device: str = "cpu",
    options: FitOptions | None = None,
    on_epoch: EpochDone | None = None,
    on_batch: Callable[[], None] | None = None,
) -> Trained:
    """Fit a classifier to a recording, batches out of its shards, and judge it on its unseen pairs; its card says all about
    it. layers: names, None = all that were recorded. options: None = those of its kind.

    Raises SteeringError for a recording that is not whole, and as `fit`.
    """
    job = work.job()
    card = of_layers(card_of(job, kind), layers or job.layer_names, job.layers)
    options = replace(options or FitOptions(learning_rate=LEARNING_RATE[kind]), seed=seed)
    kept, held_out = ShardPart(work, "train", not wrong_words), ShardPart(work, "validation", not wrong_words)
    torch.manual_seed(seed)
    classifier = classifier_of(kind, card).to(device)
    report = fit(classifier, kept, held_out, options, progress=False, on_epoch=on_epoch, on_batch=on_batch)
    trained = Trained(classifier, report, leakage(classifier, ShardPart(work, "test")))
    classifier.cpu()
    describe(trained, kind, work, wrong_words, options)
    return trained


def describe(trained: Trained, kind: Kind, work: Work, wrong_words: bool, options: FitOptions) -> None:
    """Write on the classifier's card what it was trained on and how it does."""
    job, summary = work.job(), work.summary()
    ways = {
        "noising": "noised",
        "euler": "inverted (one implicit Euler step each)",
        "fixed-point": "inverted (five fixed-point iterations)",
        "rf": "inverted (RF-Inversion)",
    }
    words = "right and wrong" if job.how.dual and wrong_words else "right"
    source = str(job.sources["train"].get("source", "pictures"))
    about: dict[str, Any] = {
        "architecture": kind,
        "trained on": f"{source}, {ways[job.how.way]} under {words} relation words",
        "samples": job.counts["train"],
        "fit": {k: v for k, v in asdict(trained.fit).items() if k != "losses"},
        "options": asdict(options),
        "unseen pairs": as_json(trained.test),
        "recording": {
            "model": job.model,
            "seed": job.seed,
            "way": job.how.way,
            "records": summary.records,
            "psnr": None if summary.psnr is None else round(summary.psnr, 2),
            "left out": summary.damage.counts,
        },
    }
    add_to_card(trained.classifier, about)


def fitted_in_words(trained: Trained) -> str:
    """How a fit went, in two sentences."""
    test = trained.test
    return (
        f"Fitted in {trained.fit.epochs} epochs. On pairs of names that it has not seen it reads {test.right:.1%} of "
        f"relations under right words and {test.wrong:.1%} under wrong ones; {errors_in_words(as_json(test)['errors'])}."
    )


def add_to_card(classifier: RelationReader, facts: Mapping[str, Any]) -> None:
    """More facts on the classifier's card, beside those that are there."""
    there = json.loads(classifier.card.about) if classifier.card.about else {}
    classifier.card = replace(classifier.card, about=json.dumps({**there, **facts}))
