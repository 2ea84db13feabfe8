"""IMAGE tensors of the host <-> PIL pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pictures_of(images: Tensor) -> list[Image.Image]:
    """(B, H, W, 3) float in 0..1 -> RGB pictures."""
    pixels = (images[..., :3].detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(np.array(p)) for p in pixels.numpy()]


def to_images(pictures: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size -> (B, H, W, 3) float32 in 0..1."""
    return torch.stack([torch.from_numpy(np.asarray(p.convert("RGB"), np.float32) / 255) for p in pictures])
