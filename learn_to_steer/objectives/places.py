"""Where each object is: one map an object, of one size, whatever the model, its layers and the number of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import MapStack

SIZE = 16
"""Side of the maps of places: 16 cells tell objects apart, and the layers that know about places are about that large."""

_REACH = 3  # of a kernel, in standard deviations


def object_places(maps: MapStack, layers: tuple[str, ...] | None, size: int = SIZE) -> Tensor:
    """(B, O, size, size) float32, each map with the sum 1: the mean over all heads of the layers (None: all), each head's
    map brought to this size and divided by its own sum first. A map of zeros stays one."""
    return maps.select(layers).stacked(size, "always", "area").mean(2)


def in_window(places: Tensor, spread: float) -> Tensor:
    """Of maps (B, O, S, S), what lies around each cell: the sum under a Gaussian window of height 1 whose standard
    deviation is `spread` of the side. Over the edge there is nothing."""
    sigma = spread * places.shape[-1]
    reach = max(1, round(_REACH * sigma))
    x = torch.arange(-reach, reach + 1, device=places.device, dtype=places.dtype)
    window = torch.exp(-(x**2) / (2 * sigma**2))
    flat = places.flatten(0, 1)[:, None]
    flat = F.conv2d(flat, window.view(1, 1, -1, 1), padding=(reach, 0))
    flat = F.conv2d(flat, window.view(1, 1, 1, -1), padding=(0, reach))
    return flat[:, 0].view_as(places)
