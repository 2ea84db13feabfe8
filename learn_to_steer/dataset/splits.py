"""Splits by pair of names: what a classifier is tested on, it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pair = tuple[str, str]
"""Two names, in no order."""


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
