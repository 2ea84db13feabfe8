"""Pictures of any kind -> RGB of the wanted size, without losing either of two boxes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .geometry import LEAST_SIDE, Box, inside

MOST_PIXELS = 2**27
"""Of a picture that is opened; more is no photograph but a trap or a map."""


class Unusable(ValueError):
    """A picture that cannot be used; the text is the kind of its damage."""


def opened(path: Path, turned: bool) -> Image.Image:
    """The picture in this file as RGB. turned: as its EXIF orientation says; boxes are of the picture as it is stored.

    Raises Unusable for a missing, unreadable, tiny or huge one.
    """
    if not path.is_file():
        raise Unusable("a picture file that is missing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                if file.width * file.height > MOST_PIXELS:
                    raise Unusable("a picture that is too large")
                if min(file.size) < LEAST_SIDE:
                    raise Unusable(f"a picture with a side under {LEAST_SIDE} pixels")
                picture = ImageOps.exif_transpose(file) if turned else file
                return as_rgb(picture)
    except Unusable:
        raise
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them stumble over
        raise Unusable("a picture that cannot be read") from error


def as_rgb(picture: Image.Image) -> Image.Image:
    """RGB of 8 bits; what is transparent becomes white, 16 bits become 8 by their upper half."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, dtype=np.float64)
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        top = 65535.0 if picture.mode != "F" else max(1.0, float(values.max(initial=0.0)))
        return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, clear).convert("RGB")
    return picture.convert("RGB")


def fitted(picture: Image.Image, size: tuple[int, int], boxes: Sequence[Box]) -> np.ndarray:
    """(height, width, 3) uint8. The largest part of the wanted shape that holds all boxes, as central as they let it be;
    where there is none, and without boxes, the whole picture is squeezed: neither changes a direction.

    Raises Unusable for boxes that do not lie in the picture.
    """
    height, width = size
    if any(not inside(box, picture.width, picture.height) for box in boxes):
        raise Unusable("a box that is not inside of its picture")
    scale = min(picture.width / width, picture.height / height)
    across, down = min(picture.width, width * scale), min(picture.height, height * scale)
    area = (0.0, 0.0, float(picture.width), float(picture.height))
    if boxes:
        left = _start(picture.width, across, min(b[0] for b in boxes), max(b[0] + b[2] for b in boxes))
        top = _start(picture.height, down, min(b[1] for b in boxes), max(b[1] + b[3] for b in boxes))
        if left is not None and top is not None:
            area = (left, top, left + across, top + down)
    whole = picture.resize((width, height), Image.Resampling.BICUBIC, box=area, reducing_gap=3.0)
    return np.asarray(whole)


def _start(side: float, length: float, first: float, last: float) -> float | None:
    """Where a window of this length begins that holds first..last, as near to the middle as may be."""
    first, last = max(0.0, first), min(side, last)
    if last - first > length:
        return None
    return min(max((side - length) / 2, last - length, 0.0), first, side - length)
