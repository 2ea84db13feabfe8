"""Who makes the shards of a job: this process, one after the other, or workers of Ray, on this machine or many.

Both run the same actor, and a shard says everything that goes into it, so the records are the same. Workers send their
shards back; only this process writes, so nothing needs to be shared but the model and the data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SteeringError
from ..hosts.protocol import MapRecorder
from .job import Job, Shard
from .recording import Recorded, record_batch
from .shards import Made, Work, empty_labels, labels_of, make, stored_maps
from .sources import Source
from .splits import Part

Loaded = tuple[MapRecorder, Mapping[Part, Source]]
Loader = Callable[[], Loaded]
"""Loads model and data where a worker runs; Ray sends it there, so it must be a plain function of plain values."""


@dataclass(frozen=True)
class Progress:
    """done, total: samples. picture: (height, width, 3) uint8, one of those recorded last, with its prompt."""

    done: int
    total: int
    picture: np.ndarray | None = None
    prompt: str = ""


Watch = Callable[[Progress], None]
"""Told after every batch (in process) or shard (Ray). What it raises ends the recording, which can be resumed."""


class ShardMaker:
    """The actor: holds the loaded model, maps shards of the job to their bytes. seen: told of every batch."""

    def __init__(self, loaded: Loaded, job: Job, seen: Callable[[int, Recorded], None] | None = None) -> None:
        (self.recorder, self.sources), self.job, self.seen = loaded, job, seen

    def __call__(self, shard: Shard) -> Made:
        """A pure function of job and shard. Raises SteeringError as `record_batch`."""
        job, done = self.job, []
        for start in range(shard.first, shard.first + shard.count, job.batch):
            numbers = range(start, min(start + job.batch, shard.first + shard.count))
            part = record_batch(
                self.sources[shard.part], self.recorder, numbers, job.seed, job.how, job.layer_names
            )
            done.append(part)
            if self.seen is not None:
                self.seen(len(numbers), part)
        whole = [(part.maps, part.rows) for part in done if part.maps is not None]
        maps = torch.zeros(0, 2, job.channels, job.map_size, job.map_size, dtype=torch.float16)
        labels = empty_labels()
        if whole:
            maps = torch.cat([stored_maps(data.stack, job.map_size) for data, _ in whole])
            labels = labels_of(
                torch.cat([data.holds for data, _ in whole]),
                torch.cat([data.worded for data, _ in whole]),
                torch.cat([data.timestep for data, _ in whole]),
                torch.cat([rows for _, rows in whole]),
            )
        return make(
            shard,
            maps,
            labels,
            [note for part in done for note in part.notes],
            [out for part in done for out in part.left_out],
            tuple(value for part in done for value in part.psnr),
        )


def record_shards(folder: Path, job: Job, loaded: Loaded, watch: Watch | None = None) -> Work:
    """Make what is missing of a job in this process.

    Raises SteeringError for a folder of another job, a disk that says no, and samples none of which can be recorded;
    whatever `watch` raises. The folder can be gone on with after any of these, and after a kill.
    """
    work = Work(folder)
    work.begin(job)
    missing = work.missing(job)
    done = job.samples - sum(shard.count for shard in missing)

    def seen(count: int, part: Recorded) -> None:
        nonlocal done
        done += count
        if watch is not None:
            prompt = part.notes[0].prompts[0] if part.notes else ""
            watch(Progress(done, job.samples, part.picture, prompt))

    maker = ShardMaker(loaded, job, seen)
    for shard in missing:
        work.put(maker(shard))
    work.finish(job)
    return work


def record_with_ray(
    folder: Path,
    job: Job,
    loader: Loader,
    address: str,
    workers: int | None = None,
    watch: Watch | None = None,
) -> Work:
    """Make what is missing of a job by workers of Ray. address: "local" starts them on this machine, else a cluster's.
    workers: how many, None = one a GPU, without GPUs one a core.

    Raises SteeringError where Ray is not installed or not at that address, and as `record_shards`.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError as error:
        raise SteeringError(
            'Expected Ray for --ray, but it is not installed; run: pip install "learn-to-steer[distributed]".'
        ) from error
    work = Work(folder)
    work.begin(job)
    missing = work.missing(job)
    if missing:
        _connect(ray, address)
        try:
            context = DataContext.get_current()
            context.enable_progress_bars = False
            resources = ray.cluster_resources()
            gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
            pool = min(workers or gpus or cores, len(missing))
            plan = [json.dumps([s.part, s.number, s.first, s.count]) for s in missing]
            rows = ray.data.from_items([{"shard": text} for text in plan], override_num_blocks=len(plan))
            made = rows.map_batches(
                _Actor,
                fn_constructor_args=(loader, job, torch.get_num_threads()),
                batch_size=1,
                num_gpus=1 if gpus else None,
                num_cpus=None if gpus else max(1, cores // pool),
                compute=ActorPoolStrategy(size=pool),
            )
            done = job.samples - sum(shard.count for shard in missing)
            counts = {shard.name: shard.count for shard in missing}
            for row in made.iter_rows():
                entry = json.loads(row["entry"])
                if "error" in entry:
                    raise SteeringError(entry["error"])
                work.put(Made(entry["shard"], row["data"], entry))
                done += counts[entry["shard"]]
                if watch is not None:
                    samples = entry["samples"]
                    watch(Progress(done, job.samples, None, samples[0]["prompts"][0] if samples else ""))
        finally:
            ray.shutdown()
    work.finish(job)
    return work


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        ray.init(
            address=address, logging_level="ERROR", log_to_driver=False, include_dashboard=False
        ) if address == "local" else ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # Ray has many kinds of failing to start
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SteeringError(
            f'Expected Ray at {address}, but it cannot be reached ({reason[:200]}); check the address, or use "local".'
        ) from error


class _Actor:
    """`ShardMaker` as Ray Data wants it: batches of columns in and out."""

    def __init__(self, loader: Loader, job: Job, threads: int) -> None:
        torch.set_num_threads(
            threads
        )  # sums of other lengths would round otherwise than in the process that asks
        self.maker = ShardMaker(loader(), job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Sequence[Any]]:
        entries: list[str] = []
        data: list[bytes] = []
        for text in batch["shard"]:
            try:
                made = self.maker(Shard(*json.loads(str(text))))
                entries.append(json.dumps(made.entry))
                data.append(made.data)
            except SteeringError as error:
                entries.append(json.dumps({"error": str(error)}))
                data.append(b"")
        return {"entry": entries, "data": data}
