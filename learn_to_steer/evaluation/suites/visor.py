"""VISOR (Gokhale et al. 2022): prompts made from the 80 nouns of COCO and four relations, 4 pictures each.

Every ordered pair of different nouns with every relation: 80 x 79 x 4 = 25,280 prompts "a dog above an apple".
Most runs take a part of them, chosen once by a seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

from ...language import Relation
from ..detections import Asked, Demand, Thing
from .base import Case, chosen_by_seed

PICTURES = 4

NOUNS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO's object names, in its order."""

RELATIONS = (Relation.LEFT, Relation.RIGHT, Relation.ABOVE, Relation.BELOW)


@dataclass(frozen=True)
class Visor:
    """VISOR's prompts: all of them, or ``count`` chosen by ``seed``."""

    count: int | None = None
    seed: int = 0
    pictures: int = PICTURES
    name: str = "visor"
    rule: str = "visor"

    def cases(self) -> list[Case]:
        """The cases, by first noun, second noun and relation. Raises SteeringError for a count beyond them."""
        everything = [
            Case(
                f"{_article(a)} {relation} {_article(b)}",
                Demand((Asked(Thing(a, a), relation, Thing(b, b)),)),
                self.pictures,
                relation.value,
            )
            for a, b in permutations(NOUNS, 2)
            for relation in RELATIONS
        ]
        return chosen_by_seed(everything, self.count, self.seed)


def _article(noun: str) -> str:
    """The noun with "a" or "an", by its first letter: none of the 80 is an exception."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun
