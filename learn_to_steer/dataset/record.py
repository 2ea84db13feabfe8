"""Recorded maps with their labels: what a relation classifier is trained on.

Every sample has two labels: the relation that *holds* in the picture and the relation *word* of the prompt under which
the maps were recorded. Training on samples whose word is wrong as well as right keeps a classifier from reading the
word instead of the picture (Learn-to-Steer, dual inversion against relation leakage).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..attention import AttentionLayer, MapStack
from ..errors import SteeringError
from ..records import atomic

FORMAT = "learn-to-steer maps 1"


@dataclass(frozen=True)
class RecordedMaps:
    """N samples of two objects' maps.

    stack: raw maps, (N, 2, heads, H, W) per layer, object 0 the subject. relations: names that the labels index.
    holds, worded (N,) int64: the relation in the picture, the relation in the prompt. timestep (N,) int64: step index
    (see `ClassifierCard.timesteps`).
    """

    stack: MapStack
    relations: tuple[str, ...]
    holds: Tensor
    worded: Tensor
    timestep: Tensor

    def __len__(self) -> int:
        return len(self.holds)

    @property
    def right_words(self) -> Tensor:
        """(N,) bool: the prompt said what the picture shows."""
        return self.holds == self.worded

    def where(self, keep: Tensor) -> RecordedMaps:
        """The samples for which `keep` (N,) bool is true."""
        return RecordedMaps(
            MapStack(self.stack.layers, tuple(m[keep] for m in self.stack.maps)),
            self.relations,
            self.holds[keep],
            self.worded[keep],
            self.timestep[keep],
        )

    def save(self, path: Path) -> None:
        """Write safetensors (maps as float16). The file appears whole or not at all, whoever else writes beside it."""
        tensors = {f"maps.{layer.name}": m.half() for layer, m in zip(*self._layers(), strict=True)}
        tensors |= {"holds": self.holds, "worded": self.worded, "timestep": self.timestep}
        meta = {
            "format": FORMAT,
            "relations": json.dumps(self.relations),
            "layers": json.dumps([asdict(layer) for layer in self.stack.layers]),
        }
        with atomic(path) as temporary:
            save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=meta)

    def _layers(self) -> tuple[tuple[AttentionLayer, ...], tuple[Tensor, ...]]:
        return self.stack.layers, self.stack.maps

    @classmethod
    def load(cls, path: Path) -> RecordedMaps:
        """Read what `save` wrote. Raises SteeringError for anything else."""
        try:
            with safe_open(path, framework="pt") as file:
                meta = file.metadata() or {}
                if meta.get("format") != FORMAT:
                    raise SteeringError(
                        f"Expected a file of recorded maps, got {path} without that mark; record the maps again."
                    )
                layers = tuple(AttentionLayer(**layer) for layer in json.loads(meta["layers"]))
                return cls(
                    MapStack(layers, tuple(file.get_tensor(f"maps.{layer.name}") for layer in layers)),
                    tuple(json.loads(meta["relations"])),
                    file.get_tensor("holds"),
                    file.get_tensor("worded"),
                    file.get_tensor("timestep"),
                )
        except SteeringError:
            raise
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise SteeringError(
                f"Expected a file of recorded maps, but {path} cannot be read ({error}); record the maps again."
            ) from error


def concatenate(parts: Sequence[RecordedMaps]) -> RecordedMaps:
    """All samples of `parts`, which must agree in layers and relations."""
    first = parts[0]
    maps = tuple(torch.cat([p.stack.maps[i] for p in parts]) for i in range(len(first.stack.layers)))
    return RecordedMaps(
        MapStack(first.stack.layers, maps),
        first.relations,
        torch.cat([p.holds for p in parts]),
        torch.cat([p.worded for p in parts]),
        torch.cat([p.timestep for p in parts]),
    )
