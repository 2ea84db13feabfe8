"""A recording, said in full before it starts: which samples, how, of which model, into which shards, at what cost.

Two jobs that are equal make the same records, byte for byte on the same kind of machine. That is why a recording can be
resumed: what is there already is what would be made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..attention import AttentionLayer, MapStack, layout
from ..errors import SteeringError
from ..hosts.protocol import MapRecorder
from .recording import How, Recorded, record_batch, trained_sigmas, trained_steps
from .sources import Source
from .splits import PARTS, Part

FORMAT = "learn-to-steer shards 1"

MOST_SHARD_BYTES = 32 * 2**20
MOST_SHARD_SAMPLES = 64
"""A shard is what an interruption costs at most, and what is held in memory."""

BATCH = 16
"""Samples a model pass."""


@dataclass(frozen=True)
class Shard:
    """Some samples of a part: numbers first to first + count - 1 of its source."""

    part: Part
    number: int
    first: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.part}-{self.number:05d}"


@dataclass(frozen=True)
class Job:
    """model: digest of the weights. layout: fingerprint of all attentions. layers: those recorded, in the order of their
    channels (`MapStack.ordered`). timesteps, sigmas: of the steps at which maps are recorded. sources: what each part's
    source says of itself. counts: samples of each part. batch: samples a model pass. per_shard: samples."""

    model: str
    family: str
    flow: bool
    steps: int
    size: tuple[int, int]
    relations: tuple[str, ...]
    layout: str
    layers: tuple[AttentionLayer, ...]
    timesteps: tuple[int, ...]
    sigmas: tuple[float, ...]
    map_size: int
    sources: Mapping[str, Any]
    counts: Mapping[str, int]
    seed: int
    how: How
    batch: int
    per_shard: int

    @property
    def channels(self) -> int:
        return sum(layer.heads for layer in self.layers)

    @property
    def layer_names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    @property
    def samples(self) -> int:
        """Of all parts."""
        return sum(self.counts.values())

    @property
    def passes(self) -> int:
        """Model passes, each counted once a sample."""
        return self.samples * self.how.passes(self.steps)

    @property
    def bytes(self) -> int:
        """Room that the shards and their index will take, about."""
        record = sample_bytes(self.channels, self.map_size, self.how.records)
        return self.samples * (record + 40 * self.how.records + 500)

    def shards(self) -> Iterator[Shard]:
        """All shards, part after part."""
        for part in PARTS:
            for number, first in enumerate(range(0, self.counts.get(part, 0), self.per_shard)):
                yield Shard(part, number, first, min(self.per_shard, self.counts[part] - first))

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON; `job_of` reads it."""
        return {"format": FORMAT, **asdict(self)}


def sample_bytes(channels: int, map_size: int, records: int) -> int:
    """Of one sample's maps in half precision."""
    return records * 2 * channels * map_size**2 * 2


def job_of(value: Mapping[str, Any]) -> Job:
    """The job that `Job.as_json` wrote. Raises SteeringError for anything else."""
    try:
        if value.get("format") != FORMAT:
            raise ValueError("format")
        known = {field.name for field in fields(Job)}
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known}
        given["layers"] = tuple(AttentionLayer(**layer) for layer in value["layers"])
        given["how"] = How(**value["how"])
        read: Job = Job(**given)  # type: ignore[arg-type]
        return read
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SteeringError(
            "Expected an index of recorded maps of this version, got another one; record the maps again."
        ) from error


def plan_job(
    recorder: MapRecorder,
    sources: Mapping[Part, Source],
    counts: Mapping[Part, int],
    seed: int,
    how: How,
    layers: tuple[str, ...] | None = None,
    map_size: int = 8,
    batch: int = BATCH,
    shard: int = MOST_SHARD_SAMPLES,
) -> Job:
    """The job of these samples. counts: wished; a source that has fewer gives what it has. layers: names, None = all.
    shard: most samples of one.

    Reads the maps of one sample, which says how large they are. Raises SteeringError for layers the model lacks, for
    sources without a usable sample, and as `record_batch` does.
    """
    given = {part: _available(sources[part], counts[part]) for part in PARTS}
    stack = _first(sources["train"], recorder, seed, layers, given["train"]).ordered()
    channels = sum(layer.heads for layer in stack.layers)
    each = sample_bytes(channels, map_size, how.records)
    return Job(
        model=recorder.digest(),
        family=recorder.family,
        flow=recorder.flow,
        steps=recorder.steps,
        size=(int(recorder.size[0]), int(recorder.size[1])),
        relations=tuple(sources["train"].relations),
        layout=layout(recorder.layers),
        layers=stack.layers,
        timesteps=trained_steps(recorder),
        sigmas=trained_sigmas(recorder),
        map_size=map_size,
        sources={part: sources[part].about for part in PARTS},
        counts={part: given[part] for part in PARTS},
        seed=seed,
        how=how,
        batch=batch,
        per_shard=max(1, min(shard, MOST_SHARD_BYTES // each)),
    )


def _available(source: Source, wished: int) -> int:
    return wished if source.count is None else min(wished, source.count)


def _first(
    source: Source, recorder: MapRecorder, seed: int, layers: tuple[str, ...] | None, count: int
) -> MapStack:
    """The maps of the first sample that has some."""
    cheap = How("noising", dual=False, draws=1)
    found: Recorded | None = None
    for number in range(min(count, 64)):
        found = record_batch(source, recorder, [number], seed, cheap, layers)
        if found.maps is not None:
            return found.maps.stack
    first = found.left_out[0] if found is not None and found.left_out else None
    why = f"; the first is {first.kind} ({first.where})" if first else ""
    raise SteeringError(
        f"Expected a usable sample among the first {min(count, 64)} of the source, got none{why}; check the data."
    )
