"""A layout drawn: where each object of a prompt belongs, a soft peak of its own colour with its name on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor

from .canvas import INK, Sheet, text_width
from .plots import SERIES
from .style import shortened

if TYPE_CHECKING:
    from ..guidance import Layout

_PAPER = (248, 250, 252)
_SPREAD = 0.35
"""Standard deviation of a drawn peak, in widths of its place."""


def layout_picture(layout: Layout | None, names: Sequence[str], width: int, height: int) -> Image.Image:
    """An RGB picture of width x height pixels. names: of the objects, in the layout's order. Without a
    layout it is empty."""
    places = layout.places if layout is not None else np.zeros((0, 2))
    sizes = layout.sizes if layout is not None else np.zeros((0, 2))
    xs, ys = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    ground = np.broadcast_to(np.array(_PAPER, np.float32), (height, width, 3)).copy()
    for k, ((x, y), (across, down)) in enumerate(zip(places, sizes, strict=True)):
        distance = ((xs - x) / (_SPREAD * across))[None] ** 2 + ((ys - y) / (_SPREAD * down))[:, None] ** 2
        peak = 0.85 * np.exp(-distance / 2)[..., None].astype(np.float32)
        colour = np.array(ImageColor.getrgb(SERIES[k % len(SERIES)]), np.float32)
        ground = ground * (1 - peak) + colour * peak
    size = max(11.0, min(width, height) / 22)
    picture = Image.fromarray(ground.clip(0, 255).astype(np.uint8))
    for k, (x, y) in enumerate(places):
        label = _label(shortened(f"{k + 1} {names[k]}", size, 0.9 * width), size)
        left = min(max(0, round(x * width - label.width / 2)), max(0, width - label.width))
        top = min(max(0, round(y * height - label.height / 2)), max(0, height - label.height))
        picture.paste(label, (left, top))
    return picture


def _label(text: str, size: float) -> Image.Image:
    sheet = Sheet(text_width(text, size) + size, 1.7 * size)
    sheet.text(sheet.width / 2, 0.3 * size, text, size, INK, "bold", "center")
    return sheet.image()
