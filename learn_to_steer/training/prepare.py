"""Record what a classifier needs, from choosing the layers to the last shard: one call for command line and node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ..classifiers import ClassifierCard
from ..dataset import How, Job, ShardPart, Work, plan_job, record_shards
from ..dataset.estimate import estimate
from ..dataset.job import BATCH, MOST_SHARD_SAMPLES
from ..dataset.splits import Part
from ..dataset.workers import Loaded, Watch
from ..errors import SteeringError
from ..records import atomic
from .pilot import Choice, Tried, choose_layers
from .recipe import card_of

Say = Callable[[str], None]
"""Told, in sentences, what will be done and what came of it."""

Recorder = Callable[[Path, Job], Work]
"""Makes the shards of a job, such as `dataset.record_with_ray`."""

PILOT = 64
"""Samples on which layers are chosen; half as many more judge them."""


def shares(samples: int) -> dict[Part, int]:
    """Samples to train on -> of every part: a sixth more to end the fit by, and to judge by."""
    held_out = max(1, samples // 6)
    return {"train": samples, "validation": held_out, "test": held_out}


def record(
    folder: Path,
    loaded: Loaded,
    samples: int,
    seed: int = 0,
    how: How | None = None,
    *,
    layers: tuple[str, ...] | None = None,
    map_size: int = 8,
    batch: int = BATCH,
    shard: int = MOST_SHARD_SAMPLES,
    pilot: int = PILOT,
    say: Say = lambda sentence: None,
    watch: Watch | None = None,
    run: Recorder | None = None,
    on_try: Callable[[int, int], None] | None = None,
) -> Work:
    """Record `samples` to train on, and a sixth more each to validate and to judge by, into this folder.

    loaded: the model as a `hosts.protocol.MapRecorder`, and the sources of the three parts. layers: names; None =
    those that a pilot of `pilot` samples chooses, all where pilot is 0. shard: most samples of one, which is what an
    interruption costs. run: who makes the shards, None = this process.
    watch: see `dataset.workers.Watch`; on_try: see `choose_layers`. What they raise ends the recording; called again with
    the same arguments, it goes on.

    Raises SteeringError as `plan_job`, `estimate` and `record_shards` do.
    """
    how = how or How()
    recorder, sources = loaded
    run = run or (lambda place, job: record_shards(place, job, loaded, watch))
    if layers is None and pilot and len(recorder.layers) > 1:
        counts: dict[Part, int] = {"train": pilot, "validation": max(2, pilot // 2), "test": 0}
        trial = plan_job(recorder, sources, counts, seed, how, None, map_size, batch, shard)
        layers = _pilot(folder / "pilot", loaded, trial, say, run, on_try).layers
    job = plan_job(recorder, sources, shares(samples), seed, how, layers, map_size, batch, shard)
    for part, wished in shares(samples).items():
        if job.counts[part] < wished:
            say(
                f"The source has {job.counts[part]:,} samples for the part {part}, where {wished:,} are wanted."
            )
    cost = estimate(loaded, job, folder)
    if cost.samples:
        there = job.samples - cost.samples
        say(f"Recording {cost}{f'; {there:,} samples are there already' if there else ''}.")
    work = run(folder, job)
    _report(work, job, say)
    return work


def _pilot(
    folder: Path, loaded: Loaded, job: Job, say: Say, run: Recorder, on_try: Callable[[int, int], None] | None
) -> Choice:
    cost = estimate(loaded, job, folder)
    if cost.samples:
        say(f"A pilot chooses layers: {cost}.")
    work = run(folder, job)
    cached = folder / "choice.json"
    wanted = json.loads(json.dumps(job.as_json()))
    choice = _chosen_before(cached, wanted)
    if choice is None:
        train, held_out = (ShardPart(work, part) for part in ("train", "validation"))
        if not len(train) or not len(held_out):
            raise SteeringError(
                f"Expected usable samples in the pilot, got {len(train)} records to train on and {len(held_out)} to judge "
                "by; check the source, or name layers."
            )
        card: ClassifierCard = card_of(job, "mean")
        choice = choose_layers(train, held_out, card, job.counts["validation"], job.seed, on_try)
        with atomic(cached) as temporary:
            tried = [vars(one) for one in choice.tried]
            temporary.write_text(json.dumps({"job": wanted, "layers": choice.layers, "tried": tried}))
    say(choice_table(choice))
    say(f"Chosen: {', '.join(choice.layers)}.")
    return choice


def _chosen_before(file: Path, job: Mapping[str, object]) -> Choice | None:
    try:
        there = json.loads(file.read_text(encoding="utf-8"))
        if there["job"] != job:
            return None
        tried = tuple(Tried(**{**one, "layers": tuple(one["layers"])}) for one in there["tried"])
        return Choice(tuple(there["layers"]), tried)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def choice_table(choice: Choice, most: int = 12) -> str:
    """The best of what the pilot tried, as a Markdown table."""
    from ..evaluation.tables import markdown

    best = sorted(choice.tried, key=lambda one: -one.wrong)[:most]
    rows = [
        [
            ", ".join(one.layers) if len(one.layers) <= 6 else f"all {len(one.layers)}",
            f"{one.right:.1%}",
            f"{one.wrong:.1%}",
            "-" if one.follows is None else f"{one.follows:.0%}",
        ]
        for one in best
    ]
    return markdown(["layers", "right words", "wrong words", "errors that follow the word"], rows)


def _report(work: Work, job: Job, say: Say) -> None:
    summary = work.summary()
    for line in summary.damage.lines():
        say(line)
    if summary.psnr is not None:
        say(f"Ways back: {summary.psnr:.1f} dB on average, the worst {summary.psnr_least:.1f} dB.")
    say(
        f"Recorded: {summary.samples:,} of {job.samples:,} samples, {summary.records:,} records in {work.folder}."
    )
