"""Moves, by hand: a latent of rms r and a gradient whose direction is known."""

import pytest
import torch

from learn_to_steer.steering import SteeringPlan
from learn_to_steer.steering.step_rules import move_of

ONE = torch.ones(1)


@pytest.mark.parametrize("side", [16, 64, 128, 160])
def test_a_move_has_the_same_length_at_every_size(side):
    """A latent of rms 2 is moved by 5 units: an L2 norm of 10, at 1,024 elements as at 102,400. An even gradient makes
    all elements alike: 10 / sqrt(n) each."""
    z = 2.0 * torch.ones(1, 4, side, side)
    z[:, ::2] *= -1
    gradient = torch.ones_like(z)
    move = move_of(z, gradient, SteeringPlan(step_size=5.0), ONE)
    assert move.norm() == pytest.approx(10.0, rel=1e-4)
    assert move.flatten()[0] == pytest.approx(-10.0 / (4 * side * side) ** 0.5, rel=1e-4)


def test_strength_and_what_is_left_of_the_step_shorten_it():
    z = torch.ones(1, 4, 16, 16)
    move = move_of(z, torch.ones_like(z), SteeringPlan(step_size=4.0, strength=0.5), torch.tensor([0.25]))
    assert move.norm() == pytest.approx(4.0 * 0.5 * 0.25, rel=1e-4)


def test_no_element_moves_by_more_than_one_rms():
    """All of the gradient on one element: 5 units would land there, one is let through."""
    z = torch.ones(1, 4, 16, 16)
    gradient = torch.full_like(z, 1e-9)
    gradient[0, 0, 0, 0] = 1.0
    assert move_of(z, gradient, SteeringPlan(), ONE).abs().max() == pytest.approx(1.0)


def test_a_small_part_is_not_moved_as_far_as_a_whole_picture():
    """A mask lets 4 x 4 of 16 x 16 move, 64 elements of rms 1: 0.2 an element on average, a norm of 0.2 * 8 = 1.6
    instead of 5. The rest of the latent, ten times as large, does not count and does not move."""
    z = 10 * torch.ones(1, 4, 16, 16)
    gradient = torch.zeros_like(z)
    z[..., :4, :4], gradient[..., :4, :4] = 1.0, -1.0
    move = move_of(z, gradient, SteeringPlan(), ONE)
    assert move.norm() == pytest.approx(1.6, rel=1e-4)
    assert move[..., 4:, :].abs().max() == 0 and move[0, 0, 0, 0] == pytest.approx(0.2, rel=1e-4)


def test_the_published_rule_and_the_former_one():
    z, gradient = torch.ones(1, 4, 2, 2), torch.arange(16.0).reshape(1, 4, 2, 2)
    published = move_of(z, gradient, SteeringPlan(step_rule="gradient", step_size=5.0), ONE)
    assert torch.equal(published, -5 * gradient)
    former = move_of(z, gradient, SteeringPlan(step_rule="relative", step_size=0.15), ONE)
    assert former.norm() == pytest.approx(0.15 * 4.0, rel=1e-5)


def test_nothing_to_go_by_is_no_move():
    z = torch.ones(1, 4, 4, 4)
    for rule in ("rms", "relative", "gradient"):
        assert not move_of(z, torch.zeros_like(z), SteeringPlan(step_rule=rule), ONE).any()
