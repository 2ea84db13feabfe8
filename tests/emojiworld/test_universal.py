"""Training the classifier for every model: recorded once, resumed where it was, and what it writes."""

import json
import shutil

import pytest
import torch

from learn_to_steer.classifiers import load_classifier
from learn_to_steer.cli import main
from learn_to_steer.emojiworld import WEIGHTS, universal
from learn_to_steer.emojiworld.fitting import TrainingRun


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The maps of six scenes of each EmojiWorld, recorded by a training of one step."""
    work = tmp_path_factory.mktemp("recorded")
    universal.train_universal(run_in(work, steps=1), WEIGHTS, work / "first.safetensors", scenes=6)
    (work / "universal.pt").unlink()
    return work


def run_in(work, steps=6):
    return TrainingRun(work, steps, 32, 2e-3, seed=3, save_every=2)


def test_a_training_that_was_killed_goes_on_as_if_it_had_not_been(recorded, tmp_path, monkeypatch):
    unbroken, broken = tmp_path / "a", tmp_path / "b"
    for work in (unbroken, broken):
        shutil.copytree(recorded, work)
    files = {f.name: f.stat().st_mtime_ns for f in unbroken.glob("inverted-*")}
    assert len(files) == 6
    universal.train_universal(run_in(unbroken), WEIGHTS, unbroken / "c.safetensors", scenes=6)
    assert {f.name: f.stat().st_mtime_ns for f in unbroken.glob("inverted-*")} == files  # not recorded again

    real, calls = universal.universal_loss, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(universal, "universal_loss", killed)
    with pytest.raises(KeyboardInterrupt):
        universal.train_universal(run_in(broken), WEIGHTS, broken / "c.safetensors", scenes=6)
    assert not (broken / "c.safetensors").exists()
    calls[:] = [1] * 10
    universal.train_universal(run_in(broken), WEIGHTS, broken / "c.safetensors", scenes=6)
    assert len(calls) == 10 + 4  # steps 2 to 5: what was saved after step 1 is not done again
    first, second = (load_classifier(work / "c.safetensors") for work in (unbroken, broken))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_command_leaves_a_model_out(recorded, tmp_path, capsys):
    shutil.copytree(recorded, tmp_path / "work")
    out = tmp_path / "without" / "mmdit.safetensors"
    options = ["--work", str(tmp_path / "work"), "--steps", "2", "--batch", "16", "--scenes", "6"]
    assert (
        main(["emojiworld", "train", "universal", *options, "--leave-out", "mmdit", "--out", str(out)]) == 0
    )
    card = load_classifier(out).card
    about = json.loads(card.about)
    assert "emojiworld-unet" in about["trained on"] and "emojiworld-mmdit" not in about["trained on"]
    assert set(about["unseen pairs"]) == {"emojiworld-unet", "emojiworld-mmdit"}
    page = out.with_suffix(".md").read_text()
    assert "for every model" in page and "first 50%" in page and "`emojiworld-mmdit`" in page
    said = capsys.readouterr().out
    assert "| unet" in said and "| mmdit" in said and str(out) in said
    assert (tmp_path / "work" / "universal-without-mmdit.pt").exists()
    assert not (tmp_path / "work" / "universal.pt").exists()


def test_what_is_left_out_does_not_ship(capsys):
    assert main(["emojiworld", "train", "universal", "--leave-out", "unet"]) == 2
    assert capsys.readouterr().err.strip().endswith("give a file.")
    assert main(["emojiworld", "train", "universal", "--out", "x.bin"]) == 2
    assert ".safetensors" in capsys.readouterr().err
