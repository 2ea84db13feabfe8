"""Which layers to record: an ablation on some tens of samples, before the rest is paid for.

Each layer's maps are averaged over its heads and read by a small symmetric classifier of its own, judged under wrong words
on pairs of names that it has not seen. Of the layers that cannot be told from the best on so few samples (one standard
error), the one whose errors follow the words least is taken, the earlier where two are alike; further layers join it where
that reads better and follows the words no more. An evaluation ends after the last layer that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..attention import AttentionLayer
from ..classifiers import ClassifierCard, SymmetricConfig, SymmetricRelationClassifier
from ..dataset import MapData
from .fit import FitOptions, fit
from .leakage import LeakageReport, leakage

MOST_LAYERS = 4
"""Of those that are chosen."""

WITHIN = 0.02
"""How much better a further layer must read to be worth its cost."""

PILOT_FIT = FitOptions(epochs=30, patience=6, learning_rate=2e-3)


@dataclass(frozen=True)
class Tried:
    """layers: names. right, wrong: share of relations read under right and wrong words, on unseen pairs. follows: share of
    errors that are the wrong word, None without an error."""

    layers: tuple[str, ...]
    right: float
    wrong: float
    follows: float | None


@dataclass(frozen=True)
class Choice:
    """The layers to record, and all that was tried, each layer alone first."""

    layers: tuple[str, ...]
    tried: tuple[Tried, ...]


def choose_layers(
    train: MapData, held_out: MapData, card: ClassifierCard, samples: int, seed: int = 0,
    on_try: Callable[[int, int], None] | None = None,
) -> Choice:  # fmt: skip
    """card: of a classifier that reads all recorded layers. samples: that `held_out` was recorded of. on_try: told
    how many of about how many are tried."""
    names = [layer.name for layer in sorted(train.layers, key=lambda layer: layer.index)]
    about = len(names) + MOST_LAYERS + 1
    tried: list[Tried] = []

    def measure(layers: tuple[str, ...]) -> Tried:
        tried.append(_try(train, held_out, card, layers, seed))
        if on_try is not None:
            on_try(len(tried), about)
        return tried[-1]

    alone = [measure((name,)) for name in names]
    best = max(one.wrong for one in alone)
    # The records of one sample are no independent trials: samples are counted, not records.
    doubt = math.sqrt(best * (1 - best) / max(1, samples))
    ranked = sorted(alone, key=lambda one: -one.wrong)
    near = [one for one in alone if one.wrong >= best - doubt]
    chosen = min(near, key=lambda one: one.follows or 0.0)
    for one in [one for one in ranked if one is not chosen][: MOST_LAYERS - 1]:
        together = measure(tuple(n for n in names if n in (*chosen.layers, *one.layers)))
        better = together.wrong > chosen.wrong + WITHIN
        if better and (together.follows or 0.0) <= (chosen.follows or 0.0):
            chosen = together
    if len(names) > 1:
        measure(tuple(names))
    return Choice(chosen.layers, tuple(tried))


def _try(
    train: MapData, held_out: MapData, card: ClassifierCard, layers: tuple[str, ...], seed: int
) -> Tried:
    found = _read(train, held_out, card, layers, seed)
    return Tried(layers, found.right, found.wrong, None if found.errors is None else found.errors.share)


def _read(
    train: MapData, held_out: MapData, card: ClassifierCard, layers: tuple[str, ...], seed: int
) -> LeakageReport:
    torch.manual_seed(seed)
    classifier = SymmetricRelationClassifier(
        of_layers(card, layers, train.layers), SymmetricConfig(mix="mean")
    )
    fit(classifier, train, held_out, replace(PILOT_FIT, seed=seed), progress=False)
    return leakage(classifier, held_out)


def of_layers(
    card: ClassifierCard, layers: tuple[str, ...] | None, present: Sequence[AttentionLayer]
) -> ClassifierCard:
    """The card of a classifier that reads these layers only."""
    channels = sum(layer.heads for layer in present if layers is None or layer.name in layers)
    return replace(card, layers=layers, channels=channels)
