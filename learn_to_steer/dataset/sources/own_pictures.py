"""The model's own pictures as a source, drawn from prompts and judged by a detector: the distribution in which a classifier
will be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ...errors import SteeringError
from ...hosts.protocol import Sampler
from ..splits import PARTS, Pair, Part, pair_of, split_pairs
from .base import DIRECTIONS, LeftOut, Sample, Worded
from .damage import Damage
from .geometry import Box, relation_of
from .listed import Locate, Parts
from .names import alike
from .pictures import fitted

SURE = 0.5
"""Least confidence of a detection that counts."""


class Found(Protocol):
    """What of a detection is of use; `evaluation.Detection` is one."""

    @property
    def name(self) -> str: ...

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """(x0, y0, x1, y1) in pixels."""

    @property
    def score(self) -> float: ...


class Finder(Protocol):
    """What finds objects by name; `evaluation.detectors.Detector` is one."""

    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> Sequence[Sequence[Found]]:
        """pictures (B, height, width, 3) uint8. names: per picture, what to search for."""


def located(found: Sequence[Found], names: tuple[str, str]) -> tuple[Box, Box] | str:
    """The boxes of both, or why there are none: each must be found once, and surely."""
    boxes: list[Box] = []
    for name in names:
        mine = [d for d in found if d.name.lower() == name and d.score >= SURE and d.box is not None]
        if len(mine) != 1:
            return (
                "a picture without an object that was asked for"
                if not mine
                else "a picture with one object twice"
            )
        x0, y0, x1, y1 = mine[0].box or (0, 0, 0, 0)
        boxes.append((x0, y0, x1 - x0, y1 - y0))
    return boxes[0], boxes[1]


def locate_with(detector: Finder) -> Locate:
    """A detector as the judge of pictures whose boxes are not known."""

    def locate(picture: np.ndarray, names: tuple[str, str]) -> int | None:
        boxes = located(detector.detect(picture[None], [names])[0], names)
        return None if isinstance(boxes, str) else relation_of(*boxes)

    return locate


class OwnPictures(Worded):
    """A `Source` without end. pairs: of names that the detector knows. steps, guidance: as `Sampler.sample`."""

    count: int | None = None

    def __init__(
        self,
        sampler: Sampler,
        detector: Finder,
        pairs: Sequence[Pair],
        part: Part,
        steps: int,
        guidance: float | None,
    ) -> None:
        self.sampler, self.detector, self.part = sampler, detector, part
        self.pairs, self.steps, self.guidance = sorted(map(pair_of, pairs)), steps, guidance
        self.about: dict[str, Any] = {
            "source": "own pictures",
            "part": part,
            "model": sampler.digest(),
            "steps": steps,
            "guidance": guidance,
            "pairs": hashlib.sha256(json.dumps(self.pairs).encode()).hexdigest(),
        }

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """See `Source`. What holds is what the detector sees, whatever was asked for."""
        asked = [self._asked(number, seed) for number in numbers]
        prompts = [self.prompt(names, relation, phrasing) for names, relation, phrasing, _ in asked]
        seeds = [noise for *_, noise in asked]
        drawn = self.sampler.sample(prompts, seeds, steps=self.steps, guidance=self.guidance).pictures
        found = self.detector.detect(drawn, [names for names, *_ in asked])
        made: list[Sample | LeftOut] = []
        for number, picture, (names, *_), seen in zip(numbers, drawn, asked, found, strict=True):
            where = f"drawn picture {number} of {self.part}"
            boxes = located(seen, names)
            holds = None if isinstance(boxes, str) else relation_of(*boxes)
            if isinstance(boxes, str) or holds is None:
                made.append(
                    LeftOut(boxes if isinstance(boxes, str) else "a pair in no clear direction", where)
                )
                continue
            same = picture.shape[:2] == size
            made.append(
                Sample(
                    where, picture if same else fitted(Image.fromarray(picture), size, boxes), names, holds
                )
            )
        return made

    def _asked(self, number: int, seed: int) -> tuple[Pair, int, int, int]:
        """(names, relation, phrasing, seed of the noise) of a picture."""
        rng = np.random.default_rng((seed, 52, PARTS.index(self.part), number))
        names = self.pairs[rng.integers(len(self.pairs))]
        if rng.random() < 0.5:
            names = names[::-1]
        relation = number % len(DIRECTIONS)
        return names, relation, int(rng.integers(self.phrasings)), int(rng.integers(2**31))


def own_parts(
    sampler: Sampler,
    detector: Finder,
    names: Sequence[str],
    seed: int,
    steps: int,
    guidance: float | None,
    pairs: dict[Pair, Part] | None = None,
) -> Parts:
    """The model's own pictures in three parts. names: of objects that the detector knows. pairs: the part of each pair
    where that is fixed already.

    Raises SteeringError for fewer than three pairs of names that can be told apart.
    """
    part_of = dict(pairs or {})
    if not part_of:
        possible = [pair_of(pair) for pair in combinations(sorted(set(names)), 2) if not alike(*pair)]
        if len(possible) < 3:
            raise SteeringError(
                f"Expected at least three names of objects that can be told apart, got {len(names)}; name some more."
            )
        part_of = split_pairs(dict.fromkeys(possible, 1), seed)
    sources = {
        part: OwnPictures(
            sampler, detector, [p for p, where in part_of.items() if where == part], part, steps, guidance
        )
        for part in PARTS
    }
    return Parts(dict(sources), Damage())
