"""Does a classifier follow wrong words? Shares of errors with their intervals, beside what a reader blind to words does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from .canvas import INK, MUTED, Plot, Sheet
from .style import BAD, GOOD, MARGIN, wrapped

_LABEL, _WIDTH, _ROW, _FOOT = 190, 420, 30, 60


def leakage_plot(title: str, groups: Sequence[tuple[str, Mapping[str, Any] | None]]) -> Image.Image:
    """A row a group. groups: (label, errors), errors as `training.leakage.as_json` gives them, None without an error.

    A dot is the share of errors that are the wrong word, its line the 95% interval, the dashed line a blind reader's share;
    red where the whole interval lies above it.
    """
    heading = wrapped(title, 18, _LABEL + _WIDTH, 2)
    top = MARGIN + 26 * len(heading) + 14
    sheet = Sheet(2 * MARGIN + _LABEL + _WIDTH, top + _ROW * len(groups) + _FOOT + MARGIN)
    for i, line in enumerate(heading):
        sheet.text(MARGIN, MARGIN + 26 * i, line, 18, weight="bold")
    left, height = MARGIN + _LABEL, _ROW * len(groups)
    plot = Plot(sheet, (left, top, _WIDTH, height), (0.0, 1.0), (0.0, 1.0))
    for tenth in range(0, 11, 2):
        x = plot.at(tenth / 10, 0)[0]
        sheet.line([(x, top), (x, top + height)], "#e5e7eb", 0.8)
        sheet.text(x, top + height + 6, f"{tenth * 10}%", 11, MUTED, align="center")
    blind = next((float(errors["blind"]) for _, errors in groups if errors), None)
    if blind is not None:
        x = plot.at(blind, 0)[0]
        for k in range(height // 9):
            sheet.line([(x, top + 9 * k), (x, top + 9 * k + 5)], GOOD, 1.2)
    for row, (label, errors) in enumerate(groups):
        y = top + _ROW * (row + 0.5)
        sheet.text(MARGIN, y - 8, wrapped(label, 13, _LABEL - 12, 1)[0], 13, INK)
        if not errors:
            sheet.text(left + 8, y - 7, "no error", 12, MUTED)
            continue
        low, high = errors["interval"]
        color = BAD if blind is not None and low > blind else INK
        sheet.line([(plot.at(low, 0)[0], y), (plot.at(high, 0)[0], y)], color, 2)
        sheet.dot(plot.at(errors["share"], 0)[0], y, 4, color)
        sheet.text(left + _WIDTH, y - 18, f"{errors['errors']:,} errors", 10, MUTED, align="right")
    sheet.text(
        left,
        top + height + 26,
        "share of the errors under wrong words that are that word (dashed: blind to words)",
        11,
        MUTED,
    )
    return sheet.image()


def groups_of(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """The groups of `training.leakage.as_json`: all records, each relation, each step."""
    rows: list[tuple[str, Mapping[str, Any] | None]] = [("all", figures.get("errors"))]
    rows += [(name, one["errors"]) for name, one in figures.get("by_relation", {}).items()]
    rows += [(f"step {step}", one["errors"]) for step, one in figures.get("by_step", {}).items()]
    return rows
