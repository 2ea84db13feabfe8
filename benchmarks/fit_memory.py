"""Peak memory of fitting a classifier to shards, for few and for many samples.

    python benchmarks/fit_memory.py [--samples 10000 100000]

Synthetic pairs of maps (`training/synthetic.py`) in 16 channels of 8 x 8, a record each: 100,000 are 780 MiB as the
network reads them. Each fit, one epoch, runs in a process of its own; the peak is what the operating system saw of it,
above the peak before the fit began. The last column is how the classifier reads pairs that it has not seen.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from pathlib import Path

import torch

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import SYMMETRIC_RELATIONS
from learn_to_steer.dataset import How, Job, Work
from learn_to_steer.dataset.shards import labels_of, make
from learn_to_steer.training import FitOptions, train_from_shards
from learn_to_steer.training.synthetic import synthetic_pairs

CHANNELS, SIDE, PER_SHARD = 16, 8, 500


def recording(folder: Path, samples: int) -> Work:
    """Shards of so many samples to train on, and a tenth, of 5,000 at most, to validate and to judge by."""
    held = min(5000, samples // 10)
    layer = AttentionLayer("synthetic", "mid", 0, CHANNELS)
    parts = ("train", "validation", "test")
    job = Job(
        model="synthetic", family="custom", flow=False, steps=1, size=(64, 64), relations=SYMMETRIC_RELATIONS,
        layout="0" * 16, layers=(layer,), timesteps=(0,), sigmas=(1.0,), map_size=SIDE,
        sources={part: {"source": "synthetic maps"} for part in parts},
        counts={"train": samples, "validation": held, "test": held}, seed=0, how=How(dual=False, draws=1), batch=16,
        per_shard=PER_SHARD,
    )  # fmt: skip
    work = Work(folder)
    work.begin(job)
    generator = torch.Generator().manual_seed(0)
    for shard in job.shards():
        pairs, relation = synthetic_pairs(shard.count, SIDE, generator)
        noise = 0.2 * torch.rand(shard.count, 2, CHANNELS, SIDE, SIDE, generator=generator)
        maps = pairs[:, :, None] + noise
        maps = maps / maps.sum((-2, -1), keepdim=True) * SIDE**2
        numbers = torch.arange(shard.first, shard.first + shard.count)
        labels = labels_of(relation, relation.clone(), torch.zeros_like(relation), numbers)
        work.put(make(shard, maps.half(), labels, [], [], ()))
    work.finish(job)
    return work


def measure(folder: Path, answer) -> None:
    """Fit, and put the peak, in MiB above the start, and the share read rightly on the queue."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained = train_from_shards(Work(folder), options=FitOptions(epochs=1, batch=256))
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    answer.put((peak, trained.test.right))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000])
    context = multiprocessing.get_context("spawn")
    print(
        "| samples | of them on disk, MiB | peak of the fit, MiB | unseen pairs read rightly |\n|---:|---:|---:|---:|"
    )
    for samples in parser.parse_args().samples:
        with tempfile.TemporaryDirectory() as folder:
            work = recording(Path(folder), samples)
            size = sum(file.stat().st_size for file in work.shards.iterdir()) / 2**20
            queue = context.Queue()
            process = context.Process(target=measure, args=(Path(folder), queue))
            process.start()
            peak, right = queue.get()
            process.join()
            print(f"| {samples:,} | {size:.0f} | {peak:.0f} | {right:.1%} |", flush=True)


if __name__ == "__main__":
    main()
