"""EmojiWorld's relation classifiers: which there are, how each is trained, and the ablation that chose the layers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ..classifiers import (
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    RelationReader,
    SymmetricConfig,
    SymmetricRelationClassifier,
    save_classifier,
)
from ..dataset import RecordedMaps
from ..hosts.diffusers import attention_layers, denoiser
from ..objectives import LearnedObjective
from ..steering import SteeringPlan
from ..training import FitOptions, FitReport, LeakageReport, fit, leakage
from . import STEPS, WEIGHTS, family_of, load_pipeline
from .obedience import Setting, position_cases, run, summarise
from .relation_data import recorded_parts, trained_sigmas, trained_steps
from .world import DIRECTIONS

Kind = Literal["symmetric", "mean", "official"]

CHOSEN_LAYERS: tuple[str, ...] | None = ("down.0.0", "up.1.0")
"""What the shipped classifiers read: the 16 x 16 layers whose maps say where the objects are, whatever the words say."""

LAYER_SETS: dict[str, tuple[str, ...] | None] = {
    "all": None,
    "down.0 (16 x 16)": ("down.0.0",),
    "down.1 (8 x 8)": ("down.1.0",),
    "mid (8 x 8)": ("mid.0",),
    "down + mid": ("down.0.0", "down.1.0", "mid.0"),
    "up.0.0 (8 x 8)": ("up.0.0",),
    "up.0 (8 x 8)": ("up.0.0", "up.0.1"),
    "up.1.0 (16 x 16)": ("up.1.0",),
    "up.1 (16 x 16)": ("up.1.0", "up.1.1"),
    "up": ("up.0.0", "up.0.1", "up.1.0", "up.1.1"),
    "down.0 + up.1.0 (chosen)": CHOSEN_LAYERS,
}

MMDIT_LAYERS = ("double.1", "double.2")
"""The first blocks of EmojiWorld-MMDiT that outline objects, which follow a wrong word less than later ones; a reading
ends there."""

MMDIT_LAYER_SETS: dict[str, tuple[str, ...] | None] = {
    "all": None,
    "double": ("double.0", "double.1", "double.2", "double.3"),
    **{name: (name,) for name in ("double.0", "double.1", "double.2", "double.3")},
    "double.1 + double.2 (chosen)": MMDIT_LAYERS,
    "single": tuple(f"single.{i}" for i in range(6)),
    "first two": ("double.0", "double.1"),
}

BatchTargets = dict[str, tuple[Kind, tuple[str, ...] | None]]


def shipped(model: str = "unet") -> BatchTargets:
    """The classifiers of one of EmojiWorld's models: name -> kind and layers. For the transformer there is none of the
    published architecture, which takes minutes to fit and reads no better; `ablate` shows it."""
    if model == "unet":
        return {f"emojiworld-{kind}": (kind, CHOSEN_LAYERS) for kind in ("symmetric", "mean", "official")}
    return {
        "emojiworld-mmdit-symmetric": ("symmetric", MMDIT_LAYERS),
        "emojiworld-mmdit-all": ("symmetric", None),
        "emojiworld-mmdit-mean": ("mean", MMDIT_LAYERS),
    }


@dataclass(frozen=True)
class Trained:
    """A fitted classifier and how it did on pairs of objects that it has not seen."""

    classifier: RelationReader
    fit: FitReport
    test: LeakageReport


def build(kind: Kind, layers: tuple[str, ...] | None, pipe) -> RelationReader:
    """An untrained classifier. "official": the published architecture with the sizes of its SD configuration."""
    present = attention_layers(denoiser(pipe))
    card = ClassifierCard(
        relations=tuple(d.value for d in DIRECTIONS),
        channels=sum(layer.heads for layer in present if layers is None or layer.name in layers),
        map_size=16 if kind == "official" else 8,
        layers=layers,
        timesteps=trained_steps(pipe),
        num_timesteps=STEPS,
        sigmas=trained_sigmas(pipe),
        family=family_of(pipe),
        renormalise="always",
    )
    if kind == "official":
        return RelationClassifier(card, OfficialConfig())
    return SymmetricRelationClassifier(card, SymmetricConfig(mix="mean" if kind == "mean" else "learnt"))


def train(
    kind: Kind,
    layers: tuple[str, ...] | None,
    parts: dict[str, RecordedMaps],
    pipe,
    wrong_words: bool = True,
    seed: int = 0,
) -> Trained:
    """Fit one classifier. ``wrong_words=False`` leaves the samples under wrong words out of the training."""
    import torch

    torch.manual_seed(seed)
    classifier = build(kind, layers, pipe)
    kept = parts["train"] if wrong_words else parts["train"].where(parts["train"].right_words)
    validation = parts["validation"]
    validation = validation if wrong_words else validation.where(validation.right_words)
    options = FitOptions(learning_rate=1e-4 if kind == "official" else 1e-3, seed=seed)
    report = fit(classifier, kept, validation, options)
    return Trained(classifier, report, leakage(classifier, parts["test"]))


def train_shipped(
    weights: Path, destination: Path, work: Path, scenes: int = 1000, model: str = "unet"
) -> dict[str, Trained]:
    """Record the maps (once), fit the classifiers of a model and write them with their figures to ``destination``."""
    parts = recorded_parts(weights, work, scenes, model)
    pipe = load_pipeline(weights, model=model)
    destination.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, (kind, layers) in shipped(model).items():
        result = train(kind, layers, parts, pipe)
        about = {"architecture": kind, "samples": len(parts["train"]), "fit": asdict(result.fit)}
        about |= {"unseen pairs": asdict(result.test)}
        result.classifier.card = replace(result.classifier.card, about=json.dumps(about))
        save_classifier(result.classifier, destination / f"{name}.safetensors")
        results[name] = result
    return results


def ablate(
    work: Path,
    weights: Path = WEIGHTS,
    scenes: int = 1000,
    images: int = 88,
    seed: int = 0,
    model: str = "unet",
) -> list[dict[str, object]]:
    """Which layers carry position, and which classifier steers best? One row per classifier: what it reads, how well
    under right and wrong words, and the relation accuracy to which the plan "fast" steers with it.

    All on the validation pairs: what is chosen here is then measured by ``evaluate`` on the test pairs.
    """
    parts = recorded_parts(weights, work, scenes, model)
    pipe = load_pipeline(weights, model=model)
    sets, chosen = (LAYER_SETS, CHOSEN_LAYERS) if model == "unet" else (MMDIT_LAYER_SETS, MMDIT_LAYERS)
    cases = position_cases("validation", images, seed)
    variants: list[tuple[str, Kind, tuple[str, ...] | None, bool]] = [
        (f"symmetric, {name}", "symmetric", layers, True) for name, layers in sets.items()
    ]
    variants += [
        ("mean map, chosen layers", "mean", chosen, True),
        ("symmetric, chosen layers, right words only", "symmetric", chosen, False),
        ("published, chosen layers", "official", chosen, True),
        ("published, chosen layers, right words only", "official", chosen, False),
    ]
    trained = {
        name: train(kind, layers, parts, pipe, wrong_words) for name, kind, layers, wrong_words in variants
    }
    fast = SteeringPlan.preset("fast")
    settings = [Setting("plain", None, None)]
    settings += [Setting(name, LearnedObjective(t.classifier), fast) for name, t in trained.items()]
    outcome = summarise(run(pipe, cases, settings, work / "ablation"))
    rows = []
    for setting in settings:
        row: dict[str, object] = {"classifier": setting.name}
        if setting.name in trained:
            read = leakage(trained[setting.name].classifier, parts["validation"])
            row |= {"right": read.right, "wrong": read.wrong, "follows": read.follows_wrong_word}
        row |= {k: outcome[setting.name][k] for k in ("relation", "given_present", "present", "cost")}
        rows.append(row)
    return rows
