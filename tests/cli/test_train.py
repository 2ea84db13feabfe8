"""`record`, `train` and `inspect`: from nothing to a file that steers, and what is refused on the way."""

import json
import shutil

import pytest
from PIL import Image

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.cli.models import model_folder
from learn_to_steer.cli.record import read_settings
from learn_to_steer.cli.sources import known_pairs
from learn_to_steer.dataset import Work
from learn_to_steer.emojiworld.prompts import object_pairs

SMALL = [
    "--samples",
    "6",
    "--way",
    "noising",
    "--layers",
    "down.0.0,up.1.0",
    "--batch",
    "8",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A few scenes recorded by the command line."""
    from learn_to_steer.cli import main

    work = tmp_path_factory.mktemp("recorded")
    assert main(["record", "--model", "unet", "--source", "scenes", "--work", str(work), *SMALL]) == 0
    return work


def test_what_record_leaves_behind(recorded):
    job = Work(recorded).job()
    assert job.layer_names == ("down.0.0", "up.1.0") and job.family == "emojiworld-unet"
    assert job.counts == {"train": 6, "validation": 1, "test": 1}
    assert read_settings(recorded) == {"model": "unet", "steps": None, "height": None, "width": None}


def test_recording_again_says_the_cost_of_nothing(cli, recorded):
    result = cli("record", "--model", "unet", "--source", "scenes", "--work", recorded, *SMALL)
    assert result.code == 0 and "Recording" not in result.out
    assert "Recorded: 8 of 8 samples, 64 records" in result.out
    result = cli("record", "--model", "unet", "--source", "scenes", "--work", recorded, *SMALL, "--seed", 5)
    assert result.code == 2 and "differ in seed" in result.err


def test_train_writes_a_classifier_with_its_pages_and_inspect_reads_it(cli, recorded, tmp_path):
    out = tmp_path / "mine.safetensors"
    result = cli("train", "--work", recorded, "--out", out, "--epochs", 1, "--steered", 1, "--device", "cpu")
    assert result.code == 0, result.err
    assert (
        "Fitted in 1 epochs" in result.out
        and "1 pictures plain and steered: the relation holds" in result.out
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "mine-leakage.png",
        "mine-steered.png",
        "mine.md",
        "mine.safetensors",
    ]
    about = json.loads(load_classifier(out).card.about)
    assert about["steering"]["pictures"] == 1 and about["steering"]["steered"]["relation"] in (0.0, 1.0)
    for name in ("mine-leakage.png", "mine-steered.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
    shown = cli("inspect", out)
    assert shown.code == 0
    for fact in (
        "SymmetricRelationClassifier",
        "emojiworld-unet, attentions ",
        "down.0.0, up.1.0: 8 channels",
        "8 x 8, area",
        "under right words",
        "noised under right and wrong relation words",
    ):
        assert fact in shown.out, fact


def test_inspect_of_every_file_is_a_card_or_one_sentence(cli, tmp_path):
    shown = cli("inspect", shipped_classifier("emojiworld-symmetric"))
    assert (
        shown.code == 0
        and "to the left of, to the right of, above, below" in shown.out
        and "94.6% read" in shown.out
    )
    data = shipped_classifier("emojiworld-symmetric").read_bytes()
    broken = tmp_path / "broken.safetensors"
    for content in (b"", b"x", data[:1000], data[:-1], data[:200] + b"\xff" * 50 + data[250:]):
        broken.write_bytes(content)
        result = cli("inspect", broken)
        assert result.code == 2 and result.out == "" and result.err.count("\n") == 1, content[:20]
    for path in (tmp_path / "none.safetensors", tmp_path):
        assert cli("inspect", path).code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--source", "scenes,coco", "--data", "x"], "split together"),
        (["--source", "coco"], "--data with a file or folder for each of coco, got 0"),
        (["--source", "own", "--data", "x"], "no --data for own"),
        (["--source", "gqa", "--data", "nowhere"], "GQA's scene graphs"),
        (["--source", "scenes", "--data", "nowhere"], "cut-outs"),
        (["--source", "scenes", "--layers", "down.9"], "attention layers among down.0.0"),
        (["--source", "scenes", "--backgrounds", "nowhere"], "folder of pictures"),
        (["--source", "scenes", "--way", "rf", "--layers", "down.0.0"], "flow model"),
        (["--source", "paintings"], "expected names among scenes"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_said_in_one_sentence(cli, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    result = cli(
        "record", "--model", "unet", "--work", tmp_path / "w", "--samples", 3, "--device", "cpu", *arguments
    )
    assert result.code == 2 and says in result.err and result.err.count("\n") == 1


def test_what_cannot_be_trained_is_said_in_one_sentence(cli, recorded, tmp_path):
    out = tmp_path / "x.safetensors"
    assert "ends in .safetensors" in cli("train", "--work", recorded, "--out", tmp_path / "x.pth").err
    assert "neither --work nor --source" in cli("train", "--out", out).err
    assert "record them first" in cli("train", "--work", tmp_path / "none", "--out", out).err
    damaged = tmp_path / "damaged"
    shutil.copytree(recorded, damaged)
    file = next((damaged / "shards").glob("train*"))
    file.write_bytes(file.read_bytes()[:-1])
    result = cli("train", "--work", damaged, "--out", out)
    assert result.code == 2 and "missing or damaged" in result.err
    other = cli(
        "train", "--work", recorded, "--model", "mmdit", "--out", out, "--epochs", 1, "--device", "cpu"
    )
    assert other.code == 2 and "with other weights" in other.err
    assert not out.exists()


def test_emojiworlds_own_test_pairs_stay_unseen():
    parts = known_pairs(model_folder(None))
    unseen = {frozenset(pair) for pair in object_pairs("test")}
    assert not unseen & {frozenset(pair) for pair in parts}
    assert {frozenset(p) for p, part in parts.items() if part == "test"} == {
        frozenset(p) for p in object_pairs("validation")
    }
    assert sorted(parts.values()).count("validation") == 6 and len(parts) == 42
