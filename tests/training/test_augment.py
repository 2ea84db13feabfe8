"""Differences between models, laid over maps: each leaves the relation as it is."""

import pytest
import torch

from learn_to_steer.training import augment

SIZE = 16


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spots(first, second, count=400):
    """`count` times the same pair of maps: a soft spot each at (x, y) in cells."""
    at = torch.arange(SIZE) + 0.5

    def spot(x, y):
        return torch.exp(-((at.view(1, -1) - x) ** 2 + (at.view(-1, 1) - y) ** 2) / 6)

    return torch.stack([spot(*first), spot(*second)])[None].repeat(count, 1, 1, 1)


def centres(maps):
    size = maps.shape[-1]
    at = (torch.arange(size) + 0.5) / size
    total = maps.sum((-2, -1))
    return (maps.sum(-2) * at).sum(-1) / total, (maps.sum(-1) * at).sum(-1) / total


@pytest.mark.parametrize(
    "change", ["leaked", "hidden", "peaked", "blurred", "with_background", "with_sinks", "noisy"]
)
def test_each_changes_some_samples_and_keeps_the_side(change):
    maps = augment.scaled(spots((4, 8), (12, 8)))
    changed = getattr(augment, change)(maps, generator())
    assert changed.shape == maps.shape and changed.isfinite().all() and changed.min() >= 0
    share = (changed - maps).abs().amax((1, 2, 3)).gt(1e-4).float().mean()
    assert share > 0.15
    assert torch.equal(changed, getattr(augment, change)(maps, generator()))
    x, _ = centres(changed)
    # The first stands to the left: sinks and backgrounds that both share pull both centres alike.
    assert (x[:, 0] < x[:, 1]).float().mean() > 0.97


def test_the_whole_moves_together_and_stretches_along_the_relation():
    """Offset (8, 6) cells: a stretch of more than 4 / 3 across the relation would make "below" of "right"."""
    maps = spots((10.5, 9.5), (5.5, 5.75), 600)
    sideways = augment.moved(maps, torch.ones(600, dtype=torch.long), generator())
    x, y = centres(sideways)
    kept = sideways.sum((-2, -1)).amin(1) > 0.5 * maps.sum((-2, -1)).amin()  # not shifted out of the picture
    dx, dy = (x[:, 0] - x[:, 1])[kept], (y[:, 0] - y[:, 1])[kept]
    ratio = dx / dy
    assert kept.float().mean() > 0.8
    assert ratio.quantile(0.02) > 1.2 and ratio.quantile(0.98) > 1.5  # 4 / 3, or more
    downwards = augment.moved(maps.mT, torch.full((600,), 3), generator())
    x, y = centres(downwards)
    kept = downwards.sum((-2, -1)).amin(1) > 0.5 * maps.sum((-2, -1)).amin()
    assert ((y[:, 0] - y[:, 1]) / (x[:, 0] - x[:, 1]))[kept].quantile(0.02) > 1.2


def test_mixtures_are_means_of_some_channels():
    """Three layers of two heads, every channel a constant of its own: a mean lies between the least and the largest, and
    a third of the samples show one layer alone."""
    values = torch.tensor([1.0, 1.1, 5.0, 5.1, 9.0, 9.1])
    channels = values.view(1, 1, 6, 1, 1).expand(600, 2, 6, 4, 4)
    mixed = augment.mixed(channels, torch.tensor([0, 0, 1, 1, 2, 2]), generator())
    assert mixed.shape == (600, 2, 4, 4)
    assert torch.equal(mixed[:, 0], mixed[:, 1])  # both objects through the same heads
    value = mixed[:, 0, 0, 0]
    assert value.min() >= 1 - 1e-4 and value.max() <= 9.1 + 1e-4
    alone = sum(((value >= v - 1e-4) & (value <= v + 0.1 + 1e-4)).float().mean() for v in (1.0, 5.0, 9.0))
    assert alone > 1 / 3
    assert torch.allclose(
        augment.mixed(torch.ones(5, 2, 6, 4, 4), torch.zeros(6).long(), generator()), torch.ones(1)
    )


def test_all_of_them():
    """To the classifier's size, a mean of 1, the same for the same numbers, and mostly still readable."""
    maps = spots((4, 8), (12, 8), 800)
    relation = torch.zeros(800, dtype=torch.long)
    changed = augment.augmented(maps, relation, 8, generator(3))
    assert changed.shape == (800, 2, 8, 8) and changed.isfinite().all() and changed.min() >= 0
    assert torch.allclose(changed.mean((-2, -1)), torch.ones(800, 2), atol=1e-4)
    assert torch.equal(changed, augment.augmented(maps, relation, 8, generator(3)))
    x, _ = centres(changed)
    assert (x[:, 0] < x[:, 1]).float().mean() > 0.93


def test_grids():
    """At another resolution and back a map keeps its place; grids differ from call to call."""
    maps = spots((4, 8), (12, 8), 2)
    shapes = {tuple(augment.regridded(maps, generator(i)).shape[-2:]) for i in range(40)}
    assert len(shapes) > 10 and any(h != w for h, w in shapes)
    for i in range(10):
        x, _ = centres(augment.resized(augment.regridded(maps, generator(i))[:, None], SIZE, "area")[:, 0])
        assert abs(float(x[0, 0]) - 4 / 16) < 0.06 and abs(float(x[0, 1]) - 12 / 16) < 0.06
