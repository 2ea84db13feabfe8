"""A white sheet measured in pixels, with text, pictures and plain line plots. Needs Pillow and nothing else.

Drawn at twice the size and brought down at the end, so that lines and letters are smooth; pictures are put in afterwards,
pixel for pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, MUTED, FAINT, PAPER = "#111827", "#6b7280", "#e5e7eb", "#ffffff"

_SCALE = 2
_INFERNO = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10), (249, 201, 50),
    (252, 255, 164),
)  # fmt: skip
"""Nine even points of a dark-to-light heat scale (matplotlib's "inferno")."""


def heat_colours(warmth: np.ndarray) -> np.ndarray:
    """Values in 0..1, any shape -> RGB float32 in 0..255, shape (..., 3)."""
    points = np.linspace(0, 1, len(_INFERNO))
    channels = [np.interp(warmth, points, [colour[c] for colour in _INFERNO]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


@lru_cache(maxsize=64)
def _font(size: float) -> Any:
    return ImageFont.load_default(size)


def text_width(text: str, size: float) -> float:
    """Width in pixels of a line of bold text of `size` pixels; normal text is narrower."""
    return float(_font(size * _SCALE).getlength(text)) / _SCALE + 1


class Sheet:
    """A sheet of width x height pixels. All places are pixels from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self._large = Image.new("RGB", (self.width * _SCALE, self.height * _SCALE), PAPER)
        self.draw = ImageDraw.Draw(self._large)
        self._pictures: list[tuple[Image.Image, int, int]] = []

    def text(
        self, x: float, y: float, text: str, size: float, color: str = INK, weight: str = "normal",
        align: Literal["left", "center", "right"] = "left",
    ) -> None:  # fmt: skip
        """One line of text, size in pixels; (x, y) is the top of the line at its left end, its middle or its right end."""
        anchor = {"left": "ls", "center": "ms", "right": "rs"}[align]
        place = x * _SCALE, (y + 0.86 * size) * _SCALE
        stroke = 1 if weight == "bold" else 0
        self.draw.text(
            place, text, color, _font(size * _SCALE * 0.96), anchor, stroke_width=stroke, stroke_fill=color
        )

    def mark(self, x: float, y: float, holds: bool, size: float, color: str) -> None:
        """A tick or a cross in a box of `size` pixels whose top left corner is (x, y)."""
        shape = ((0.05, 0.55), (0.38, 0.88), (0.95, 0.15)) if holds else ((0.1, 0.15), (0.85, 0.9))
        strokes = [shape] if holds else [shape, ((0.85, 0.15), (0.1, 0.9))]
        for stroke in strokes:
            self.line([(x + a * size, y + b * size) for a, b in stroke], color, size / 7)

    def dot(self, x: float, y: float, radius: float, color: str) -> None:
        """A filled circle about (x, y)."""
        box = [v * _SCALE for v in (x - radius, y - radius, x + radius, y + radius)]
        self.draw.ellipse(box, fill=color)

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """A line through these points."""
        flat = [(a * _SCALE, b * _SCALE) for a, b in points]
        self.draw.line(flat, fill=color, width=max(1, round(width * _SCALE)), joint="curve")

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """A filled rectangle."""
        self.draw.rectangle([v * _SCALE for v in (x, y, x + width, y + height)], fill=color)

    def picture(self, picture: Image.Image, x: float, y: float) -> None:
        """A picture, pixel for pixel, its top left corner at (x, y)."""
        self._pictures.append((picture.convert("RGB"), round(x), round(y)))

    def image(self) -> Image.Image:
        """What has been drawn."""
        sheet = self._large.resize((self.width, self.height), Image.Resampling.LANCZOS)
        for picture, x, y in self._pictures:
            sheet.paste(picture, (x, y))
        return sheet


class Plot:
    """A line plot in a box of a sheet. The axes are labelled by `frame`, which is drawn before the lines."""

    def __init__(
        self, sheet: Sheet, box: tuple[float, float, float, float], x_range: tuple[float, float],
        y_range: tuple[float, float], logarithmic: bool = False,
    ) -> None:  # fmt: skip
        """box: x, y, width, height in pixels. logarithmic: the y axis, its range above 0."""
        self.sheet, self.box, self.x_range, self.logarithmic = sheet, box, x_range, logarithmic
        self.y_range = (math.log10(y_range[0]), math.log10(y_range[1])) if logarithmic else y_range

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point on the sheet; values outside the range are put on its edge."""
        left, top, width, height = self.box
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        level = math.log10(max(y, 1e-300)) if self.logarithmic else y
        share = min(max((level - y0) / ((y1 - y0) or 1), 0), 1)
        return left + width * (x - x0) / ((x1 - x0) or 1), top + height * (1 - share)

    def band(self, first: float, last: float, color: str) -> None:
        """A vertical band over the whole height."""
        _, top, _, height = self.box
        a, b = self.at(first, 0)[0], self.at(last, 0)[0]
        self.sheet.box(a, top, b - a, height, color)

    def frame(self) -> None:
        """Grid lines and the numbers of both axes."""
        left, top, width, height = self.box
        for value in self._y_ticks():
            y = self.at(0, value)[1]
            self.sheet.line([(left, y), (left + width, y)], FAINT, 0.8)
            self.sheet.text(left - 8, y - 6, f"{value:g}", 11, MUTED, align="right")
        count = max(1, round(self.x_range[1] - self.x_range[0]))
        for value in range(1, count + 1, max(1, math.ceil(count / 8))):
            self.sheet.text(self.at(value, 0)[0], top + height + 6, str(value), 11, MUTED, align="center")

    def _y_ticks(self) -> list[float]:
        low, high = self.y_range
        if self.logarithmic:
            exponents = range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)
            return [10.0**e for e in list(exponents)[:: max(1, math.ceil(len(exponents) / 5))]]
        raw = (high - low) / 4
        unit = 10 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
        step = next(unit * f for f in (1, 2, 2.5, 5, 10) if unit * f >= raw * 0.999)
        first = math.ceil(low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]

    def line(self, xs: Sequence[float], ys: Sequence[float], color: str, dots: bool = True) -> None:
        """A line through (x, y) with a dot at each; values that are not finite are left out."""
        places = [self.at(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        if len(places) > 1:
            self.sheet.line(places, color, 2)
        for x, y in places if dots or len(places) == 1 else ():
            self.sheet.dot(x, y, 2.6, color)

    def threshold(self, y: float, color: str) -> None:
        """A dashed horizontal line."""
        left, _, width, _ = self.box
        height = self.at(0, y)[1]
        for k in range(int(width // 9)):
            self.sheet.line([(left + 9 * k, height), (left + 9 * k + 5, height)], color, 1.2)

    def title(self, text: str, align: Literal["left", "right"], size: float, color: str) -> None:
        """A line above the plot."""
        left, top, width, _ = self.box
        self.sheet.text(left if align == "left" else left + width, top - 20, text, size, color, align=align)
