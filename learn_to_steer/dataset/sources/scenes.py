"""Scenes as a source: two cut-outs on a background. Nothing to download, and boxes that are exact."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import SteeringError
from ..splits import PARTS, Pair, Part, pair_of, split_pairs
from .base import DIRECTIONS, LeftOut, Sample, Worded
from .damage import Damage
from .geometry import Box, relation_of
from .listed import Parts
from .names import alike, name_of
from .pictures import Unusable, fitted, opened

LONGEST_SIDE = (0.3, 0.44)
"""Smallest and largest cut-out: its longest side in shares of the picture's shorter one."""

GAP = 0.015
"""Least distance of two cut-outs, in the same measure."""

TRIES = 200


class Scenes(Worded):
    """A `Source` without end. cutouts: name -> RGBA pictures, cropped to what is visible. pairs: of names. backgrounds:
    picture files, used for half of the scenes; without, plain and graded pastel colours."""

    count: int | None = None

    def __init__(
        self,
        cutouts: Mapping[str, Sequence[Image.Image]],
        pairs: Sequence[Pair],
        part: Part,
        backgrounds: Sequence[Path] = (),
    ) -> None:
        self.cutouts = {name: list(pictures) for name, pictures in sorted(cutouts.items())}
        self.pairs, self.part, self.backgrounds = sorted(map(pair_of, pairs)), part, sorted(backgrounds)
        pixels = hashlib.sha256()
        for name, pictures in self.cutouts.items():
            for picture in pictures:
                pixels.update(f"{name} {picture.size}".encode() + picture.tobytes())
        listed = json.dumps([self.pairs, [str(path) for path in self.backgrounds]]).encode()
        self.about: dict[str, Any] = {
            "source": "scenes",
            "part": part,
            "cut-outs": pixels.hexdigest(),
            "pairs and backgrounds": hashlib.sha256(listed).hexdigest(),
        }

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """See `Source`."""
        return [self._sample(number, seed, size) for number in numbers]

    def _sample(self, number: int, seed: int, size: tuple[int, int]) -> Sample | LeftOut:
        rng = np.random.default_rng((seed, 51, PARTS.index(self.part), number))
        names = self.pairs[rng.integers(len(self.pairs))]
        if rng.random() < 0.5:
            names = names[::-1]
        holds = number % len(DIRECTIONS)
        pieces = [self.cutouts[name][rng.integers(len(self.cutouts[name]))] for name in names]
        boxes = placed([piece.size for piece in pieces], holds, size, rng)
        where = f"scene {number}"
        if boxes is None:
            return LeftOut("a scene that has no room for its two objects", where)
        try:
            canvas = self._background(size, rng)
        except Unusable as error:
            return LeftOut(f"a background: {error}", where)
        for piece, box in zip(pieces, boxes, strict=True):
            side = max(1, round(box[2])), max(1, round(box[3]))
            small = piece.resize(side, Image.Resampling.BILINEAR, reducing_gap=2.0)
            canvas.paste(small, (round(box[0]), round(box[1])), small)
        return Sample(f"{where} of {self.part}", np.asarray(canvas), names, holds)

    def _background(self, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
        top = rng.integers(175, 250, size=3)
        bottom = top if rng.random() < 0.5 else rng.integers(175, 250, size=3)
        if self.backgrounds and rng.random() < 0.5:
            file = self.backgrounds[rng.integers(len(self.backgrounds))]
            return Image.fromarray(fitted(opened(file, True), size, ()))
        ramp = np.linspace(0.0, 1.0, size[0], dtype=np.float32)[:, None, None]
        graded = (top * (1 - ramp) + bottom * ramp).round().astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(np.repeat(graded, size[1], axis=1)))


