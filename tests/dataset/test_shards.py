"""Recording in shards: the same bytes whatever happens in between, and nothing lost."""

import dataclasses
import errno
import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

import learn_to_steer.records as records
from learn_to_steer.attention import MapStack
from learn_to_steer.dataset import How, ShardPart, Work, plan_job, record_batch, record_shards
from learn_to_steer.dataset.estimate import estimate, in_bytes, in_time
from learn_to_steer.dataset.job import job_of
from learn_to_steer.dataset.shards import stored_maps
from learn_to_steer.dataset.sources import LeftOut, scene_parts
from learn_to_steer.errors import SteeringError

from .made import COUNTS, TinyRecorder, cutouts, job, loaded

ROOT = Path(__file__).parents[2]


def state(folder):
    """Every file of a recording and its digest."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    record_shards(folder, job(), loaded())
    return folder


def test_what_is_recorded(whole):
    """40 samples in shards of 5, and 8 and 8; each sample twice, right and wrong, at 2 steps."""
    work = Work(whole)
    asked = job()
    assert [s.name for s in asked.shards()][-3:] == ["validation-00001", "test-00000", "test-00001"]
    assert sum(1 for s in asked.shards()) == 8 + 2 + 2
    assert work.job() == asked == job_of(json.loads(json.dumps(asked.as_json())))
    assert {name: line.records for name, line in work.lines().items()}["train-00000"] == 5 * 4
    tensors = work.load("train-00000")
    assert tensors["maps"].shape == (20, 2, 3, 4, 4) and tensors["maps"].dtype == torch.float16
    assert torch.allclose(tensors["maps"].float().mean((-2, -1)), torch.ones(20, 2, 3), atol=2e-3)
    assert tensors["sample"].tolist() == [0, 1, 2] * 4 + [3, 4] * 4
    assert (tensors["holds"] == tensors["worded"]).tolist() == [True] * 6 + [False] * 6 + [True] * 4 + [
        False
    ] * 4
    assert set(tensors["timestep"].tolist()) <= {0, 1, 2}
    note = next(work.notes("train"))
    assert note["number"] == 0 and note["relation"] == "to the left of" and len(note["prompts"]) == 2
    assert note["names"][0] in note["prompts"][0] and note["names"][1] in note["prompts"][1]
    # 20 records: float16 maps and four int64 labels each
    assert abs(os.path.getsize(work.file("train-00000")) - 20 * (2 * 3 * 16 * 2 + 32)) < 600


def test_shards_hold_what_a_classifier_would_be_given(tiny, shapes):
    """Averaged over areas, then of one sum: of a map in quarters 1, 2, 3 and 6, four times the share of each."""
    quarters = torch.tensor([[1.0, 2.0], [3.0, 6.0]]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    stack = MapStack((tiny.layers[1],), (quarters.expand(1, 2, 1, 8, 8),))
    assert stored_maps(stack, 2)[0, 0, 0].tolist() == [
        [pytest.approx(4 / 12, abs=1e-3), pytest.approx(8 / 12, abs=1e-3)],
        [1.0, 2.0],
    ]
    data = record_batch(scene_parts(shapes, 0).sources["train"], tiny, [0, 1], 3, How(draws=1)).maps
    assert [layer.name for layer in data.stack.ordered().layers] == ["up.0", "down.0"]  # 4 x 4 before 8 x 8
    assert plan_job(*loaded(), COUNTS, 3, How()).layer_names == ("up.0", "down.0")


def test_a_record_is_a_function_of_model_sample_and_seed(tiny, shapes):
    source, how = scene_parts(shapes, 0).sources["train"], How(draws=2)
    pair = record_batch(source, tiny, [4, 9], 3, how)
    alone = record_batch(source, tiny, [9], 3, how)
    mine = pair.rows == 9
    for a, b in zip(pair.maps.stack.maps, alone.maps.stack.maps, strict=True):
        assert torch.allclose(a[mine].float(), b.float(), atol=1e-3)
    assert pair.notes[1] == alone.notes[0]
    assert record_batch(source, tiny, [9], 4, how).notes[0] != alone.notes[0]


def test_each_prompt_has_an_inversion_of_its_own(tiny, shapes):
    source = scene_parts(shapes, 0).sources["train"]
    for way, differ in (("euler", True), ("noising", False)):
        maps = []
        heard = TinyRecorder()
        read = heard.maps
        heard.maps = lambda noisy, *rest, read=read, maps=maps: (maps.append(noisy), read(noisy, *rest))[1]
        record_batch(source, heard, [0, 1, 2, 3], 3, How(way, draws=1))
        right, wrong = maps
        assert (not torch.equal(right, wrong)) == differ, way
    only = record_batch(source, tiny, [0], 3, How(dual=False, draws=3))
    assert len(only.maps) == 3 and bool(only.maps.right_words.all()) and len(only.notes[0].prompts) == 1


def test_inversions_that_do_not_come_back_are_left_out(tiny, shapes):
    source = scene_parts(shapes, 0).sources["train"]
    done = record_batch(source, tiny, range(6), 3, How(check=True, draws=1))
    assert len(done.psnr) == 12 and all(15 < value < 40 for value in done.psnr)
    lost = [i for i in range(6) if min(done.psnr[2 * i : 2 * i + 2]) < 19.5]
    assert 6 - len(done.notes) == len(lost) == len(done.left_out)
    tiny.decode = lambda latents: torch.zeros(len(latents), 32, 32, 3, dtype=torch.uint8).numpy()
    none = record_batch(source, tiny, range(2), 3, How(check=True, draws=1))
    assert (
        none.maps is None
        and [out.kind for out in none.left_out] == ["an inversion that does not come back to 19.5 dB"] * 2
    )


def test_a_sample_that_cannot_be_recorded_is_left_out_alone(tiny):
    class Long:
        relations, phrasings, count, about = ("left", "right"), 1, None, {}
        inner = scene_parts(cutouts(), 0).sources["train"]

        def samples(self, numbers, seed, size):
            return self.inner.samples(numbers, seed, size)

        def prompt(self, names, relation, phrasing):
            return f"a {names[0]} by a {names[1]}" + " and so on" * (20 if names == self.bad else 0)

    source = Long()
    source.bad = source.inner.samples([1], 3, (32, 32))[0].names
    source.inner.samples = lambda numbers, seed, size, real=source.inner.samples: [
        dataclasses.replace(s, holds=s.holds % 2) for s in real(numbers, seed, size)
    ]
    done = record_batch(source, tiny, range(8), 3, How(draws=1))
    bad = [s.names == source.bad for s in source.samples(range(8), 3, (32, 32))]
    assert 0 < sum(bad) < 8
    assert [n.number for n in done.notes] == [i for i in range(8) if not bad[i]]
    assert len(done.left_out) == sum(bad) and "a long one" in done.left_out[0].kind
    with pytest.raises(SteeringError, match="a long one"):
        record_batch(source, tiny, [bad.index(True)], 3, How(draws=1))


def test_killed_at_ten_random_moments_and_resumed(whole, tmp_path):
    """Ten times the process is killed outright; what is left at the end is, byte for byte, what one run makes."""
    rng = random.Random(5)
    reached = []
    for _ in range(10):
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                torch.set_num_threads(1)  # no thread pool survives a fork
                record_shards(tmp_path, job(), loaded(), lambda progress, told=told: os.write(told, b"x"))
            finally:
                os._exit(0)
        os.close(told)
        for _ in range(rng.randint(1, 4)):  # batches; a shard has two
            os.read(heard, 1)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
        reached.append(len(Work(tmp_path).whole()))
    assert reached == sorted(reached) and reached[-1] > 0  # nothing that was entered is lost
    record_shards(tmp_path, job(), loaded())
    assert state(tmp_path) == state(whole)


def test_ended_by_its_watcher_and_resumed(whole, tmp_path):
    class Enough(Exception):
        pass

    seen = []

    def watch(progress):
        seen.append(progress)
        if len(seen) == 7:
            raise Enough

    with pytest.raises(Enough):
        record_shards(tmp_path, job(), loaded(), watch)
    assert seen[0].done == 3 and seen[0].total == 56 and seen[0].picture.shape == (32, 32, 3)
    assert "a" in seen[0].prompt.split()
    # Batches of 3 and 2 a shard: the seventh is the first of the fourth shard, which is lost.
    assert sorted(Work(tmp_path).whole()) == ["train-00000", "train-00001", "train-00002"]
    seen.clear()
    seen += [None] * 100
    record_shards(tmp_path, job(), loaded(), watch)
    assert seen[100].done == 15 + 3 and seen[-1].done == 56
    assert state(tmp_path) == state(whole)


def copied(whole, folder):
    import shutil

    shutil.copytree(whole, folder, dirs_exist_ok=True)
    return Work(folder)


def made_again(folder):
    """Which shards a further run makes."""
    made = []
    before = Work.put
    try:
        Work.put = lambda self, shard: (made.append(shard.name), before(self, shard))[1]
        record_shards(folder, job(), loaded())
    finally:
        Work.put = before
    return made


@pytest.mark.parametrize("damage", ["bit", "gone", "short", "line", "torn line"])
def test_a_damaged_shard_is_found_and_made_again(whole, tmp_path, damage):
    work = copied(whole, tmp_path)
    file = work.file("train-00003")
    data = bytearray(file.read_bytes())
    lines = work.index.read_bytes().split(b"\n")
    if damage == "bit":
        data[-40] ^= 4
        file.write_bytes(data)
    elif damage == "short":
        file.write_bytes(data[:-1])
    elif damage == "gone":
        file.unlink()
    else:
        lines[4] = lines[4][:50] if damage == "torn line" else b"\xff\x00"
        work.index.write_bytes(b"\n".join(lines))
    with pytest.raises(SteeringError, match="train-00003 is missing or damaged"):
        ShardPart(work, "train")
    assert len(ShardPart(work, "validation")) == 32
    assert made_again(tmp_path) == ["train-00003"]
    assert state(tmp_path) == state(whole)
    assert made_again(tmp_path) == []


def test_a_full_disk_costs_nothing_that_was_recorded(whole, tmp_path, monkeypatch):
    """The disk has room for two and a half shards; then there is room again."""
    room = [2.5 * 5000]
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            room[0] -= len(data)
            if room[0] < 0:
                self.file.write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    with monkeypatch.context() as patch:
        patch.setattr(
            Path,
            "open",
            lambda self, mode="r", **k: (
                Full(real(self, mode, **k))
                if "w" in mode and self.suffix == ".part"
                else real(self, mode, **k)
            ),
        )
        with pytest.raises(
            SteeringError, match=r"room for the next shard of 0\.0 MB .* but the disk is full; make room"
        ):
            record_shards(tmp_path, job(), loaded())
    assert sorted(Work(tmp_path).whole()) == ["train-00000", "train-00001"]
    assert not list(tmp_path.rglob("*.part"))
    with monkeypatch.context() as patch:  # a disk that is full when the line is to be entered
        patch.setattr(
            records.os, "fsync", lambda number: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
        with pytest.raises(SteeringError, match="disk is full"):
            record_shards(tmp_path, job(), loaded())
    record_shards(tmp_path, job(), loaded())
    assert state(tmp_path) == state(whole)


def test_the_folder_of_another_job_is_refused(whole, tmp_path):
    copied(whole, tmp_path)
    with pytest.raises(SteeringError, match="differ in seed;"):
        record_shards(tmp_path, dataclasses.replace(job(), seed=4), loaded())
    with pytest.raises(SteeringError, match="differ in model;"):
        record_shards(tmp_path, dataclasses.replace(job(), model="x"), loaded())
    assert state(tmp_path) == state(whole)
    (tmp_path / "file").write_text("")
    with pytest.raises(SteeringError, match="can be written"):
        record_shards(tmp_path / "file", job(), loaded())
    with pytest.raises(SteeringError, match="record them first"):
        ShardPart(Work(tmp_path / "nothing"), "train")


def test_the_estimate_is_exact_in_passes_and_within_a_factor_of_two_on_disk(whole, tmp_path):
    """56 samples, twice six implicit Euler steps and one, and two passes for maps each."""
    cost = estimate(loaded(), job(), tmp_path)
    assert (cost.samples, cost.passes) == (56, 56 * 2 * (7 + 2)) and cost.seconds > 0
    size = sum(p.stat().st_size for p in whole.rglob("*") if p.is_file())
    assert size / 2 < cost.bytes < size * 2
    assert estimate(loaded(), job(), whole).samples == 0
    assert str(cost).startswith("56 samples, 1,008 model passes, ")
    with pytest.raises(SteeringError, match="of room"):
        estimate(
            loaded(),
            dataclasses.replace(job(), counts={**COUNTS, "train": 10**13}, per_shard=10**12),
            tmp_path,
        )
    assert [in_bytes(n) for n in (999, 14_300_000)] == ["999 B", "14.3 MB"]
    assert [in_time(s) for s in (0.2, 80, 600, 7200)] == [
        "1 seconds",
        "80 seconds",
        "10 minutes",
        "2.0 hours",
    ]


def test_a_source_without_a_usable_sample_is_refused(tiny):
    class Nothing:
        relations, phrasings, count, about = ("left", "right"), 1, 7, {}

        def samples(self, numbers, seed, size):
            return [LeftOut("a picture file that is missing", "1.png") for _ in numbers]

    with pytest.raises(SteeringError, match=r"among the first 7 .* a picture file that is missing \(1.png\)"):
        plan_job(tiny, dict.fromkeys(COUNTS, Nothing()), COUNTS, 0, How())


def test_two_workers_of_ray_make_the_same_records(whole, tmp_path):
    pytest.importorskip("ray.data")
    from learn_to_steer.dataset import record_with_ray

    seen = []
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("RAY_DEDUP_LOGS", "0")
        patch.setenv("PYTHONWARNINGS", "ignore")
        record_with_ray(tmp_path, job(), loaded, "local", 2, seen.append)
    assert [p.done for p in seen][-1] == 56 and len(seen) == 12
    assert state(tmp_path) == state(whole)
