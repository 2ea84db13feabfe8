"""One attention of a model, by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from ..errors import SteeringError

Stage = Literal["down", "mid", "up", "double", "single"]


@dataclass(frozen=True)
class AttentionLayer:
    """One attention of a model.

    name: stable and readable, such as "up.1.0". stage: "down" | "mid" | "up" for a UNet's cross-attentions,
    "double" | "single" for a Flux-like transformer's joint attentions. index: place in the order of execution
    over the whole model. heads: number of heads = channels this layer adds to a classifier's input.
    """

    name: str
    stage: Stage
    index: int
    heads: int


def layout(layers: Iterable[AttentionLayer]) -> str:
    """A fingerprint of a model's attentions: 16 hexadecimal digits out of their names and heads, in order of execution."""
    listed = [[layer.name, layer.heads] for layer in sorted(layers, key=lambda layer: layer.index)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


def require_layers(names: Collection[str], known: Collection[str]) -> None:
    """Raises SteeringError unless every one of `names` is among `known`."""
    missing = [name for name in names if name not in known]
    if missing:
        raise SteeringError(
            f"Expected attention layers among {', '.join(known)}, got {', '.join(missing)}; use an "
            "objective made for this model or choose its layers from this list."
        )
