"""Splits by pair of names: what a classifier is tested on, it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Pair = tuple[str, str]
"""Two names, in no order."""

Part = Literal["train", "validation", "test"]
"""What is fitted to, what ends the fit, what is judged by."""

PARTS: tuple[Part, ...] = ("train", "validation", "test")

SHARES: Mapping[Part, float] = {"train": 0.7, "validation": 0.15, "test": 0.15}
"""Of the samples."""


def pair_of(names: Pair) -> Pair:
    """The pair, whichever name comes first."""
    first, second = sorted(names)
    return first, second


def split_pairs(counts: Mapping[Pair, int], seed: int) -> dict[Pair, Part]:
    """The part of each pair. counts: samples of each pair, as `pair_of` gives it.

    Pairs in random order go to the part that lacks the largest share of its samples; every part has a pair where there are
    three or more.
    """
    ordered = sorted(counts)
    order = [ordered[i] for i in np.random.default_rng((seed, 1309)).permutation(len(ordered))]
    total, have = sum(counts.values()), dict.fromkeys(PARTS, 0)
    parts: dict[Pair, Part] = {}
    for place, pair in enumerate(order):
        without = [part for part in PARTS if not have[part]]
        open_parts = without if len(order) - place <= len(without) else PARTS
        part = max(open_parts, key=lambda p: SHARES[p] * total - have[p])
        parts[pair] = part
        have[part] += counts[pair]
    return parts


def tournament_rounds(names: Sequence[str], seed: int) -> list[list[Pair]]:
    """Every pair of an even number of names, in rounds in which every name occurs once (circle method).

    A part of some whole rounds has every name equally often.
    """
    rng = np.random.default_rng(seed)
    fixed, *others = rng.permutation(list(names)).tolist()
    rounds = []
    for turn in range(len(others)):
        circle = [fixed, *others[turn:], *others[:turn]]
        half = len(circle) // 2
        rounds.append([(a, b) for a, b in zip(circle[:half], reversed(circle[half:]), strict=True)])
    return rounds
