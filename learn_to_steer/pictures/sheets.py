"""Sheets of many pictures: a row a prompt, a column a way to draw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from .canvas import Sheet

if TYPE_CHECKING:
    pass
from .style import BAD, GAP, GOOD, MARGIN, enlarged, wrapped


def comparison_sheet(
    title: str,
    columns: Sequence[str],
    rows: Sequence[str],
    pictures: Sequence[Sequence[Image.Image]],
    verdicts: Sequence[Sequence[Sequence[bool]]],
    edge: int = 128,
) -> Image.Image:
    """Many pictures: one row per prompt, one column per way of drawing it.

    pictures, verdicts: [row][column]; a verdict has a green tick or a red cross for each relation of the
    prompt and may be empty. edge: longest side of a picture in pixels.
    """
    label, gap, strip = 210, 14, 26
    width = 2 * MARGIN + label + len(columns) * (edge + gap)
    heading = wrapped(title, 20, width - 2 * MARGIN, 2)
    names = [wrapped(name, 14, edge, 2) for name in columns]
    top = MARGIN + 28 * len(heading) + GAP + 19 * max(len(name) for name in names)
    sheet = Sheet(width, top + len(rows) * (edge + strip) + MARGIN - gap)
    for i, line in enumerate(heading):
        sheet.text(MARGIN, MARGIN + 28 * i, line, 20, weight="bold")
    for column, name in enumerate(names):
        x = MARGIN + label + column * (edge + gap)
        for i, line in enumerate(name):
            y = top - 10 - 19 * (len(name) - i)
            sheet.text(x + edge / 2, y, line, 14, weight="bold", align="center")
    for row, prompt in enumerate(rows):
        y = top + row * (edge + strip)
        for i, line in enumerate(wrapped(prompt, 14, label - gap, 5)):
            sheet.text(MARGIN, y + edge / 2 - 30 + 19 * i, line, 14)
        for column, (picture, seen) in enumerate(zip(pictures[row], verdicts[row], strict=True)):
            x = MARGIN + label + column * (edge + gap)
            shown = enlarged(picture, edge)
            sheet.picture(shown, x, y)
            for k, holds in enumerate(seen):
                place = x + edge / 2 + 20 * (k - (len(seen) - 1) / 2)
                sheet.mark(place - 7, y + shown.height + 5, holds, 14, GOOD if holds else BAD)
    return sheet.image()


def stacked_sheets(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets one below the other, on white."""
    whole = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
    top = 0
    for one in sheets:
        whole.paste(one, (0, top))
        top += one.height
    return whole
