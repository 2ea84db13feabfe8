"""How a fit went: the loss of training and of validation, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from .canvas import INK, MUTED, Plot, Sheet
from .plots import SERIES
from .style import GOOD, MARGIN, wrapped

_WIDTH, _HEIGHT, _LEFT, _FOOT = 564, 240, 46, 50


def loss_plot(title: str, losses: Sequence[tuple[float, float]], best: int) -> Image.Image:
    """losses: per epoch, of training and of validation. best: the epoch whose weights were kept, from 1; 0 = none was."""
    heading = wrapped(title, 18, _LEFT + _WIDTH, 2)
    top = MARGIN + 26 * len(heading) + 30
    sheet = Sheet(2 * MARGIN + _LEFT + _WIDTH, top + _HEIGHT + _FOOT + MARGIN)
    for i, line in enumerate(heading):
        sheet.text(MARGIN, MARGIN + 26 * i, line, 18, weight="bold")
    left, epochs = MARGIN + _LEFT, range(1, len(losses) + 1)
    most = max((v for pair in losses for v in pair if math.isfinite(v)), default=1.0)
    box = (left, top, _WIDTH, _HEIGHT)
    plot = Plot(sheet, box, (0.5, max(1, len(losses)) + 0.5), (0.0, 1.05 * most or 1.0))
    plot.frame()
    for i, name in enumerate(("training", "validation")):
        plot.line(list(epochs), [pair[i] for pair in losses], SERIES[i], dots=len(losses) < 40)
        place = left + 110 * i
        sheet.dot(place + 5, top - 14, 4, SERIES[i])
        sheet.text(place + 14, top - 21, name, 13, INK)
    if 0 < best <= len(losses):
        x = plot.at(best, 0)[0]
        for k in range(_HEIGHT // 9):
            sheet.line([(x, top + 9 * k), (x, top + 9 * k + 5)], GOOD, 1.2)
    below = f"epochs; cross-entropy (dashed: epoch {best}, whose weights were kept)" if best else "epochs"
    sheet.text(left, top + _HEIGHT + 26, below, 11, MUTED)
    return sheet.image()
