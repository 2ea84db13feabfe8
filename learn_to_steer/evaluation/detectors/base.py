"""The contract of a judge that finds objects, and what the judges of this room share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from ..detections import Detection, Mask


class Detector(Protocol):
    """Finds objects by name."""

    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """pictures (B, height, width, 3) uint8. names: per picture, the objects to search for; a detector with a vocabulary
        of its own may find others besides. Returns per picture what it found, boxes in pixels."""

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of the names that it can never find."""


def collected(
    found: Iterable[tuple[str, Sequence[float], float, Mask | None]], size: tuple[int, int]
) -> list[Detection]:
    """(name, box (x0, y0, x1, y1) in pixels, score, mask) -> detections, the best first; equal ones keep their order.

    size: height and width of the picture. A model may place a corner, or a whole box, outside of it: boxes are cut to the
    picture, and one of which nothing is left is no detection.
    """
    height, width = size
    kept = []
    for name, box, score, mask in found:
        x0, x1 = (min(max(float(x), 0.0), float(width)) for x in (box[0], box[2]))
        y0, y1 = (min(max(float(y), 0.0), float(height)) for y in (box[1], box[3]))
        if x0 < x1 and y0 < y1:
            kept.append(Detection(name, (x0, y0, x1, y1), min(max(float(score), 0.0), 1.0), mask))
    return sorted(kept, key=lambda d: -d.score)
