"""The report of one prompt: its pictures, where the model attends, and a plot of what steering did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .canvas import INK, MUTED, Plot, Sheet

if TYPE_CHECKING:
    from ..steering import Record
from .heat_maps import heat_overlay
from .style import BAD, GAP, GOOD, MARGIN, enlarged, wrapped

BAND = "#f6f7f8"


SERIES = ("#2563eb", "#d97706", "#7c3aed", "#0d9488", "#db2777", "#65a30d")
"""Colours of the relations of a prompt, in turn."""


EDGE = 384
"""Longest side of a picture in the report, in pixels: three times EmojiWorld's."""


@dataclass(frozen=True)
class Panel:
    """One way a prompt was drawn. verdicts: (statement, whether the judge sees it). heats: (object, heat map
    (H, W)) of the same objects in every panel; empty: none to show."""

    title: str
    picture: Image.Image
    verdicts: Sequence[tuple[str, bool]] = ()
    heats: Sequence[tuple[str, np.ndarray]] = ()


def report_figure(
    prompt: str,
    lines: Sequence[str],
    panels: Sequence[Panel],
    records: Sequence[Record] = (),
    reached: float | None = None,
    stop_loss: float | None = None,
    heat_title: str = "",
) -> Image.Image:
    """One sheet about one prompt: its pictures side by side, below each where the model attends, and beside
    them a plot of what steering did.

    lines: short statements under the title. records: of one image, in order of time; none: no plot. reached,
    stop_loss: thresholds of the plan, drawn dashed. heat_title: stands over the heat maps.
    """
    pictures = [enlarged(panel.picture, EDGE) for panel in panels]
    height = max(p.height for p in pictures)
    plot_width = 470 if records else 0
    width = 2 * MARGIN + len(panels) * EDGE + (len(panels) - 1) * GAP + (plot_width and plot_width + 2 * GAP)
    title = wrapped(prompt, 26, width - 2 * MARGIN, 3)
    lines = [part for line in lines for part in wrapped(line, 15, width - 2 * MARGIN, 2)]
    top = MARGIN + 36 * len(title) + 10 + 23 * len(lines) + GAP
    count = max(len(panel.heats) for panel in panels)
    heat_edge = (EDGE - 12 * (count - 1)) // count if count else 0
    heat_top = top + 30 + height + 14 + 24 * max(len(panel.verdicts) for panel in panels)
    bottom = heat_top + (12 + 26 + heat_edge + 22 if count else 0)
    sheet = Sheet(width, bottom + MARGIN)

    for i, line in enumerate(title):
        sheet.text(MARGIN, MARGIN + 36 * i, line, 26, weight="bold")
    for i, line in enumerate(lines):
        sheet.text(MARGIN, MARGIN + 36 * len(title) + 10 + 23 * i, line, 15, MUTED)
    for i, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        x = MARGIN + i * (EDGE + GAP)
        sheet.text(x, top, panel.title, 17, weight="bold")
        sheet.picture(picture, x, top + 30)
        for k, (statement, holds) in enumerate(panel.verdicts):
            y = top + 30 + height + 12 + 24 * k
            sheet.mark(x, y + 2, holds, 14, GOOD if holds else BAD)
            sheet.text(x + 22, y + 1, wrapped(statement, 14, EDGE - 22, 1)[0], 14)
        if panel.heats:
            sheet.text(x, heat_top + 12, heat_title, 14, MUTED)
        for k, (name, heat) in enumerate(panel.heats):
            left, y = x + k * (heat_edge + 12), heat_top + 38
            tile = enlarged(heat_overlay(picture, heat), heat_edge)
            sheet.picture(tile, left, y)
            label = wrapped(name, 14, heat_edge, 1)[0]
            sheet.text(left + heat_edge / 2, y + heat_edge + 6, label, 14, align="center")
    if records:
        left = width - MARGIN - plot_width
        _plot_records(sheet, records, reached, stop_loss, left, top, plot_width, bottom - top)
    return sheet.image()


def _plot_records(
    sheet: Sheet,
    records: Sequence[Record],
    reached: float | None,
    stop_loss: float | None,
    x: float,
    y: float,
    width: float,
    height: float,
) -> None:
    """Probability above loss, against evaluations, in the box at (x, y); each relation has its colour."""
    moments = list(dict.fromkeys((r.step, r.evaluation) for r in records))
    labels = list(dict.fromkeys((r.relation, r.label) for r in records))
    sheet.text(x, y, "What steering did", 17, weight="bold")
    for i, (relation, label) in enumerate(labels):
        colour = SERIES[relation % len(SERIES)]
        sheet.dot(x + 6, y + 40 + 22 * i, 5, colour)
        sheet.text(x + 20, y + 32 + 22 * i, wrapped(label, 14, width - 20, 1)[0], 14)
    first = y + 32 + 22 * len(labels) + 34
    each = (y + height - first - 40 - 56) / 2
    inner, wide = width - 46, (0.5, len(moments) + 0.5)
    positive = [r.loss for r in records if 0 < r.loss < math.inf]
    spread = bool(positive) and max(positive) > 50 * min(positive)
    losses = (min(positive) / 2, max(positive) * 2) if spread else (0.0, 1.08 * max(positive, default=1.0))
    for name, limit, plot in (
        ("probability", reached, Plot(sheet, (x + 46, first, inner, each), wide, (-0.03, 1.05))),
        ("loss", stop_loss, Plot(sheet, (x + 46, first + each + 56, inner, each), wide, losses, spread)),
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
    below = first + 2 * each + 56 + 24
    sheet.text(
        x + 46 + inner / 2, below, "evaluation (bands: steps of the sampler)", 12, MUTED, align="center"
    )
