"""EmojiWorld's scenes and captions: who stands where, and what is said about it.

A scene is a plain or gradient background with one to five emoji that do not overlap. Its caption names the objects in
random order and says the true relation, no relation, or a *random* relation word, in fixed shares. A model trained on
such captions learns its objects well and the relation words badly - the weakness of the large models, in small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evaluation.rules import geneval
from ..language import Relation

IMAGE_SIZE = 128
"""Width and height of a picture in pixels."""

OBJECTS: tuple[str, ...] = (
    "dog",
    "teddy bear",
    "frog",
    "car",
    "balloon",
    "sunflower",
    "penguin",
    "cactus",
    "umbrella",
    "pig",
    "elephant",
    "fox",
)

SPRITE_SIZES = (40, 54)
"""Smallest and largest sprite of a scene of up to three objects, longest side in pixels."""

CROWDED_SIZES = {4: (36, 46), 5: (34, 42)}
"""The same where more objects share the picture."""

COUNTS = {3: (0.10, 0.50, 0.40), 5: (0.04, 0.20, 0.22, 0.26, 0.28)}
"""Most objects of a scene -> shares of scenes with one, two, ... objects."""

DIRECTIONS: tuple[Relation, ...] = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)

PHRASES: dict[Relation, tuple[str, ...]] = {
    Relation.LEFT: ("to the left of", "left of", "on the left of"),
    Relation.RIGHT: ("to the right of", "right of", "on the right of"),
    Relation.ABOVE: ("above", "over", "on top of"),
    Relation.BELOW: ("below", "under", "beneath"),
}


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in pixels: centre (x, y), y downwards, width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Placed:
    """One object of a scene: its name and the box of its sprite."""

    name: str
    box: Box


@dataclass(frozen=True)
class Scene:
    """Objects, and the two RGB colours (0..255) between which the background runs from top to bottom."""

    objects: tuple[Placed, ...]
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]


def sample_scene(
    rng: np.random.Generator,
    count: int | None = None,
    names: tuple[str, ...] | None = None,
    aspect: dict[str, float] | None = None,
    most: int = 3,
) -> Scene:
    """Draw a scene: up to ``most`` objects in the shares of ``COUNTS`` unless ``count`` or ``names`` says otherwise.

    ``aspect`` maps a name to width / height of its sprite (default 1). Sprites keep 2 pixels of distance from each
    other and lie wholly inside the picture.
    """
    if names is None:
        n = count or int(rng.choice(most, p=COUNTS[most])) + 1
        names = tuple(OBJECTS[i] for i in rng.choice(len(OBJECTS), size=n, replace=False))
    while True:
        placed: list[Placed] = []
        sizes = CROWDED_SIZES.get(len(names), SPRITE_SIZES)
        for name in names:
            box = _place(rng, [p.box for p in placed], (aspect or {}).get(name, 1.0), sizes)
            if box is None:
                break
            placed.append(Placed(name, box))
        else:
            return Scene(tuple(placed), *_background(rng))


def _place(rng: np.random.Generator, taken: list[Box], ratio: float, sizes: tuple[int, int]) -> Box | None:
    for _ in range(40):
        longest = rng.uniform(*sizes)
        w, h = (longest, longest / ratio) if ratio >= 1 else (longest * ratio, longest)
        x, y = rng.uniform(w / 2 + 1, IMAGE_SIZE - w / 2 - 1), rng.uniform(h / 2 + 1, IMAGE_SIZE - h / 2 - 1)
        if all(abs(x - b.x) > (w + b.width) / 2 + 2 or abs(y - b.y) > (h + b.height) / 2 + 2 for b in taken):
            return Box(x, y, w, h)
    return None


def _background(rng: np.random.Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Pastel colours, so that every sprite stands out; half of the backgrounds are plain."""
    top = rng.integers(175, 250, size=3)
    bottom = top if rng.random() < 0.5 else rng.integers(175, 250, size=3)
    return tuple(int(v) for v in top), tuple(int(v) for v in bottom)  # type: ignore[return-value]


def article(noun: str) -> str:
    """``noun`` with its indefinite article."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def holds(a: Box, relation: Relation, b: Box) -> bool:
    """GenEval's position rule (`evaluation.rules.geneval`): is ``a`` in ``relation``, one of the directions, to ``b``?"""
    return geneval.stands((a.x - b.x, a.y - b.y), (a.width + b.width, a.height + b.height), relation)


def sample_caption(
    rng: np.random.Generator, scene: Scene, true_share: float = 0.33, random_share: float = 0.33
) -> str:
    """Describe ``scene``: empty in 10%, else with true relation words, random ones, or none ("a dog and a fox")."""
    if rng.random() < 0.10:
        return ""
    order = [scene.objects[i] for i in rng.permutation(len(scene.objects))]
    kind = rng.random()
    prefix = str(rng.choice(["", "", "", "a photo of ", "a picture of "]))
    text = article(order[0].name)
    for previous, current in zip(order, order[1:], strict=False):
        relation: Relation | None = None
        if kind < true_share:
            fitting = [r for r in DIRECTIONS if holds(previous.box, r, current.box)]
            relation = fitting[rng.integers(len(fitting))] if fitting else None
        elif kind < true_share + random_share:
            relation = DIRECTIONS[rng.integers(4)]
        joint = "and" if relation is None else PHRASES[relation][_phrase_index(rng)]
        text += f" {joint} {article(current.name)}"
    return prefix + text


def _phrase_index(rng: np.random.Generator) -> int:
    return int(rng.choice(3, p=[0.6, 0.2, 0.2]))
