"""Each way from a picture to its noise levels, by numbers worked out by hand."""

import numpy as np
import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.inversion import (
    Path,
    invert,
    levels,
    lowered,
    noised,
    passes,
    psnr,
    raised,
    returned,
    signal,
)

SIGMAS = (1.0, 0.5, 0.25)


class Counted:
    """dx / dsigma = x, and how often it was asked for."""

    def __init__(self) -> None:
        self.steps = []

    def __call__(self, x, step):
        self.steps.append(step)
        return x


def test_one_step_of_implicit_euler_by_hand():
    """From 1 to sigma 0.5: the slope at 1 is 1, so the next point is guessed as 1.5; the slope there, 1.5, is used to redo
    the step: 1 + 0.5 * 1.5. The second step begins with that slope: from 1.75 to 2.5, redone with the slope there, 2.5."""
    found = invert(torch.ones(1), [1.0, 0.5], lambda x, step: x)
    assert found.tolist() == [[1.75 + 0.5 * 2.5], [1.75]]


@pytest.mark.parametrize(
    ("way", "flow", "asked"),
    [("euler", False, 4), ("fixed-point", False, 16), ("noising", True, 0), ("rf", True, 1)],
)
def test_passes_are_as_many_as_said(way, flow, asked):
    """Three steps: N + 1; five fixed-point iterations each and one; none; and of RF-Inversion only the second step down,
    since the way up and the first step are the controller's."""
    slope = Counted()
    path = Path(SIGMAS, flow, slope)
    found = levels(way, torch.ones(2, 1), torch.zeros(2, 1), path)
    assert found.shape == (3, 2, 1)
    assert len(slope.steps) == asked == passes(way, 3)
    if way != "noising":
        returned(way, found, path)
        assert len(slope.steps) == passes(way, 3, back=True) == asked + (2 if way == "rf" else 3)


def test_rf_inversion_is_held_to_the_straight_line_and_then_let_go():
    """gamma 1: at sigma 1 there is the noise itself. eta 1 on the first step: on to the point of the straight line at
    sigma 0.5. Then the model alone: 2.5 + (0.25 - 0.5) * 2.5."""
    clean, noise = torch.tensor([1.0]), torch.tensor([4.0])
    slope = lambda x, step: x  # noqa: E731
    first = raised(clean, noise, SIGMAS, slope)
    assert first.tolist() == [4.0]
    assert lowered(first, clean, SIGMAS, slope).flatten().tolist() == [4.0, 2.5, 1.875]


def test_half_of_gamma_leaves_half_to_the_model():
    """From 0 to sigma 0.5, the model says 2, the controller (3 - 0) / 1: 0.5 * (2 + 0.5 * (3 - 2))."""
    found = raised(
        torch.zeros(1), torch.full((1,), 3.0), [0.5], lambda x, step: torch.full((1,), 2.0), gamma=0.5
    )
    assert found.tolist() == [1.25]


def test_noise_is_added_as_each_kind_of_model_has_it():
    clean, noise = torch.tensor([2.0]), torch.tensor([4.0])
    assert noised(clean, noise, 0.25, flow=True).tolist() == [2.5]
    assert noised(clean, noise, 0.25, flow=False).tolist() == [3.0]
    assert signal((1.0, 0.25), flow=True) == [0.0, 0.75]
    assert signal((0.75,), flow=False) == [0.8]


def test_rf_inversion_of_a_diffusion_model_is_refused():
    with pytest.raises(SteeringError, match="flow model"):
        levels("rf", torch.ones(1), torch.ones(1), Path(SIGMAS, False, Counted()))


def test_the_way_back_undoes_the_way_there():
    path = Path(SIGMAS, False, lambda x, step: 0.1 * torch.sin(x))
    clean = torch.tensor([[0.3, -1.0]])
    errors = []
    for way in ("euler", "fixed-point"):
        found = levels(way, clean, torch.zeros_like(clean), path)
        errors.append((returned(way, found, path) - clean).abs().max().item())
    assert errors[1] < 1e-5 < errors[0] < 1e-3


def test_psnr_by_hand():
    """Off by one grey level everywhere: 20 log10(255). Off by 255 in half of the pixels: 10 log10(2)."""
    dark = np.zeros((3, 2, 2, 3), np.uint8)
    other = dark.copy()
    other[0] += 1
    other[1, 0] = 255
    assert psnr(dark, other) == pytest.approx([48.1308, 3.0103, 99.0], abs=1e-3)
