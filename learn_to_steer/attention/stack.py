"""The maps of one evaluation, and what a classifier is given of them: one size, one order of channels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..errors import SteeringError
from .layer import AttentionLayer, Stage, require_layers

Renormalise = Literal["official", "always"]
Resize = Literal["bilinear", "area"]


_ORDER = {stage: rank for rank, stage in enumerate(get_args(Stage))}


@dataclass(frozen=True)
class MapStack:
    """The recorded maps of one forward pass: `maps[i]` is (B, O, heads, H, W) float32 and belongs to
    `layers[i]`.

    Maps are raw: not resized, not renormalised. `stacked` makes a classifier's input of them.
    """

    layers: tuple[AttentionLayer, ...]
    maps: tuple[Tensor, ...]

    @property
    def channels(self) -> int:
        """Heads of all layers together: C of `stacked`."""
        return sum(m.shape[2] for m in self.maps)

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.maps[0].shape[0]

    def select(self, names: Collection[str] | None) -> MapStack:
        """Only the layers with these names (None: all). Raises SteeringError for a layer that was not
        recorded."""
        if names is None:
            return self
        require_layers(names, [layer.name for layer in self.layers])
        kept = [i for i, layer in enumerate(self.layers) if layer.name in names]
        return MapStack(tuple(self.layers[i] for i in kept), tuple(self.maps[i] for i in kept))

    def ordered(self) -> MapStack:
        """The official channel order: lowest resolution first; within it down, mid, up (or double, single),
        each in execution order; the heads of a layer stay together (Learn-to-Steer)."""
        order = sorted(
            range(len(self.layers)),
            key=lambda i: (
                self.maps[i].shape[-2] * self.maps[i].shape[-1],
                _ORDER[self.layers[i].stage],
                self.layers[i].index,
            ),
        )
        return MapStack(tuple(self.layers[i] for i in order), tuple(self.maps[i] for i in order))

    def stacked(
        self, map_size: int, renormalise: Renormalise = "official", resize: Resize = "bilinear"
    ) -> Tensor:
        """All maps as one tensor (B, O, C, S, S) float32, S = map_size, channels as in `ordered`.

        Maps are resized (see `resized`; a map that is not square becomes square) and divided by their own sum + 1e-8.
        "official": where all maps already are S x S nothing is resized *and nothing is renormalised*, as the authors'
        classifiers expect. "always": every map is renormalised, whatever its size.

        Raises SteeringError when nothing was recorded.
        """
        if not self.maps:
            raise SteeringError(
                "Expected at least one recorded attention layer, got none; check the layer names."
            )
        maps = self.ordered().maps
        if renormalise == "official" and all(m.shape[-2:] == (map_size, map_size) for m in maps):
            return torch.cat(maps, dim=2)
        return torch.cat([normalised(resized(m, map_size, resize)) for m in maps], dim=2)


def resized(maps: Tensor, map_size: int, resize: Resize = "bilinear") -> Tensor:
    """(B, O, C, H, W) -> (B, O, C, S, S); untouched where H = W = S.

    "bilinear": align_corners=False and without antialiasing, as the authors' classifiers expect; of a large map it
    reads few positions, 6% of a 64 x 64 one at S = 8. "area": each cell is the mean of the positions that it covers
    (adaptive average pooling), so that all are read and all have a gradient; a smaller map is enlarged bilinearly.
    """
    if maps.shape[-2:] == (map_size, map_size):
        return maps
    flat = rearrange(maps, "b o c h w -> (b o) c h w")
    if resize == "area":
        # Pooling is for the sides that shrink; a side that grows is interpolated afterwards.
        flat = F.adaptive_avg_pool2d(flat, (min(maps.shape[-2], map_size), min(maps.shape[-1], map_size)))
    if flat.shape[-2:] != (map_size, map_size):
        flat = F.interpolate(flat, (map_size, map_size), mode="bilinear", align_corners=False)
    return rearrange(flat, "(b o) c h w -> b o c h w", b=maps.shape[0])


def normalised(maps: Tensor) -> Tensor:
    """Each map (..., H, W) divided by its own sum + 1e-8."""
    return maps / (maps.sum((-2, -1), keepdim=True) + 1e-8)
