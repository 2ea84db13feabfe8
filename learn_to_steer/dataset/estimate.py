"""What a recording will cost, measured on this machine before it starts."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import SteeringError
from .job import Job
from .recording import trained_steps
from .shards import Work
from .sources import Sample
from .workers import Loaded

TRIED = 64
"""Samples of the source among which a batch for measuring is sought."""


@dataclass(frozen=True)
class Estimate:
    """Of what is still to be made. passes: of the model, one for each sample in it. bytes: on disk. seconds: on this
    machine, in one process."""

    samples: int
    passes: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.samples:,} samples, {self.passes:,} model passes, {in_bytes(self.bytes)} on disk, "
            f"about {in_time(self.seconds)}"
        )


@torch.no_grad()
def estimate(loaded: Loaded, job: Job, folder: Path) -> Estimate:
    """What is missing of a job, by the time of a few passes over one batch of its samples.

    Raises SteeringError where the disk has no room for it.
    """
    recorder, sources = loaded
    left = sum(shard.count for shard in Work(folder).missing(job))
    size = job.bytes * left // max(1, job.samples)
    _check_room(folder, size)
    if not left:
        return Estimate(0, 0, 0, 0.0)
    source = sources["train"]
    count = min(job.batch, job.counts["train"])
    tried = range(min(TRIED, job.counts["train"]))
    began = time.perf_counter()
    made = source.samples(range(count), job.seed, recorder.size)
    drawing = (time.perf_counter() - began) / count
    there = [s for s in made if isinstance(s, Sample)]
    if not there:
        found = source.samples(tried, job.seed, recorder.size)
        there = [s for s in found if isinstance(s, Sample)][:1]
    there = (there * count)[:count]
    began = time.perf_counter()
    latents = recorder.encode(np.stack([s.picture for s in there]))
    encoding = time.perf_counter() - began
    prompts = [source.prompt(s.names, s.holds, 0) for s in there]
    slope, last = recorder.slope(prompts), job.steps - 1
    slope(latents, last)
    began = time.perf_counter()
    for _ in range(2):
        slope(latents, last).sum().item()
    pass_seconds = (time.perf_counter() - began) / 2
    at = torch.full((count,), trained_steps(recorder)[-1])
    noisy = recorder.model_input(latents, at)
    began = time.perf_counter()
    recorder.maps(noisy, at, prompts, [s.names for s in there], job.layer_names).maps[-1].sum().item()
    map_seconds = time.perf_counter() - began
    passes, maps = job.how.passes(job.steps), job.how.records
    each = drawing + (encoding + (passes - maps) * pass_seconds + maps * map_seconds) / count
    return Estimate(left, left * passes, size, left * each)


def _check_room(folder: Path, needed: int) -> None:
    here = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(here).free
    if needed > free:
        raise SteeringError(
            f"Expected {in_bytes(needed)} of room in {folder}, but {in_bytes(free)} are free; choose another folder, "
            "fewer samples or fewer layers."
        )


def in_bytes(count: float) -> str:
    """Such as "14 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def in_time(seconds: float) -> str:
    """Such as "3 minutes"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
