"""Prompts about EmojiWorld's objects, and which pairs of objects are for what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..dataset.splits import Pair, pair_of, tournament_rounds
from ..errors import SteeringError
from ..evaluation.bench import Draw
from ..evaluation.detections import Demand, Thing
from .world import DIRECTIONS, OBJECTS, PHRASES, article

Part = Literal["train", "validation", "test"]

_ROUNDS_SEED = 2602

_TEST_SEED = 2611
"""The pairs that the first release tested on had also chosen its layers. This seed drew new ones, once, out of those that
had chosen nothing; they choose nothing since."""


def object_pairs(part: Part) -> list[Pair]:
    """Unordered pairs of objects: "train" (36), "validation" (6) or "test" (24); no pair is in two parts.

    Every object is equally often in each part, see `tournament_rounds`. The test pairs are never seen by a classifier, in
    training or in its early stopping, and nothing is chosen on them: layers, plans and strengths are chosen on the
    validation pairs.
    """
    rounds = tournament_rounds(OBJECTS, _ROUNDS_SEED)
    former_test, validation, unused = rounds[:4], rounds[4:5], rounds[5:]
    order = np.random.default_rng(_TEST_SEED).permutation(len(unused))
    parts = {
        "test": [unused[i] for i in order[:4]],
        "validation": validation,
        "train": former_test + [unused[i] for i in order[4:]],
    }
    return [pair for one in parts[part] for pair in one]


def recorded_pairs() -> dict[Pair, Part]:
    """The part of each pair when a classifier is trained for a model of EmojiWorld: of the training pairs some end the fit,
    the validation pairs judge, the test pairs stay unseen."""
    parts: dict[Pair, Part] = {pair_of(pair): "test" for pair in object_pairs("validation")}
    for place, pair in enumerate(object_pairs("train")):
        parts[pair_of(pair)] = "validation" if place % 6 == 5 else "train"
    return parts


def one_relation(part: Part, count: int, seed: int = 0) -> list[Draw]:
    """``count`` prompts of one relation each, over the pairs of ``part`` in both orders and the four relations in turn."""
    prompts = [
        f"{article(a)} {PHRASES[relation][0]} {article(b)}"
        for pair in object_pairs(part)
        for a, b in (pair, pair[::-1])
        for relation in DIRECTIONS
    ]
    order = np.random.default_rng((seed, 30)).permutation(len(prompts))
    return [Draw(prompts[order[i % len(order)]], 10_000 + seed * 10_000 + i) for i in range(count)]


def together(part: Part, count: int, seed: int = 0) -> list[Draw]:
    """``count`` prompts of two objects without a relation ("a dog and a car"): the pairs of ``part`` in both orders."""
    pairs = [order for pair in object_pairs(part) for order in (pair, pair[::-1])]
    order = np.random.default_rng((seed, 32)).permutation(len(pairs))
    draws: list[Draw] = []
    for i in range(count):
        a, b = pairs[order[i % len(order)]]
        asked = Demand(counts=tuple((Thing(name, name), 1) for name in (a, b)))
        draws.append(Draw(f"{article(a)} and {article(b)}", 90_000 + seed * 10_000 + i, asked))
    return draws


def chains(part: Part, count: int, seed: int = 0, relations: int = 2) -> list[Draw]:
    """``count`` prompts of ``relations`` relations in one object more ("a dog above a fox to the left of a car"), every
    related pair of ``part`` and no object twice. Raises SteeringError where the pairs make no chain so long: those of
    "validation" are six pairs apart from one another."""
    rng = np.random.default_rng((seed, 31, relations))
    partners: dict[str, list[str]] = {name: [] for name in OBJECTS}
    for a, b in object_pairs(part):
        partners[a].append(b)
        partners[b].append(a)
    draws: list[Draw] = []
    failures = 0
    while len(draws) < count:
        if failures > 1000:
            raise SteeringError(
                f"Expected pairs that make chains of {relations} relations, got those of the part {part}, which do not; "
                "take another part or fewer relations."
            )
        names = [OBJECTS[rng.integers(len(OBJECTS))]]
        while len(names) <= relations:
            free = [name for name in partners[names[-1]] if name not in names]
            if not free:
                failures += 1
                break
            names.append(free[rng.integers(len(free))])
        else:
            words = [PHRASES[DIRECTIONS[i]][0] for i in rng.integers(4, size=relations)]
            text = article(names[0]) + "".join(
                f" {w} {article(n)}" for w, n in zip(words, names[1:], strict=True)
            )
            failures = 0
            draws.append(Draw(text, 50_000 + seed * 10_000 + len(draws)))
    return draws


def protocol() -> dict[str, Any]:
    """What the published tables are made of: ``protocol.json``, fixed before any of their pictures was drawn."""
    return json.loads((Path(__file__).parent / "protocol.json").read_text(encoding="utf-8"))
