"""Where the model attends: the heat map of each object, alone or over a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .canvas import heat_colours

if TYPE_CHECKING:
    from ..attention import MapStack


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
