"""A picture with what was found in it, and below it whether it obeys."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .canvas import Sheet
from .style import BAD, GOOD, enlarged, wrapped

EDGE = 512
"""Least longest side of the picture, in pixels."""

Found = tuple[str, tuple[float, float, float, float]]
"""(name, (x0, y0, x1, y1) in pixels of the picture)."""


def verdict_pictures(
    pictures: Sequence[Image.Image], found: Sequence[Sequence[Found]], verdicts: Sequence[tuple[bool, str]]
) -> list[Image.Image]:
    """One sheet a picture, all of one size: its boxes drawn over it, a tick or a cross and the words of its verdict below.

    pictures: of one size. found: the boxes of each. verdicts: (obeys, words) of each.
    """
    width = max(EDGE, *(round(p.width * max(1.0, EDGE / max(p.size))) for p in pictures))
    texts = [wrapped(words, 18, width - 52, 4) for _, words in verdicts]
    strip = 24 + 24 * max(len(lines) for lines in texts)
    return [
        _sheet(picture, boxes, obeys, lines, width, strip)
        for picture, boxes, (obeys, _), lines in zip(pictures, found, verdicts, texts, strict=True)
    ]


def _sheet(
    picture: Image.Image, boxes: Sequence[Found], obeys: bool, lines: Sequence[str], width: int, strip: int
) -> Image.Image:  # fmt: skip
    large = enlarged(picture, max(EDGE, *picture.size)).convert("RGB")
    scale, left = large.width / picture.width, (width - large.width) // 2
    colour = GOOD if obeys else BAD
    whole = Sheet(width, large.height + strip)
    whole.picture(large, left, 0)
    whole.mark(14, large.height + 13, obeys, 18, colour)
    for i, line in enumerate(lines):
        whole.text(42, large.height + 12 + 24 * i, line, 18)
    shown = whole.image()
    frames = Sheet(width, large.height + strip)
    for name, (x0, y0, x1, y1) in boxes:
        corners = [
            (left + scale * x, scale * y) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        ]
        frames.line(corners, colour, 2)
        frames.text(corners[0][0] + 4, corners[0][1] + 3, name, 15, colour, "bold")
    drawn = frames.image()
    inked = drawn.convert("L").point(lambda v: 255 if v < 250 else 0)
    shown.paste(drawn, mask=inked)
    return shown
