"""Gradients of networks that compute in half precision.

float16 has no numbers under 6e-8 and none over 65504. Near its goal the gradient of a cross-entropy is proportional to
1 - p and falls through the lower end on its way back; so each image's loss is enlarged before the backward pass and its
gradient divided afterwards (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2). The scale adapts: up
where a gradient vanished, down where it overflowed. Networks in other types need none.
"""

from __future__ import annotations

import torch
from torch import Tensor

_START, _STEP, _TRIES = 2.0**10, 2.0**6, 5


def gradient_of(losses: Tensor, z: Tensor, wanted: Tensor, compute: torch.dtype) -> Tensor:
    """d losses[i] / d z[i] for the wanted images of a batch, 0 for the others; as z.

    losses (b,): one an image, each a function of its own row of z (b, ...) only. wanted (b,) bool. compute: the type
    that the network computes in. A row that no scale helps comes back as it was at last: zero, or not finite.
    """
    if compute != torch.float16:
        (gradient,) = torch.autograd.grad((losses * wanted).sum(), z)
        return gradient
    weight = 1 / losses.detach().clamp(2.0**-20, 1.0)  # near the goal loss and gradient are both about 1 - p
    scale, result, shape = torch.full_like(weight, _START), torch.zeros_like(z), (-1,) + (1,) * (z.ndim - 1)
    for _ in range(_TRIES):
        factor = torch.where(wanted, scale * weight, 0.0)
        (gradient,) = torch.autograd.grad((losses * factor).sum(), z, retain_graph=True)
        result = torch.where(
            wanted.view(shape), gradient / torch.where(wanted, factor, 1.0).view(shape), result
        )
        overflowed = ~gradient.flatten(1).isfinite().all(1)
        vanished = ~gradient.flatten(1).any(1)
        scale = torch.where(overflowed, scale / _STEP, torch.where(vanished, scale * _STEP, scale))
        wanted = wanted & (overflowed | vanished)
        if not wanted.any():
            break
    return result
