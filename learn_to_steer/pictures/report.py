"""The report of one prompt: its pictures, where the model attends, and a plot of what steering did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .canvas import MUTED, Sheet

if TYPE_CHECKING:
    from ..steering import Record
from .heat_maps import heat_overlay
from .plots import WIDTH, least_height, plot_records
from .style import BAD, GAP, GOOD, MARGIN, enlarged, wrapped

EDGE = 384
"""Side of a square picture in the report, in pixels: three times EmojiWorld's. Others are as large, not as wide."""


LONGEST = 576
"""Longest side of a picture of any shape."""


COLUMN = 240
"""The least width of a picture's column: its title and its verdicts stand there."""


LEAST = 640
"""The least width of a sheet, so that sentences are not cut short."""


PLOTS = 6
"""At most so many runs are plotted; the lines say of all of them what they did."""


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
    runs: Sequence[tuple[str, Sequence[Record]]] = (),
) -> Image.Image:
    """One sheet about one prompt: its pictures side by side, below each where the model attends, and beside
    them a plot of what steering did.

    lines: short statements under the title. panels: pictures of any shape. records: of one image, in order of time;
    none: no plot. reached, stop_loss: thresholds of the plan, drawn dashed. heat_title: stands over the heat maps.
    runs: instead of records, those of several runs of a sampler, each with a title.
    """
    plotted = [(title, of_run) for title, of_run in runs if of_run][:PLOTS]
    if records:
        plotted = [("What steering did", records)]
    pictures = [fitted(panel.picture) for panel in panels]
    height = max(p.height for p in pictures)
    column = max(COLUMN, *(p.width for p in pictures))
    left_part = len(panels) * column + (len(panels) - 1) * GAP
    abreast = min(2, len(plotted))
    right_part = abreast * WIDTH + max(0, abreast - 1) * GAP
    width = max(LEAST, 2 * MARGIN + left_part + (right_part and right_part + 2 * GAP))
    title = wrapped(prompt, 26, width - 2 * MARGIN, 3)
    lines = [part for line in lines for part in wrapped(line, 15, width - 2 * MARGIN, 3)]
    top = MARGIN + 36 * len(title) + 10 + 23 * len(lines) + GAP
    count = max(len(panel.heats) for panel in panels)
    heat_edge = (column - 12 * (count - 1)) // count if count else 0
    tiles = [
        [_tile(p, heat, heat_edge) for _, heat in panel.heats]
        for panel, p in zip(panels, pictures, strict=True)
    ]
    tile_height = max((tile.height for of_panel in tiles for tile in of_panel), default=0)
    heat_top = top + 30 + height + 14 + 24 * max(len(panel.verdicts) for panel in panels)
    bottom = heat_top + (12 + 26 + tile_height + 22 if count else 0)
    rows = [plotted[i : i + 2] for i in range(0, len(plotted), 2)]
    heights = [max(least_height(of_run) for _, of_run in row) for row in rows]
    if len(heights) == 1:
        heights = [max(heights[0], bottom - top)]
    sheet = Sheet(width, max(bottom, top + sum(heights) + GAP * max(0, len(heights) - 1)) + MARGIN)

    for i, line in enumerate(title):
        sheet.text(MARGIN, MARGIN + 36 * i, line, 26, weight="bold")
    for i, line in enumerate(lines):
        sheet.text(MARGIN, MARGIN + 36 * len(title) + 10 + 23 * i, line, 15, MUTED)
    for i, (panel, picture) in enumerate(zip(panels, pictures, strict=True)):
        x = MARGIN + i * (column + GAP)
        sheet.text(x, top, wrapped(panel.title, 17, column, 1)[0], 17, weight="bold")
        sheet.picture(picture, x, top + 30)
        for k, (statement, holds) in enumerate(panel.verdicts):
            y = top + 30 + height + 12 + 24 * k
            sheet.mark(x, y + 2, holds, 14, GOOD if holds else BAD)
            sheet.text(x + 22, y + 1, wrapped(statement, 14, column - 22, 1)[0], 14)
        if panel.heats:
            sheet.text(x, heat_top + 12, heat_title, 14, MUTED)
        for k, ((name, _), tile) in enumerate(zip(panel.heats, tiles[i], strict=True)):
            left, y = x + k * (heat_edge + 12), heat_top + 38
            sheet.picture(tile, left, y)
            label = wrapped(name, 14, heat_edge, 1)[0]
            sheet.text(left + tile.width / 2, y + tile_height + 6, label, 14, align="center")
    below: float = top
    for row, high in zip(rows, heights, strict=True):
        for k, (name, of_run) in enumerate(row):
            x = width - MARGIN - right_part + k * (WIDTH + GAP)
            plot_records(sheet, of_run, reached, stop_loss, x, below, WIDTH, high, name)
        below += high + GAP
    return sheet.image()


def fitted(picture: Image.Image) -> Image.Image:
    """The picture at the size a report shows it: as large as a square of EDGE, its longest side at most LONGEST."""
    width, height = picture.size
    scale = min(EDGE / (width * height) ** 0.5, LONGEST / max(width, height))
    return enlarged(picture, max(1, round(max(width, height) * scale)))


def _tile(picture: Image.Image, heat: np.ndarray, width: int) -> Image.Image:
    """A heat map over the picture, `width` pixels wide, at most twice as high."""
    over = heat_overlay(picture, heat)
    longest = max(over.size) * min(width / over.width, 2 * width / over.height)
    return enlarged(over, max(1, round(longest)))
