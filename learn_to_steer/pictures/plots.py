"""What steering read, at each evaluation and in the sampler's own passes, as two plots: the probability of each target, and
its loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .canvas import INK, MUTED, Plot, Sheet
from .style import GOOD, wrapped

if TYPE_CHECKING:
    from ..steering import Record

BAND = "#f6f7f8"


SERIES = (
    "#2563eb", "#d97706", "#7c3aed", "#0d9488", "#db2777", "#65a30d",
    "#0891b2", "#dc2626", "#a16207", "#475569", "#c026d3", "#15803d",
)  # fmt: skip
"""Colours of the targets of a prompt, in turn."""


WIDTH = 470
"""Of a pair of plots, in pixels."""

_HEAD, _LINE, _BETWEEN, _FOOT, _LEAST = 66, 22, 56, 40, 120


def least_height(records: Sequence[Record]) -> float:
    """The height, in pixels, below which a pair of plots cannot be read: it grows with the number of targets."""
    return _HEAD + _LINE * len({r.relation for r in records}) + 2 * _LEAST + _BETWEEN + _FOOT


def plot_records(
    sheet: Sheet, records: Sequence[Record], reached: float | None, stop_loss: float | None, x: float, y: float,
    width: float, height: float, title: str = "What steering did",
) -> None:  # fmt: skip
    """Probability above loss, against evaluations and own passes in turn, in the box at (x, y); one colour a target.

    height: what is less than `least_height` is taken to be that.
    """
    height = max(height, least_height(records))
    moments = list(dict.fromkeys((r.step, r.evaluation) for r in records))
    labels = list({r.relation: r.label for r in sorted(records, key=lambda r: r.relation)}.items())
    sheet.text(x, y, wrapped(title, 17, width, 1)[0], 17, weight="bold")
    for i, (relation, label) in enumerate(labels):
        colour = SERIES[relation % len(SERIES)]
        sheet.dot(x + 6, y + 40 + _LINE * i, 5, colour)
        sheet.text(x + 20, y + 32 + _LINE * i, wrapped(label, 14, width - 20, 1)[0], 14)
    first = y + _HEAD + _LINE * len(labels)
    each = (y + height - first - _FOOT - _BETWEEN) / 2
    inner, wide = width - 46, (0.5, len(moments) + 0.5)
    positive = [r.loss for r in records if 0 < r.loss < math.inf]
    spread = bool(positive) and max(positive) > 50 * min(positive)
    losses = (min(positive) / 2, max(positive) * 2) if spread else (0.0, 1.08 * max(positive, default=1.0))
    for name, limit, plot in (
        ("probability", reached, Plot(sheet, (x + 46, first, inner, each), wide, (-0.03, 1.05))),
        (
            "loss",
            stop_loss,
            Plot(sheet, (x + 46, first + each + _BETWEEN, inner, each), wide, losses, spread),
        ),
    ):
        for k, (step, _) in enumerate(moments):
            if step % 2 == 0:
                plot.band(k + 0.5, k + 1.5, BAND)
        plot.frame()
        for relation, _ in labels:
            mine = [r for r in records if r.relation == relation]
            at = [moments.index((r.step, r.evaluation)) + 1 for r in mine]
            colour = SERIES[relation % len(SERIES)]
            plot.line(at, [getattr(r, name) for r in mine], colour, dots=len(at) < 40)
        plot.title(name, "left", 14, INK)
        if limit is not None:
            plot.threshold(limit, GOOD)
            plot.title(f"reached at {limit:g}", "right", 12, GOOD)
    below = first + 2 * each + _BETWEEN + 24
    own = any(evaluation < 0 for _, evaluation in moments)
    what = "evaluations and the sampler's own passes" if own else "evaluations"
    sheet.text(x + 46 + inner / 2, below, f"{what} (bands: steps of the sampler)", 12, MUTED, align="center")
