"""What differs between the attention maps of one model and another's, laid over maps by chance.

A classifier for every model must not lean on how one model's maps happen to look. Each function below is one way in which
maps of models differ, and leaves the relation of both objects as it is: the place and size of the whole, its aspect, how
peaked the maps are, how much attention lies on the background and how it is spread there, positions that everything
attends to, words that attend to each other's object, hidden parts, resolution, blur and noise. All take and give pairs of
maps (B, 2, S, S) float32 >= 0; a map's own scale means nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention import normalised, resized

GRIDS = (5, 6, 7, 8, 10, 12, 16, 24)
"""Sides of the grids that maps are brought to and back."""


def augmented(maps: Tensor, relation: Tensor, map_size: int, generator: torch.Generator) -> Tensor:
    """Pairs (B, 2, S, S) as some other model might show them, at (B, 2, map_size, map_size), each map with a mean of 1.

    relation (B,): index into SYMMETRIC_RELATIONS, which the aspect heeds.
    """
    maps = moved(scaled(maps), relation, generator)
    maps = leaked(maps, generator)
    maps = hidden(maps, generator)
    maps = peaked(maps, generator)
    maps = scaled(blurred(maps, generator))
    maps = noisy(with_sinks(with_background(maps, generator), generator), generator)
    parts = [
        resized(regridded(part, generator)[:, None], map_size, "area")[:, 0]
        for part in maps.split(max(1, -(-len(maps) // len(GRIDS))))
    ]
    return scaled(torch.cat(parts))


def scaled(maps: Tensor) -> Tensor:
    """Each map with a mean of 1."""
    return normalised(maps) * maps.shape[-2] * maps.shape[-1]


def mixed(channels: Tensor, layer_of: Tensor, generator: torch.Generator) -> Tensor:
    """Maps of all heads and layers (B, 2, C, S, S) -> the mean (B, 2, S, S) over some of them, by chance for every sample.

    layer_of (C,): the number of each channel's layer. A third of the samples show one layer, a third a few, the rest any;
    inside a layer some heads may be left out and others count more.
    """
    b, layers = len(channels), int(layer_of.max()) + 1
    order = torch.rand(b, layers, generator=generator).argsort(1).argsort(1)
    kind = torch.randint(3, (b,), generator=generator)
    most = torch.where(kind == 0, 1, torch.where(kind == 1, min(3, layers), layers))
    taken = (order < (1 + torch.rand(b, generator=generator) * most).clamp(max=layers).int()[:, None]).float()
    heads = (torch.rand(b, len(layer_of), generator=generator) < 0.75).float() + 1e-3
    weights = taken[:, layer_of] * heads * torch.exp(0.5 * torch.randn(b, len(layer_of), generator=generator))
    return torch.einsum("b o c h w, b c -> b o h w", channels, weights / weights.sum(1, keepdim=True))


def moved(maps: Tensor, relation: Tensor, generator: torch.Generator) -> Tensor:
    """The whole made smaller or larger, shifted, and stretched along the relation's own axis: a picture of another aspect
    whose map was made square. Across it a stretch could turn one relation into another."""
    b = len(maps)
    size = torch.exp(_uniform(generator, -0.5, 0.15, b))
    stretch = 1 + 0.35 * torch.rand(b, generator=generator) * _chance(generator, 0.5, b)
    sideways = relation < 2  # left and right
    wide, high = size * torch.where(sideways, stretch, 1.0), size * torch.where(sideways, 1.0, stretch)
    slack = torch.stack([(1 - wide).abs(), (1 - high).abs()], 1) + 0.1
    shift = (2 * torch.rand(b, 2, generator=generator) - 1) * slack
    theta = torch.zeros(b, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = 1 / wide, 1 / high, -shift / torch.stack([wide, high], 1)
    grid = F.affine_grid(theta, list(maps.shape), align_corners=False)
    floor = maps.amin((-2, -1), keepdim=True)
    inside = F.grid_sample(maps - floor, grid, align_corners=False) + floor
    keep = _chance(generator, 0.3, b)[:, None, None, None]
    return keep * maps + (1 - keep) * inside


def leaked(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Each word attends to the other's object too, and both to something that another sample shows."""
    b = len(maps)
    share = 0.6 * torch.rand(b, 2, 1, 1, generator=generator) * _chance(generator, 0.4, b, 1, 1, 1)
    others = maps[torch.randperm(b, generator=generator)].mean(1, keepdim=True)
    third = 0.5 * torch.rand(b, 2, 1, 1, generator=generator) * _chance(generator, 0.25, b, 1, 1, 1)
    return maps + share * maps.flip(1) + third * others


