"""What the readers of ComfyUI's models have in common: the place of an attention, and the text it is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ....attention import AttentionLayer, AttentionRecorder
from ....errors import SteeringError

Block = tuple[str, int, int]
"""In a UNet ("input" | "middle" | "output", number of the block, number of the transformer block inside), in a
joint-attention transformer (the host's `block_type`, number of the block, 0)."""


@dataclass(frozen=True)
class LocatedLayer:
    """One attention that can be read, and the host's name for its place."""

    layer: AttentionLayer
    block: Block


def fit_text(recorder: AttentionRecorder, tokens: int, padded_in_front: bool = False) -> None:
    """Fit the recorder's weights to the number of text tokens the model is really given, see `fitted`."""
    recorder.weights = fitted(recorder.weights, tokens, padded_in_front)


def fitted(weights: Tensor, tokens: int, padded_in_front: bool = False) -> Tensor:
    """What belongs to the tokens of a text (B, O, T), for the number of tokens that the model is really given.

    Where prompts of different lengths meet, the host repeats the shorter one; a word's tokens then stand in each of the
    repetitions, and its share of the attention is their sum. padded_in_front: instead, the host fills a short text up at
    its beginning. Raises SteeringError for any other length.
    """
    length = weights.shape[2]
    if padded_in_front and tokens > length:
        return F.pad(weights, (tokens - length, 0))
    if tokens == length:
        return weights
    if tokens % length == 0:
        return weights.repeat(1, 1, tokens // length)
    raise SteeringError(
        f"Expected a conditioning of {length} text tokens, as the relations were found in, got {tokens}; "
        "connect the conditioning of the same Relation Prompt node, with nothing appended to it."
    )


def fit_rows(recorder: AttentionRecorder, rows: int) -> None:
    """Raises SteeringError where an attention is given more rows, or fewer, than there are pictures in the pass: regional
    prompts repeat them, and whose text each copy is given is known to the node that does so only."""
    pictures = recorder.weights.shape[0]
    if recorder.rows is None and rows != pictures:
        raise SteeringError(
            f"Expected attention over {pictures} picture{'' if pictures == 1 else 's'}, got {rows} rows; another node "
            "repeats them (regional prompts, attention couple): steer without that node, or use the host's areas and masks."
        )
