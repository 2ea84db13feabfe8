"""Scenes to pictures. The sprites are Noto emoji, kept as one picture so that no font is needed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from .world import IMAGE_SIZE, OBJECTS, Scene

SPRITE_SHEET = Path(__file__).parent / "assets" / "sprites.png"
"""One row of square RGBA cells, in the order of ``OBJECTS``; each sprite centred in its cell."""

CELL = 128


@lru_cache(maxsize=1)
def sprites() -> dict[str, Image.Image]:
    """Name -> RGBA sprite, cropped to its visible part."""
    with Image.open(SPRITE_SHEET) as file:
        sheet = file.convert("RGBA")
    cells = {name: sheet.crop((i * CELL, 0, (i + 1) * CELL, CELL)) for i, name in enumerate(OBJECTS)}
    return {name: cell.crop(cell.getchannel("A").getbbox()) for name, cell in cells.items()}


@lru_cache(maxsize=1)
def aspects() -> dict[str, float]:
    """Name -> width / height of the sprite."""
    return {name: sprite.width / sprite.height for name, sprite in sprites().items()}


def render(scene: Scene, pixels: int = IMAGE_SIZE) -> np.ndarray:
    """The picture of ``scene``: uint8, (pixels, pixels, 3)."""
    scale = pixels / IMAGE_SIZE
    ramp = np.linspace(0.0, 1.0, pixels, dtype=np.float32)[:, None, None]
    background = np.asarray(scene.top) * (1 - ramp) + np.asarray(scene.bottom) * ramp
    canvas = Image.fromarray(np.repeat(background.round().astype(np.uint8), pixels, axis=1))
    for placed in scene.objects:
        box = placed.box
        size = max(1, round(scale * box.width)), max(1, round(scale * box.height))
        sprite = sprites()[placed.name].resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        canvas.paste(sprite, (round(scale * box.x - size[0] / 2), round(scale * box.y - size[1] / 2)), sprite)
    return np.asarray(canvas)
