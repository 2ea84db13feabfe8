"""What training reads: recorded maps as batches of a classifier's input, out of memory or out of shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..attention import AttentionLayer, normalised, require_layers, resized
from ..classifiers import ClassifierCard
from ..errors import SteeringError
from .record import RecordedMaps
from .shards import Work
from .splits import Part

POOL_BYTES = 64 * 2**20
"""Shards that are mixed with one another at a time, as float32."""


@dataclass(frozen=True)
class Batch:
    """maps (B, 2, C, S, S) float32; holds, worded, timestep (B,) int64, see `RecordedMaps`."""

    maps: Tensor
    holds: Tensor
    worded: Tensor
    timestep: Tensor

    def rows(self, at: Tensor) -> Batch:
        """Some of its records."""
        return Batch(self.maps[at], self.holds[at], self.worded[at], self.timestep[at])

    def __len__(self) -> int:
        return len(self.holds)


class Inputs(Protocol):
    """Recorded maps as one classifier wants them."""

    def batches(self, size: int, seed: int | None = None) -> Iterator[Batch]:
        """All records once, on the CPU. seed: of their order; None = as they were recorded."""

    def __len__(self) -> int: ...


class MapData(Protocol):
    """Recorded maps of one part."""

    @property
    def relations(self) -> tuple[str, ...]: ...

    @property
    def layers(self) -> tuple[AttentionLayer, ...]:
        """What was recorded."""

    def inputs(self, card: ClassifierCard) -> Inputs:
        """As the classifier with this card wants them. Raises SteeringError for layers that were not recorded."""

    def __len__(self) -> int: ...


class InMemory:
    """A `MapData` and its `Inputs` of maps in memory."""

    def __init__(self, data: RecordedMaps) -> None:
        self.data = data

    @property
    def relations(self) -> tuple[str, ...]:
        return self.data.relations

    @property
    def layers(self) -> tuple[AttentionLayer, ...]:
        return self.data.stack.layers

    def __len__(self) -> int:
        return len(self.data)

    def inputs(self, card: ClassifierCard) -> Inputs:
        """See `MapData`."""
        stack = self.data.stack.select(card.layers)
        stack = type(stack)(stack.layers, tuple(m.float() for m in stack.maps))
        maps = stack.stacked(card.map_size, card.renormalise, card.resize)
        return _Whole(Batch(maps, self.data.holds, self.data.worded, self.data.timestep))


class _Whole:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch)

    def batches(self, size: int, seed: int | None = None) -> Iterator[Batch]:
        for rows in _order(len(self), seed).split(size):
            yield self.batch.rows(rows)


def _order(count: int, seed: int | None) -> Tensor:
    if seed is None:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


class ShardPart:
    """A `MapData` of one part of a recording. right_words: leave the records under wrong words out.

    Nothing but a few shards is ever in memory. Raises SteeringError, before anything is fitted, for a part with a missing
    or damaged shard.
    """

    def __init__(self, work: Work, part: Part, right_words: bool = False) -> None:
        self.work, self.part, self.right_words = work, part, right_words
        self.job = work.job()
        wanted = [shard.name for shard in self.job.shards() if shard.part == part]
        there = work.whole()
        if lacking := [name for name in wanted if name not in there]:
            raise SteeringError(
                f"Expected all {len(wanted)} shards of the part {part} in {work.folder}, but {lacking[0]} is missing or "
                "damaged; record again with the same settings, which makes only what is lacking."
            )
        self.shards = [(name, there[name].records) for name in wanted if there[name].records]

    @property
    def relations(self) -> tuple[str, ...]:
        return self.job.relations

    @property
    def layers(self) -> tuple[AttentionLayer, ...]:
        return self.job.layers

    def __len__(self) -> int:
        return sum(records for _, records in self.shards)

    def inputs(self, card: ClassifierCard) -> Inputs:
        """See `MapData`. Raises SteeringError for maps that are larger than what was recorded."""
        if card.map_size > self.job.map_size:
            raise SteeringError(
                f"Expected maps of at least {card.map_size} x {card.map_size}, got {self.job.map_size} x "
                f"{self.job.map_size}; record again with maps of that size."
            )
        require_layers(card.layers or (), self.job.layer_names)
        return _Streamed(self, _columns(self.layers, card.layers), card.map_size)


def _columns(layers: Sequence[AttentionLayer], wanted: Sequence[str] | None) -> Tensor:
    """The channels of these layers, in the order of all."""
    names = [layer.name for layer in layers for _ in range(layer.heads)]
    return torch.tensor([i for i, name in enumerate(names) if wanted is None or name in wanted])


class _Streamed:
    def __init__(self, part: ShardPart, columns: Tensor, map_size: int) -> None:
        self.part, self.columns, self.map_size = part, columns, map_size

    def __len__(self) -> int:
        return len(self.part)

    def batches(self, size: int, seed: int | None = None) -> Iterator[Batch]:
        """Shards in a random order, the records of some at a time shuffled together."""
        order = list(range(len(self.part.shards)))
        if seed is not None:
            order = [int(i) for i in np.random.default_rng(seed).permutation(len(order))]
        each = 4 * 2 * len(self.columns) * self.map_size**2
        rest: Batch | None = None
        for turn, pool in enumerate(self._pools(order, each)):
            parts = ([rest] if rest is not None else []) + [self._shard(i) for i in pool]
            whole = Batch(
                torch.cat([p.maps for p in parts]),
                torch.cat([p.holds for p in parts]),
                torch.cat([p.worded for p in parts]),
                torch.cat([p.timestep for p in parts]),
            )
            del parts
            rows = _order(len(whole), None if seed is None else seed * 100_003 + turn)
            full = len(rows) // size * size
            for at in rows[:full].split(size) if full else ():
                yield whole.rows(at)
            rest = whole.rows(rows[full:]) if full < len(rows) else None
        if rest is not None and len(rest):
            yield rest

    def _pools(self, order: Sequence[int], each: int) -> Iterator[list[int]]:
        pool: list[int] = []
        held = 0
        for i in order:
            pool.append(i)
            held += self.part.shards[i][1] * each
            if held >= POOL_BYTES:
                yield pool
                pool, held = [], 0
        if pool:
            yield pool

    def _shard(self, index: int) -> Batch:
        tensors = self.part.work.load(self.part.shards[index][0])
        keep = torch.arange(len(tensors["holds"]))
        if self.part.right_words:
            keep = keep[tensors["holds"] == tensors["worded"]]
        maps = tensors["maps"][keep][:, :, self.columns].float()
        maps = normalised(resized(maps, self.map_size, "area"))
        return Batch(maps, tensors["holds"][keep], tensors["worded"][keep], tensors["timestep"][keep])


def map_data(data: MapData | RecordedMaps) -> MapData:
    """Recorded maps of either kind."""
    return InMemory(data) if isinstance(data, RecordedMaps) else data
