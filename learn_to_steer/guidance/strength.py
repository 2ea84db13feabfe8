"""How strong the bias is: in units of what the layer's own logits say, so that one number serves every model.

A bias that is small against the differences between a row's logits changes nothing, and one that is large drowns them.
So it is measured in their standard deviation over the text's columns, head by head, in the very pass that is guided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attention import AttentionLayer

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


@dataclass(frozen=True)
class Calibrated:
    """What was found for a family. strength: in standard deviations, see `logit_spread`. stages: of the layers that are
    guided (None: all). measured: on pictures; else assumed from a family that is built alike."""

    strength: float
    stages: tuple[str, ...] | None
    measured: bool


_UNET = ("down",)

STRENGTHS: dict[str, Calibrated] = {
    "emojiworld-unet": Calibrated(4.0, _UNET, True),
    "emojiworld-mmdit": Calibrated(4.0, None, True),
    "sd1": Calibrated(4.0, _UNET, False),
    "sd2": Calibrated(4.0, _UNET, False),
    "sdxl": Calibrated(4.0, _UNET, False),
    "flux": Calibrated(4.0, None, False),
}
"""Family -> what was found for it."""


def calibrated(family: str, layers: Sequence[AttentionLayer]) -> Calibrated:
    """What is known of a family; of one that is not in the table, what holds for models that are built like it."""
    if family in STRENGTHS:
        return STRENGTHS[family]
    unet = any(layer.stage in ("down", "mid", "up") for layer in layers)
    return STRENGTHS["sd1" if unet else "flux"]


def guided_layers(
    family: str, layers: Sequence[AttentionLayer], chosen: Sequence[str] | None = None
) -> list[str]:
    """Names of the layers to guide: those chosen, else those found for the family, else all."""
    if chosen is not None:
        from ..attention import require_layers

        require_layers(chosen, [layer.name for layer in layers])
        return [layer.name for layer in layers if layer.name in chosen]
    stages = calibrated(family, layers).stages
    found = [layer.name for layer in layers if stages is None or layer.stage in stages]
    return found or [layer.name for layer in layers]
