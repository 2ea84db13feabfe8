"""What all sheets share: colours, margins, pictures brought to size, text that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from .canvas import text_width

if TYPE_CHECKING:
    pass

GOOD = "#15803d"


BAD = "#dc2626"


MARGIN = 40


GAP = 28


def enlarged(picture: Image.Image, edge: int) -> Image.Image:
    """The picture with its longest side brought to `edge` pixels."""
    scale = edge / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def wrapped(text: str, size: float, width: float, most: int) -> list[str]:
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
    return [shortened(line, size, width) for line in lines]


def shortened(line: str, size: float, width: float) -> str:
    """The line, cut short with dots where it is wider than `width` pixels."""
    if text_width(line, size) <= width:
        return line
    low, high = 0, len(line)  # the longest beginning that fits with its dots
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(line[:middle].rstrip() + "…", size) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return line[:low].rstrip() + "…"
