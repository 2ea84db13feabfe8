"""Cost against obedience: what each setting costs and how often its pictures obey, and which are worth their cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from .canvas import FAINT, INK, MUTED, Plot, Sheet
from .style import GOOD, MARGIN, wrapped

_LABEL, _COST, _WIDTH, _ROW, _FOOT = 190, 70, 420, 30, 60


def front_of(summary: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The settings that no other one beats: none costs at most as much and obeys more often, or costs less and obeys as
    often. In the order of their cost. summary: setting -> figures, "cost" and "relation" among them."""

    def beaten(name: str) -> bool:
        cost, share = summary[name]["cost"], summary[name]["relation"]
        return any(
            other["cost"] <= cost
            and other["relation"] >= share
            and (other["cost"], other["relation"]) != (cost, share)
            for other in summary.values()
        )

    return sorted((name for name in summary if not beaten(name)), key=lambda name: summary[name]["cost"])


def front_plot(title: str, summary: Mapping[str, Mapping[str, Any]]) -> Image.Image:
    """A row a setting, the cheapest first: its cost, and the share of its pictures that obey with the 95% interval. Green:
    the front. summary: as `front_of` takes it, with "relation_95"."""
    heading = wrapped(title, 18, _LABEL + _COST + _WIDTH, 2)
    top = MARGIN + 26 * len(heading) + 30
    left, height = MARGIN + _LABEL + _COST, _ROW * len(summary)
    sheet = Sheet(left + _WIDTH + MARGIN, top + height + _FOOT + MARGIN)
    for i, line in enumerate(heading):
        sheet.text(MARGIN, MARGIN + 26 * i, line, 18, weight="bold")
    sheet.text(left - 18, top - 20, "cost", 11, MUTED, align="right")
    plot = Plot(sheet, (left, top, _WIDTH, height), (0.0, 1.0), (0.0, 1.0))
    for tenth in range(0, 11, 2):
        x = plot.at(tenth / 10, 0)[0]
        sheet.line([(x, top), (x, top + height)], FAINT, 0.8)
        sheet.text(x, top + height + 6, f"{tenth * 10}%", 11, MUTED, align="center")
    best = front_of(summary)
    for row, name in enumerate(sorted(summary, key=lambda name: summary[name]["cost"])):
        figures, y = summary[name], top + _ROW * (row + 0.5)
        color = GOOD if name in best else INK
        sheet.text(MARGIN, y - 8, wrapped(name, 13, _LABEL - 12, 1)[0], 13, color)
        sheet.text(left - 18, y - 8, f"{figures['cost']:.2f}", 13, color, align="right")
        low, high = figures["relation_95"]
        sheet.line([(plot.at(low, 0)[0], y), (plot.at(high, 0)[0], y)], color, 2)
        sheet.dot(plot.at(figures["relation"], 0)[0], y, 4, color)
    sheet.text(
        MARGIN,
        top + height + 26,
        "share of pictures that obey, with the 95% interval, and cost (plain = 1); green: no other is cheaper and better",
        11,
        MUTED,
    )
    return sheet.image()
