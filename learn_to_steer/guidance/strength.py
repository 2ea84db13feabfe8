"""How strong the bias is: in units of what the model's own logits say, so that a number outlasts their scale.

A bias that is small against the differences between a row's logits changes nothing, and one that is large drowns them.
So it is measured in their standard deviation over the text's columns, in the very passes that are guided: the mean over the
guided layers, one number for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attention import AttentionLayer, require_layers

ROWS = 32
"""Image positions that the spread is measured at."""


def sampled_rows(positions: int, device: torch.device | str = "cpu") -> Tensor:
    """(ROWS,) int64: some of so many image positions, spread evenly over rows and columns of any grid (multiples of the
    golden ratio)."""
    return (torch.arange(ROWS, device=device) * 0.6180339887 % 1 * positions).long()


def logit_spread(query: Tensor, key: Tensor, scale: float, tokens: Tensor | None = None) -> Tensor:
    """(B, heads) float32: standard deviation of a layer's own logits over the text columns, root mean square over the rows.

    query (B, heads, n, d): image rows, such as `sampled_rows` of them. key (B, heads, T, d): text columns. Both without the
    bias, and rotated where the model does so. tokens (B, T): 1 where a column counts: the prompt's own, without its padding
    (None: all).
    """
    logits = torch.matmul(query.float(), key.float().mT) * scale
    weight = torch.ones_like(logits[:, :1, :1]) if tokens is None else tokens[:, None, None].float()
    total = weight.sum(-1, keepdim=True).clamp(min=1)
    centred = logits - (logits * weight).sum(-1, keepdim=True) / total
    return ((centred.square() * weight).sum(-1) / total[..., 0]).mean(-1).sqrt()


class ModelSpread:
    """The unit of strength in one run, image by image: the mean over the guided layers of what each measured last.

    In the first guided pass it is the mean over the layers that the pass has come through. images, layers: how many.
    """

    def __init__(self, images: int, layers: int, device: torch.device | str = "cpu") -> None:
        self._latest = torch.zeros(images, layers, device=device)

    def measured(self, layer: int, spread: Tensor) -> Tensor:
        """(B,) float32: the unit, after the layer of this index has measured `spread` (B, heads)."""
        latest = self._latest.to(spread.device, copy=True)  # hosts change between inference mode and none
        latest[:, layer] = spread.detach().mean(-1)
        self._latest = latest
        return latest.sum(-1) / (latest > 0).sum(-1).clamp(min=1)


@dataclass(frozen=True)
class Calibrated:
    """What was found for a family. strength: in standard deviations, see `ModelSpread`. background: see
    `GuidancePlan.background`. width: see `GuidancePlan.width`. measured: on pictures; else assumed from a family that is
    built alike."""

    strength: float
    background: float
    width: float
    measured: bool


STRENGTHS: dict[str, Calibrated] = {
    "emojiworld-unet": Calibrated(6.0, 0.3, 0.3, True),
    "emojiworld-mmdit": Calibrated(2.6, 0.0, 0.35, True),
    "sd1": Calibrated(6.0, 0.3, 0.3, False),
    "sd2": Calibrated(6.0, 0.3, 0.3, False),
    "sdxl": Calibrated(6.0, 0.3, 0.3, False),
    "flux": Calibrated(2.6, 0.0, 0.35, False),
}
"""Family -> what was found for it."""


def calibrated(family: str, layers: Sequence[AttentionLayer]) -> Calibrated:
    """What is known of a family; of one that is not in the table, what holds for models that are built like it."""
    if family in STRENGTHS:
        return STRENGTHS[family]
    unet = any(layer.stage in ("down", "mid", "up") for layer in layers)
    return STRENGTHS["sd1" if unet else "flux"]


def guided_layers(layers: Sequence[AttentionLayer], chosen: Sequence[str] | None = None) -> list[str]:
    """Names of the layers to guide: those chosen, else all."""
    if chosen is None:
        return [layer.name for layer in layers]
    require_layers(chosen, [layer.name for layer in layers])
    return [layer.name for layer in layers if layer.name in chosen]
