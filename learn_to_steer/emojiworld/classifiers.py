"""EmojiWorld's relation classifiers: which there are, how each is trained, and the ablation that chose the layers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from ..classifiers import save_classifier, write_card
from ..evaluation.run import Setting, run
from ..evaluation.tables import summarise
from ..hosts.diffusers import PipelineSampler
from ..objectives import LearnedObjective
from ..steering import SteeringPlan
from ..training import Kind, Trained, as_json, leakage, train
from . import GUIDANCE, STEPS, WEIGHTS, family_of, load_pipeline
from .judge import EmojiWorldDetector
from .prompts import one_relation
from .scenes import recorded_parts, recorder_of

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
"""The first blocks of EmojiWorld-MMDiT that outline objects, which follow a wrong word less than later ones; an evaluation
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


TRAINED_ON = "rendered scenes of two emoji, inverted under right and under wrong relation words"


def shipped(model: str = "unet") -> BatchTargets:
    """The classifiers of one of EmojiWorld's models: name -> kind and layers. There is none of the published architecture,
    which takes minutes to fit and reads no better; `ablate` shows it."""
    if model == "unet":
        return {f"emojiworld-{kind}": (kind, CHOSEN_LAYERS) for kind in ("symmetric", "mean")}
    return {
        "emojiworld-mmdit-symmetric": ("symmetric", MMDIT_LAYERS),
        "emojiworld-mmdit-all": ("symmetric", None),
        "emojiworld-mmdit-mean": ("mean", MMDIT_LAYERS),
    }


def train_shipped(
    weights: Path, destination: Path, work: Path, scenes: int = 1000, model: str = "unet"
) -> dict[str, Trained]:
    """Record the maps (once), fit the classifiers of a model and write them with their figures to ``destination``."""
    parts = recorded_parts(weights, work, scenes, model)
    pipe = load_pipeline(weights, model=model)
    destination.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, (kind, layers) in shipped(model).items():
        result = train(kind, layers, parts, recorder_of(pipe), family_of(pipe))
        about = {
            "architecture": kind,
            "trained on": TRAINED_ON,
            "samples": len(parts["train"]),
            "fit": {k: v for k, v in asdict(result.fit).items() if k != "losses"},
            "unseen pairs": as_json(result.test),
        }
        result.classifier.card = replace(result.classifier.card, about=json.dumps(about))
        file = destination / f"{name}.safetensors"
        save_classifier(result.classifier, file)
        write_card(result.classifier, file)
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
    draws = one_relation("validation", images, seed)
    variants: list[tuple[str, Kind, tuple[str, ...] | None, bool]] = [
        (f"symmetric, {name}", "symmetric", layers, True) for name, layers in sets.items()
    ]
    variants += [
        ("mean map, chosen layers", "mean", chosen, True),
        ("symmetric, chosen layers, right words only", "symmetric", chosen, False),
        ("published, chosen layers", "official", chosen, True),
        ("published, chosen layers, right words only", "official", chosen, False),
    ]
    recorder = recorder_of(pipe)
    trained = {
        name: train(kind, layers, parts, recorder, family_of(pipe), wrong_words)
        for name, kind, layers, wrong_words in variants
    }
    fast = SteeringPlan.preset("fast")
    settings = [Setting("plain", None, None)]
    settings += [Setting(name, LearnedObjective(t.classifier), fast) for name, t in trained.items()]
    sampler, detector = PipelineSampler(pipe, family_of(pipe)), EmojiWorldDetector(WEIGHTS)
    results = run(sampler, detector, draws, settings, work / "ablation", steps=STEPS, guidance=GUIDANCE)
    outcome = summarise(results)
    rows = []
    for setting in settings:
        row: dict[str, object] = {"classifier": setting.name}
        if setting.name in trained:
            read = leakage(trained[setting.name].classifier, parts["validation"])
            row |= {"right": read.right, "wrong": read.wrong, "follows": read.errors}
        row |= {k: outcome[setting.name][k] for k in ("relation", "given_present", "present", "cost")}
        rows.append(row)
    return rows
