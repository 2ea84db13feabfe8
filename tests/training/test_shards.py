"""Fitting out of shards: as good as in memory, and never more in memory than a few of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import SYMMETRIC_RELATIONS, load_classifier, save_classifier, write_card
from learn_to_steer.dataset import How, Job, ShardPart, Work, reading
from learn_to_steer.dataset.shards import labels_of, make
from learn_to_steer.errors import SteeringError
from learn_to_steer.training import FitOptions, card_of, choose_layers, train_from_shards

LAYERS = (
    AttentionLayer("down.0", "down", 0, 2),
    AttentionLayer("mid.0", "mid", 1, 1),
    AttentionLayer("up.0", "up", 2, 2),
)
OFFSETS = torch.tensor([[-3, 0], [3, 0], [0, -3], [0, 3]])


def synthetic_maps(count, generator, word_trace=0.0):
    """Spots where the objects are, in the channels of "down.0" only; "mid.0" is noise; "up.0" shows the word as well: as
    far out as the relation would be, `word_trace` times as bright."""
    holds = torch.arange(count) % 4
    worded = torch.where(torch.arange(count) % 2 == 0, holds, (holds + 1 + torch.arange(count) // 2 % 3) % 4)
    maps = 0.3 * torch.rand(count, 2, 5, 8, 8, generator=generator)
    at = torch.randint(3, 5, (count, 2), generator=generator)
    rows = torch.arange(count)
    for channel, relation, bright in (
        (0, holds, 3.0),
        (1, holds, 3.0),
        (3, holds, 3.0),
        (4, worded, 3.0 * word_trace),
    ):
        x, y = (at + OFFSETS[relation]).unbind(1)
        maps[rows, 0, channel, y, x] += bright
        maps[rows, 1, channel, at[:, 1], at[:, 0]] += bright
    maps = maps / maps.sum((-2, -1), keepdim=True) * 64
    return maps.half(), labels_of(holds, worded, torch.arange(count) % 3, torch.arange(count))


def recording(folder, samples, per_shard=50, word_trace=0.0):
    """A folder as `record` leaves it, of synthetic maps."""
    held = max(per_shard, samples // 6)
    job = Job(
        "digest", "custom", False, 6, (64, 64), SYMMETRIC_RELATIONS, "0123456789abcdef", LAYERS, (0, 1, 2),
        (8.0, 4.0, 2.0), 8,
        {p: {"source": "spots"} for p in ("train", "validation", "test")},
        {"train": samples, "validation": held, "test": held}, 0, How(draws=1), 16, per_shard,
    )  # fmt: skip
    work = Work(folder)
    work.begin(job)
    generator = torch.Generator().manual_seed(1)
    for shard in job.shards():
        work.put(make(shard, *synthetic_maps(shard.count, generator, word_trace), [], [], ()))
    work.finish(job)
    return work


def test_batches_hold_every_record_once_in_an_order_of_their_seed(tmp_path, monkeypatch):
    work = recording(tmp_path, 230)
    part = ShardPart(work, "train")
    assert len(part) == 230
    inputs = part.inputs(card_of(part.job, "symmetric"))

    def marks(seed, size=64):
        batches = list(inputs.batches(size, seed))
        return [len(b) for b in batches], torch.cat(
            [b.maps.flatten(1).sum(1) * 1000 + b.maps[:, 0, 0, 0, 0] for b in batches]
        )

    for pool in (reading.POOL_BYTES, 1):  # all shards mixed at a time, and one by one
        monkeypatch.setattr(reading, "POOL_BYTES", pool)
        sizes, straight = marks(None)
        assert sizes == [64, 64, 64, 38]
        mixed = marks(7)[1]
        assert not torch.equal(straight, mixed)
        assert torch.equal(straight.sort().values, mixed.sort().values)
        assert torch.equal(mixed, marks(7)[1]) and not torch.equal(mixed, marks(8)[1])
    first = next(inputs.batches(3))
    assert first.maps.sum((-2, -1)).sub(1).abs().max() < 1e-5 and first.holds.tolist() == [0, 1, 2]


def test_a_classifier_of_some_layers_is_given_their_channels(tmp_path):
    work = recording(tmp_path, 50)
    part = ShardPart(work, "train")
    card = card_of(part.job, "symmetric")
    every = next(part.inputs(card).batches(4)).maps
    from learn_to_steer.training.pilot import of_layers

    for names, channels in ((("up.0",), [3, 4]), (("mid.0", "down.0"), [0, 1, 2]), (None, [0, 1, 2, 3, 4])):
        some = of_layers(card, names, LAYERS)
        assert some.channels == len(channels)
        assert torch.equal(next(part.inputs(some).batches(4)).maps, every[:, :, channels])
    with pytest.raises(SteeringError, match="at least 16 x 16"):
        from dataclasses import replace

        part.inputs(replace(card, map_size=16))
    right = ShardPart(work, "train", right_words=True)
    assert sum(len(b) for b in right.inputs(card).batches(64)) == 25
    assert all(torch.equal(b.holds, b.worded) for b in right.inputs(card).batches(64))


def test_a_classifier_is_trained_described_saved_and_read(tmp_path):
    work = recording(tmp_path / "work", 600, word_trace=0.0)
    told = []
    trained = train_from_shards(
        work, options=FitOptions(epochs=8), on_epoch=lambda *facts: told.append(facts)
    )
    assert trained.test.right > 0.95 and trained.test.wrong > 0.95
    assert [facts[0] for facts in told] == list(range(1, trained.fit.epochs + 1)) and told[0][2] > told[-1][2]
    save_classifier(trained.classifier, tmp_path / "c.safetensors")
    again = load_classifier(tmp_path / "c.safetensors").card
    assert (again.layers, again.channels, again.sigmas) == (("down.0", "mid.0", "up.0"), 5, (8.0, 4.0, 2.0))
    assert (again.layout, again.resize, again.renormalise) == ("0123456789abcdef", "area", "always")
    about = json.loads(again.about)
    assert about["samples"] == 600 and about["recording"]["model"] == "digest"
    assert about["unseen pairs"]["by_step"].keys() == {"0", "1", "2"}
    assert about["unseen pairs"]["by_relation"].keys() == set(SYMMETRIC_RELATIONS)
    assert "spots" in write_card(trained.classifier, tmp_path / "c.safetensors").read_text()
    assert (
        train_from_shards(work, options=FitOptions(epochs=2), seed=4).fit.losses
        == train_from_shards(work, options=FitOptions(epochs=2), seed=4).fit.losses
    )


def test_what_ends_a_fit_early_is_passed_on(tmp_path):
    class Enough(Exception):
        pass

    def enough(*facts):
        raise Enough

    with pytest.raises(Enough):
        train_from_shards(recording(tmp_path, 60), on_epoch=enough)


def test_the_pilot_takes_the_layer_that_reads_and_does_not_follow(tmp_path):
    """ "mid.0" is noise, and "up.0" follows the word as much as the picture."""
    work = recording(tmp_path, 240, word_trace=1.0)
    parts = [ShardPart(work, part) for part in ("train", "validation")]
    choice = choose_layers(*parts, card_of(parts[0].job, "mean"), samples=60)
    assert choice.layers == ("down.0",)
    reads = {one.layers: one for one in choice.tried}
    assert reads["down.0",].wrong > 0.95 and reads["mid.0",].wrong < 0.5
    assert reads["up.0",].wrong < 0.8 and reads["up.0",].follows > 0.8
    assert ("down.0", "mid.0", "up.0") in reads


def peak(folder):
    """Largest memory, in MB, of a process that fits to this recording."""
    script = (
        "import sys, resource; from pathlib import Path\n"
        "import torch; torch.set_num_threads(1)\n"
        "from learn_to_steer.dataset import Work; from learn_to_steer.dataset import reading\n"
        "from learn_to_steer.training import FitOptions, train_from_shards\n"
        "reading.POOL_BYTES = 2**20\n"
        "train_from_shards(Work(Path(sys.argv[1])), options=FitOptions(epochs=1, batch=256))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    """The maps of 12,000 samples are 31 MB as float32 for training alone, ten times those of 1,200."""
    small, large = (peak(recording(tmp_path / str(n), n, 100).folder) for n in (1_200, 12_000))
    assert large - small < 10, (small, large)