def placed(
    sizes: Sequence[tuple[int, int]], holds: int, picture: tuple[int, int], rng: np.random.Generator
) -> tuple[Box, Box] | None:
    """Boxes for two cut-outs of these sizes, wholly inside and apart, the first in the wanted relation to the second."""
    height, width = picture
    shorter = min(picture)
    for _ in range(TRIES):
        found: list[Box] = []
        for size in sizes:
            scale = rng.uniform(*LONGEST_SIDE) * shorter / max(size)
            w, h = size[0] * scale, size[1] * scale
            found.append((rng.uniform(0, max(0.0, width - w)), rng.uniform(0, max(0.0, height - h)), w, h))
        a, b = found
        gap = GAP * shorter
        apart = (
            a[0] + a[2] + gap <= b[0]
            or b[0] + b[2] + gap <= a[0]
            or a[1] + a[3] + gap <= b[1]
            or b[1] + b[3] + gap <= a[1]
        )
        if apart and relation_of(a, b) == holds:
            return a, b
    return None


def scene_parts(
    cutouts: Mapping[str, Sequence[Image.Image]],
    seed: int,
    backgrounds: Sequence[Path] = (),
    damage: Damage | None = None,
    pairs: Mapping[Pair, Part] | None = None,
) -> Parts:
    """Scenes in three parts. pairs: the part of each pair where that is fixed already.

    Raises SteeringError for fewer than three pairs of names that can be told apart.
    """
    part_of = dict(pairs or {})
    if not part_of:
        possible = [pair_of(pair) for pair in combinations(sorted(cutouts), 2) if not alike(*pair)]
        if len(possible) < 3:
            raise SteeringError(
                f"Expected cut-outs of at least three names that can be told apart, got {len(cutouts)}; add some."
            )
        part_of = split_pairs(dict.fromkeys(possible, 1), seed)
    sources = {
        part: Scenes(cutouts, [pair for pair, where in part_of.items() if where == part], part, backgrounds)
        for part in PARTS
    }
    return Parts(dict(sources), damage or Damage())


def read_cutouts(folder: Path) -> tuple[dict[str, list[Image.Image]], Damage]:
    """PNGs with transparency of a folder and its folders, by name: "teddy-bear 2.png" and "teddy bear/3.png" are teddy
    bears.

    Raises SteeringError where there is no folder or no usable cut-out in it.
    """
    damage = Damage()
    found: dict[str, list[Image.Image]] = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if file.suffix.lower() not in (".png", ".webp"):
            continue
        stem = file.stem if file.parent == folder else file.parent.name
        name = name_of(re.sub(r"[\s_\-]*\d*$", "", stem).replace("-", " "))
        if name is None:
            damage.note("a cut-out without a usable name", file.name)
            continue
        cut = _cutout(file)
        if isinstance(cut, str):
            damage.note(cut, file.name)
        else:
            found.setdefault(name, []).append(cut)
    if not found:
        left = f"; {' '.join(damage.lines()[:3])}" if damage.total else ""
        raise SteeringError(
            f"Expected a folder of cut-outs (.png with transparency) at {folder}, found none; check the path{left}"
        )
    return found, damage


def read_backgrounds(folder: Path | None) -> list[Path]:
    """The pictures of a folder and its folders; none for None. Raises SteeringError where there are none."""
    if folder is None:
        return []
    endings = (".png", ".jpg", ".jpeg", ".webp")
    there = folder.rglob("*") if folder.is_dir() else ()
    found = sorted(path for path in there if path.suffix.lower() in endings)
    if not found:
        raise SteeringError(f"Expected a folder of pictures at {folder}, found none; check the path.")
    return found


def _cutout(file: Path) -> Image.Image | str:
    """The visible part of a cut-out, or why it is of no use."""
    try:
        opened(file, turned=False)  # its checks; the transparency it drops is what is wanted here
        with Image.open(file) as picture:
            cut = picture.convert("RGBA")
    except Unusable as error:
        return str(error)
    alpha = np.asarray(cut.getchannel("A"))
    if alpha.min() > 250:
        return "a cut-out without a transparent pixel"
    visible = Image.fromarray((alpha > 8).astype(np.uint8)).getbbox()
    if visible is None or min(visible[2] - visible[0], visible[3] - visible[1]) < 16:
        return "a cut-out of which nothing is to be seen"
    cut = cut.crop(visible)
    cut.thumbnail((1024, 1024))
    return cut