def hidden(maps: Tensor, generator: torch.Generator) -> Tensor:
    """A soft patch of one map is hidden, as by another object."""
    b, size = len(maps), maps.shape[-1]
    at = (torch.arange(size) + 0.5) / size
    x, y = (torch.rand(b, 2, 1, 1, generator=generator) for _ in range(2))
    radius = _uniform(generator, 0.08, 0.25, b, 2, 1, 1)
    patch = torch.exp(
        -((at.view(1, -1) - x).square() + (at.view(-1, 1) - y).square()) / (2 * radius.square())
    )
    return maps * (1 - 0.9 * patch * _chance(generator, 0.2, b, 2, 1, 1))


def peaked(maps: Tensor, generator: torch.Generator) -> Tensor:
    """More peaked, or flatter: a power of the map."""
    power = torch.exp(_uniform(generator, -0.8, 0.8, len(maps), 2, 1, 1))
    changed = (maps.clamp_min(0) + 1e-6).pow(power)
    return torch.where(_chance(generator, 0.6, len(maps), 1, 1, 1) > 0, scaled(changed), maps)


def blurred(maps: Tensor, generator: torch.Generator) -> Tensor:
    """A wider stroke: the mean with the map blurred by a Gaussian of about a tenth of a side."""
    size = maps.shape[-1]
    reach = size // 4
    at = torch.arange(-reach, reach + 1, dtype=maps.dtype)
    kernel = torch.exp(-at.square() / (2 * (0.1 * size) ** 2))
    kernel = kernel / kernel.sum()
    flat = maps.flatten(0, 1)[:, None]
    padded = F.pad(flat, (reach, reach, reach, reach), mode="replicate")
    soft = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1)).view_as(maps)
    share = torch.rand(len(maps), 1, 1, 1, generator=generator) * _chance(generator, 0.5, len(maps), 1, 1, 1)
    return (1 - share) * maps + share * soft


def with_background(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Attention that lies on no object: even, or in large soft shapes, alike in both maps or not. Maps with a mean of 1."""
    b = len(maps)
    amount = 5 * torch.rand(b, 2, 1, 1, generator=generator).square() * _chance(generator, 0.6, b, 1, 1, 1)
    shape = _soft(maps, generator, 3, 0.35 * torch.rand(b, 2, 1, 1, generator=generator))
    return maps + amount * shape


def with_sinks(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Single positions and borders that everything attends to, in both maps alike. Maps with a mean of 1 or more."""
    b, size = len(maps), maps.shape[-1]
    points = (torch.rand(b, 1, size, size, generator=generator) < 2.0 / size**2).float()
    height = 12 * torch.rand(b, 1, 1, 1, generator=generator) * _chance(generator, 0.2, b, 1, 1, 1)
    border = torch.zeros(b, 1, size, size)
    edge = torch.randint(4, (b,), generator=generator)
    for side, line in enumerate(
        (border[..., :, 0], border[..., :, -1], border[..., 0, :], border[..., -1, :])
    ):
        line += (edge == side).float()[:, None, None]
    strength = 3 * torch.rand(b, 1, 1, 1, generator=generator) * _chance(generator, 0.2, b, 1, 1, 1)
    return maps + height * points + strength * border


def noisy(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of each position and of larger patches, in proportion to the map, as at high noise levels."""
    b = len(maps)
    amount = 0.6 * torch.rand(b, 1, 1, 1, generator=generator).square() * _chance(generator, 0.7, b, 1, 1, 1)
    fine = torch.exp(amount * torch.randn(maps.shape, generator=generator))
    return maps * fine * _soft(maps, generator, 5, amount)


def regridded(maps: Tensor, generator: torch.Generator) -> Tensor:
    """At another resolution: one grid, not always square, for the whole batch."""
    height = GRIDS[int(torch.randint(len(GRIDS), (), generator=generator))]
    width = max(4, round(height * float(_uniform(generator, 0.75, 1.33))))
    if torch.rand((), generator=generator) < 0.5:
        width = height
    smaller = F.adaptive_avg_pool2d(maps, (min(height, maps.shape[-2]), min(width, maps.shape[-1])))
    return F.interpolate(smaller, (height, width), mode="bilinear", align_corners=False)


def _soft(maps: Tensor, generator: torch.Generator, cells: int, amount: Tensor) -> Tensor:
    """exp(amount * z), z noise of `cells` x `cells` patches, smoothly enlarged to the maps' size."""
    coarse = torch.randn(*maps.shape[:2], cells, cells, generator=generator)
    return torch.exp(amount * F.interpolate(coarse, maps.shape[-2:], mode="bicubic", align_corners=False))


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _chance(generator: torch.Generator, share: float, *shape: int) -> Tensor:
    """1 with this probability, else 0."""
    return (torch.rand(shape, generator=generator) < share).float()
