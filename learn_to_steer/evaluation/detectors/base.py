"""The contract of a judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..detections import Detection


class Detector(Protocol):
    """Finds objects by name."""

    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """pictures (B, height, width, 3) uint8. names: per picture, the objects to search for; a detector with a vocabulary
        of its own may find others besides. Returns per picture what it found, boxes in pixels."""
