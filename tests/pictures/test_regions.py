"""The warmest part of a heat map, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from learn_to_steer.pictures import warmest


def test_the_part_that_hangs_together_with_the_warmest_place():
    heat = np.zeros((4, 8), np.float32)
    heat[0, 0] = 0.8  # warm enough, and apart
    heat[1:3, 4], heat[3, 5], heat[1, 6] = 1.0, 0.5, 0.4
    region = warmest(heat, 0.5)
    assert sorted(zip(*np.nonzero(region.mask), strict=True)) == [(1, 4), (2, 4), (3, 5)]  # corners touch
    assert region.box == (4 / 8, 1 / 4, 6 / 8, 4 / 4)
    assert region.share == pytest.approx(2.5 / 3.7)
    assert warmest(heat, 1.0).box == (4 / 8, 1 / 4, 5 / 8, 3 / 4)


def test_a_map_without_heat():
    region = warmest(np.zeros((2, 2), np.float32))
    assert region.share == 0.0 and region.mask.any()
