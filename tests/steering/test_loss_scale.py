"""Gradients of networks in half precision against those of the same network in float32."""

import pytest
import torch
from torch import nn

from learn_to_steer.steering.loss_scale import gradient_of


def network(dtype):
    """A small convolutional network in this type: latents in float32 go in, the centres of two softmax maps come out,
    and a loss that asks the first to lie to the right of the second; `gain` is added to its logit."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 2, 3, 2, 1)).to(dtype)
    places = torch.linspace(0, 1, 8).repeat(8)

    def losses(z, gain):
        maps = body(z.to(dtype)).flatten(2).float().softmax(-1)
        centres = (maps * places).sum(-1)
        return nn.functional.softplus(-(10 * (centres[:, 0] - centres[:, 1]) + gain))

    return losses


@pytest.mark.parametrize("gain", [0.0, 3.0, 7.0, 12.0, 15.0])
def test_half_precision_finds_the_direction_of_full_precision(gain):
    """From p near one half to 1 - p near 1e-7: the cosine stays above 0.99. Plainly, the gradient is gone at the upper
    end."""
    z = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    wanted = torch.tensor([True, True, False])
    found = {}
    for dtype in (torch.float32, torch.float16):
        leaf = z.clone().requires_grad_()
        found[dtype] = gradient_of(network(dtype)(leaf, gain), leaf, wanted, dtype)
    assert not found[torch.float16][2].any()
    for one, other in zip(found[torch.float32][:2], found[torch.float16][:2], strict=True):
        assert torch.cosine_similarity(one.flatten(), other.flatten(), 0) > 0.99
        assert float(other.norm()) == pytest.approx(float(one.norm()), rel=0.1)


def test_plainly_the_gradient_vanishes():
    """What the scale is for: the same loss without it has lost most of its gradient in float16."""
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    leaf = z.clone().requires_grad_()
    (plain,) = torch.autograd.grad(network(torch.float16)(leaf, 16.0).sum(), leaf)
    leaf = z.clone().requires_grad_()
    scaled = gradient_of(network(torch.float16)(leaf, 16.0), leaf, torch.tensor([True]), torch.float16)
    assert plain.norm() < 0.5 * scaled.norm()


def test_an_overflow_is_backed_off_from():
    """A loss so steep that a scale of 1,024 overflows float16: 1,024 * 400 > 65,504."""
    leaf = torch.ones(1, 4, requires_grad=True)
    steep = (leaf.half() * 400).float().sum(1)
    gradient = gradient_of(steep, leaf, torch.tensor([True]), torch.float16)
    assert torch.allclose(gradient, torch.full_like(leaf, 400.0))


def test_what_no_scale_helps_comes_back_as_it_is():
    leaf = torch.ones(2, 4, requires_grad=True)
    losses = torch.stack([leaf[0].sum() * 0.0 + 1.0, (leaf[1] * float("nan")).sum()])
    gradient = gradient_of(losses, leaf, torch.tensor([True, True]), torch.float16)
    assert not gradient[0].any() and not gradient[1].isfinite().any()
