"""Pictures of what steering does: heat maps over a picture, the report of one prompt, a sheet of many.

Drawn on sheets of `canvas.py`, measured in pixels. Pictures are PIL images, heat maps numpy arrays (H, W), places (x, y)
in pixels from the top left corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .canvas import INK, MUTED, Plot, Sheet, heat_colours, text_width

if TYPE_CHECKING:
    from .attention import MapStack
    from .steering import Record

GOOD, BAD, BAND = "#15803d", "#dc2626", "#f6f7f8"
SERIES = ("#2563eb", "#d97706", "#7c3aed", "#0d9488", "#db2777", "#65a30d")
"""Colours of the relations of a prompt, in turn."""

EDGE = 384
"""Longest side of a picture in the report, in pixels: three times EmojiWorld's."""

MARGIN, GAP = 40, 28


@dataclass(frozen=True)
class Panel:
    """One way a prompt was drawn. verdicts: (statement, whether the judge sees it). heats: (object, heat map
    (H, W)) of the same objects in every panel; empty: none to show."""

    title: str
    picture: Image.Image
    verdicts: Sequence[tuple[str, bool]] = ()
    heats: Sequence[tuple[str, np.ndarray]] = ()


def object_heats(maps: MapStack, image: int = 0) -> np.ndarray:
    """(O, S, S) float32: each object's attention, the mean over the heads of all recorded layers, each head
    divided by its sum; S is the largest map's side. image: index in the batch."""
    size = max(side for m in maps.maps for side in m.shape[-2:])
    stacked = maps.stacked(size, "always")[image]
    return stacked.mean(1).detach().float().cpu().numpy()


def heat_overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """A heat map (H, W), any range, over a picture of any size; the picture shows through where it is cold.

    Returns an RGB picture of the same size. A map that is the same everywhere is drawn cold.
    """
    from_map, low, high = np.asarray(heat, np.float32), float(np.min(heat)), float(np.max(heat))
    scaled = (from_map - low) / (high - low) if high > low else np.zeros_like(from_map)
    smooth = Image.fromarray(scaled).resize(picture.size, Image.Resampling.BICUBIC)
    warmth = np.asarray(smooth, np.float32).clip(0, 1)[..., None]
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    backdrop = 0.6 * grey + 0.15 * np.asarray(picture.convert("RGB"), np.float32)
    colours = heat_colours(warmth[..., 0])
    mixed = backdrop * (1 - 0.85 * warmth) + colours * (0.25 + 0.75 * warmth)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


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
    pictures = [_enlarged(panel.picture, EDGE) for panel in panels]
    height = max(p.height for p in pictures)
    plot_width = 470 if records else 0
    width = 2 * MARGIN + len(panels) * EDGE + (len(panels) - 1) * GAP + (plot_width and plot_width + 2 * GAP)
    title = _wrapped(prompt, 26, width - 2 * MARGIN, 3)
    lines = [part for line in lines for part in _wrapped(line, 15, width - 2 * MARGIN, 2)]
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
            sheet.text(x + 22, y + 1, _wrapped(statement, 14, EDGE - 22, 1)[0], 14)
        if panel.heats:
            sheet.text(x, heat_top + 12, heat_title, 14, MUTED)
        for k, (name, heat) in enumerate(panel.heats):
            left, y = x + k * (heat_edge + 12), heat_top + 38
            tile = _enlarged(heat_overlay(picture, heat), heat_edge)
            sheet.picture(tile, left, y)
            label = _wrapped(name, 14, heat_edge, 1)[0]
            sheet.text(left + heat_edge / 2, y + heat_edge + 6, label, 14, align="center")
    if records:
        left = width - MARGIN - plot_width
        _plot_records(sheet, records, reached, stop_loss, left, top, plot_width, bottom - top)
    return sheet.image()


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
    heading = _wrapped(title, 20, width - 2 * MARGIN, 2)
    names = [_wrapped(name, 14, edge, 2) for name in columns]
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
        for i, line in enumerate(_wrapped(prompt, 14, label - gap, 5)):
            sheet.text(MARGIN, y + edge / 2 - 30 + 19 * i, line, 14)
        for column, (picture, seen) in enumerate(zip(pictures[row], verdicts[row], strict=True)):
            x = MARGIN + label + column * (edge + gap)
            sheet.picture(_enlarged(picture, edge), x, y)
            for k, holds in enumerate(seen):
                place = x + edge / 2 + 20 * (k - (len(seen) - 1) / 2)
                sheet.mark(place - 7, y + edge + 5, holds, 14, GOOD if holds else BAD)
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
        sheet.text(x + 20, y + 32 + 22 * i, _wrapped(label, 14, width - 20, 1)[0], 14)
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


def _enlarged(picture: Image.Image, edge: int) -> Image.Image:
    """The picture with its longest side brought to `edge` pixels."""
    scale = edge / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _wrapped(text: str, size: float, width: float, most: int) -> list[str]:
    """The text in at most `most` lines of `width` pixels, the last one cut short where it must be."""
    lines, words = [""], text[:2000].split()
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_shortened(line, size, width) for line in lines]


def _shortened(line: str, size: float, width: float) -> str:
    if text_width(line, size) <= width:
        return line
    low, high = 0, len(line)  # the longest beginning that fits with its dots
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(line[:middle].rstrip() + "…", size) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return line[:low].rstrip() + "…"
