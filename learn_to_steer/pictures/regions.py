"""Where the warmest part of a heat map lies: as a mask and as a box."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """The connected part around a heat map's warmest place.

    mask (H, W) bool. box: (x0, y0, x1, y1) in shares of width and height. share: of all heat, how much lies in it.
    """

    mask: np.ndarray
    box: Box
    share: float


def warmest(heat: np.ndarray, threshold: float = 0.5) -> Region:
    """heat (H, W), 0 or more. threshold: what belongs to it is as warm as this share of the warmest place. Places that
    touch at a side or a corner are connected. A map without heat has its first place as its region."""
    height, width = heat.shape
    warm = heat >= threshold * heat.max()
    start = np.unravel_index(int(heat.argmax()), heat.shape)
    mask = np.zeros_like(warm)
    mask[start] = True
    waiting = deque([(int(start[0]), int(start[1]))])
    while waiting:
        y, x = waiting.popleft()
        for v in range(max(0, y - 1), min(height, y + 2)):
            for u in range(max(0, x - 1), min(width, x + 2)):
                if warm[v, u] and not mask[v, u]:
                    mask[v, u] = True
                    waiting.append((v, u))
    rows, columns = np.nonzero(mask)
    box = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
    total = float(heat.sum())
    return Region(mask, tuple(map(float, box)), float(heat[mask].sum()) / total if total > 0 else 0.0)  # type: ignore[arg-type]
