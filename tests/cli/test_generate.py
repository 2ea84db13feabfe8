"""`generate` on EmojiWorld as shipped, with few steps."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.cli import main
from learn_to_steer.emojiworld import WEIGHTS

FILES = ["plain.png", "report.png", "steered.png", "trace.json"]
PROMPT = "a dog to the right of a teddy bear"


def pixels(file) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The folder of one steered drawing."""
    folder = tmp_path_factory.mktemp("drawn") / "new" / "folder"
    arguments = ["--steps", "4", "--seed", "7", "--strength", "2", "--out", str(folder)]
    assert main(["generate", PROMPT, *arguments]) == 0
    return folder


def test_all_files_and_nothing_else(drawn):
    assert sorted(f.name for f in drawn.iterdir()) == FILES
    assert [f.name for f in drawn.parent.iterdir()] == ["folder"]
    assert pixels(drawn / "plain.png").shape == (128, 128, 3)
    height, width, _ = pixels(drawn / "report.png").shape
    assert width > 1000 and height > 600


def test_trace_says_what_was_done(drawn):
    trace = json.loads((drawn / "trace.json").read_text())
    assert trace["prompt"] == PROMPT and trace["seed"] == 7
    assert trace["triplets"] == [["dog", "to the right of", "teddy bear"]]
    assert trace["settings"]["plan"]["strength"] == 2
    (spent,) = trace["trace"]["evaluations"]
    assert 2 <= spent <= 6  # two of four steps, at most three at each
    made = [
        r for r in trace["trace"]["records"] if r["evaluation"] >= 0
    ]  # -1 is the sampler's own pass, read for nothing
    assert len(made) == spent
    assert trace["model_calls"] == {"plain": 4, "steered": 4 + spent}
    assert min(trace["seconds"].values()) > 0
    assert list(trace["judged"]) == ["plain", "steered"]


def test_steering_changed_the_picture(drawn):
    record = json.loads((drawn / "trace.json").read_text())["trace"]["records"][0]
    same = np.array_equal(pixels(drawn / "plain.png"), pixels(drawn / "steered.png"))
    assert same == (record["move"] == 0)


def test_same_seed_same_pictures(drawn, cli, tmp_path):
    out = tmp_path / "again"
    result = cli("generate", PROMPT, "--steps", 4, "--seed", 7, "--strength", 2, "--out", out)
    assert result.code == 0 and "dog" in result.out and "evaluation" in result.out
    for name in ("plain.png", "steered.png"):
        assert (out / name).read_bytes() == (drawn / name).read_bytes()


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [("a dog and a teddy bear", []), (PROMPT, ["--strength", "0"])],
    ids=["no relation", "strength 0"],
)
def test_nothing_to_steer_costs_nothing(cli, tmp_path, prompt, arguments):
    result = cli("generate", prompt, "--steps", 2, *arguments, "--out", tmp_path)
    assert result.code == 0 and "nothing was steered" in result.out
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "steered.png").read_bytes()
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["model_calls"] == {"plain": 2, "steered": 2}
    assert trace["trace"]["records"] == []


def test_given_triplet_replaces_those_of_the_prompt(cli, tmp_path):
    arguments = ["--triplet", "teddy bear | on top of | dog", "--objective", "centroid", "--steps", 2]
    assert cli("generate", PROMPT, *arguments, "--out", tmp_path).code == 0
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["triplets"] == [["teddy bear", "above", "dog"]]
    assert trace["trace"]["labels"] == [["teddy bear above dog"]]


def test_unknown_relation_beside_a_known_one_is_left_out_and_said(cli, tmp_path):
    prompt = "a dog behind a fox, a car above a pig"
    result = cli("generate", prompt, "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "Not steered" in result.out and "dog behind fox" in result.out
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["trace"]["labels"] == [["car above pig"]]


def test_an_object_beyond_the_text_encoder_is_left_out_and_said(cli, tmp_path):
    """EmojiWorld reads 32 tokens."""
    prompt = "a dog above a car. " + "a balloon. " * 12 + "a fox above a pig"
    result = cli("generate", prompt, "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "Not steered: fox above pig. " in result.out and "32 tokens" in result.out
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["trace"]["labels"] == [["dog above car"]] and trace["trace"]["evaluations"][0] > 0
    assert len(trace["left_out"]) == 1

    result = cli("generate", prompt, "--triplet", "fox | above | pig", "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "nothing was steered" in result.out
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "steered.png").read_bytes()


def test_doubtful_relations_are_shown_and_taken_by_hand(cli, tmp_path):
    prompt = "a pig on its hind legs, a dog above a car"
    result = cli("generate", prompt, "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "Understood: dog | above | car\n" in result.out
    assert (
        'Not steered: "pig | above | hind legs" is doubtful: "hind legs" is a part of the subject'
        in result.out
    )
    assert "--triplet" in result.out
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert [row[:3] for row in trace["doubtful"]] == [["pig", "above", "hind legs"]]
    assert trace["trace"]["labels"] == [["dog above car"]]

    poster = "a dog on the wall, a poster of Cars Under the Moon, a frog under a pig's spell"
    result = cli("generate", poster, "--triplet", "the dog | above | a frog", "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "is doubtful" not in result.out
    assert json.loads((tmp_path / "trace.json").read_text())["trace"]["labels"] == [["dog above frog"]]


def test_a_language_that_is_not_read_and_too_many_relations_are_said(cli, tmp_path):
    result = cli("generate", "собака слева от кошки, dog", "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "which is not read" in result.out
    assert "not read" in json.loads((tmp_path / "trace.json").read_text())["note"]
    lines = [part for _ in range(18) for part in ("--triplet", "dog | above | car")]
    result = cli("generate", "a dog and a car", *lines, "--steps", 2, "--out", tmp_path)
    assert (
        result.code == 0 and "Only the first 16 relations are used, left out: dog above car; " in result.out
    )


@pytest.mark.parametrize("triplet", ["dog | left of | dog", "the dog | left of | dog"])
def test_one_mention_on_both_sides_is_refused(cli, tmp_path, triplet):
    result = cli("generate", "a dog and a car", "--triplet", triplet, "--out", tmp_path)
    assert result.code == 2 and "Expected two mentions" in result.err and result.err.count("\n") == 1
    result = cli("generate", "a dog and a dog", "--triplet", triplet, "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "Understood: dog | to the left of | dog" in result.out


def test_emojiworld_keeps_its_steps_and_guidance(cli, tmp_path):
    assert cli("generate", "a dog and a fox", "--out", tmp_path).code == 0
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert (trace["settings"]["steps"], trace["settings"]["guidance"]) == (20, 6.0)
    assert trace["settings"]["dtype"] == "float32"


def test_a_model_without_a_classifier_of_its_own_is_steered_by_the_universal_one(cli, tmp_path):
    """EmojiWorld's UNet without the judge that makes it EmojiWorld is a diffusers folder like any other. Of its two
    attentions down and four up, the last third down and the first third up are read, as of a UNet of SD 1.5's kind."""
    shutil.copytree(WEIGHTS, tmp_path / "mine", ignore=shutil.ignore_patterns("judge*", "mmdit"))
    arguments = [
        "--model",
        tmp_path / "mine",
        "--steps",
        "4",
        "--guidance",
        "6",
        "--height",
        "128",
        "--width",
        "128",
    ]
    result = cli("generate", PROMPT, *arguments, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    trace = json.loads((tmp_path / "out" / "trace.json").read_text())
    assert trace["settings"]["layers"] == ["down.1.0", "up.0.0"]
    assert trace["trace"]["evaluations"][0] > 0


def test_another_size(cli, tmp_path):
    result = cli("generate", PROMPT, "--steps", 2, "--height", 64, "--width", 96, "--out", tmp_path)
    assert result.code == 0 and pixels(tmp_path / "steered.png").shape == (64, 96, 3)
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert (trace["settings"]["height"], trace["settings"]["width"]) == (64, 96)


def test_old_pictures_are_replaced_and_other_files_kept(cli, tmp_path):
    (tmp_path / "plain.png").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    assert cli("generate", "a dog", "--steps", 1, "--out", tmp_path).code == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ["mine.txt", *FILES]
    assert pixels(tmp_path / "plain.png").shape == (128, 128, 3)


def test_nothing_is_half_written(cli, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no plot today")

    monkeypatch.setattr("learn_to_steer.pictures.report_figure", fail)
    with pytest.raises(RuntimeError, match="no plot today"):
        cli("generate", "a dog", "--steps", 1, "--out", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_interrupt(cli, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("learn_to_steer.hosts.diffusers.generate", interrupt)
    assert cli("generate", PROMPT, "--out", tmp_path / "out").code == 130
    assert list(tmp_path.iterdir()) == []


def test_an_object_beyond_the_text_encoder_is_left_out_and_named(cli, tmp_path):
    """EmojiWorld reads 32 tokens; the fox comes later. The picture comes all the same, and a relation within is steered."""
    prompt = "a pig above a car" + " and a dog" * 12 + " and a fox"
    triplets = ["--triplet", "pig | above | car", "--triplet", "fox | above | pig"]
    result = cli("generate", prompt, *triplets, "--steps", "2", "--out", tmp_path / "out")
    assert result.code == 0 and "Not steered: fox above pig. " in result.out
    trace = json.loads((tmp_path / "out" / "trace.json").read_text())["trace"]
    assert trace["labels"] == [["pig above car"]] and trace["evaluations"][0] > 0


def test_goals_are_steered_without_a_relation_and_each_is_said(cli, tmp_path):
    goals = ["--goals", "presence,separation,single", "--steps", 4]
    result = cli("generate", "a dog and a teddy bear", *goals, "--out", tmp_path)
    assert result.code == 0 and "nothing was steered" not in result.out
    assert "Understood: no spatial relation, but these things: dog, teddy bear" in result.out
    trace = json.loads((tmp_path / "trace.json").read_text())
    labels = [
        "dog is there", "teddy bear is there", "dog apart from teddy bear", "dog only once", "teddy bear only once",
    ]  # fmt: skip
    assert trace["trace"]["labels"] == [labels] and trace["trace"]["evaluations"][0] > 0
    assert trace["settings"]["goals"] == ["presence", "separation", "single"]
    assert all(f"{label} 0." in result.out or f"{label} 1." in result.out for label in labels)


def test_the_seed_taken_is_said(cli, tmp_path):
    result = cli("generate", PROMPT, "--seeds-tried", 3, "--strength", 0, "--steps", 2, "--out", tmp_path)
    assert result.code == 0 and "Of 3 first noises that of seed " in result.out
    trace = json.loads((tmp_path / "trace.json").read_text())
    (tried,) = trace["trace"]["first_noises"]
    assert [one["seed"] for one in tried if one["chosen"]] == [trace["seed_taken"]]
    assert trace["model_calls"] == {"plain": 2, "steered": 3} and trace["trace"]["evaluations"] == [3]
    again = ["--seed", trace["seed_taken"], "--strength", 0, "--steps", 2, "--out", tmp_path / "again"]
    assert cli("generate", PROMPT, *again).code == 0
    assert (tmp_path / "again" / "plain.png").read_bytes() == (tmp_path / "steered.png").read_bytes()


def test_goals_of_the_command_are_those_of_the_engine():
    from learn_to_steer.cli import generate
    from learn_to_steer.objectives import targets

    assert generate.GOALS == targets.GOALS


@pytest.mark.parametrize(
    "arguments", [["--goals", "colour"], ["--goals", ""], ["--seeds-tried", "0"], ["--seeds-tried", "65"]]
)
def test_goals_and_seeds_out_of_range_are_refused(cli, tmp_path, arguments):
    result = cli("generate", PROMPT, *arguments, "--out", tmp_path / "new")
    assert result.code == 2 and "expected" in result.err and not (tmp_path / "new").exists()


@pytest.mark.parametrize("model", ["unet-crowd", "mmdit-crowd"])
def test_a_model_for_crowds_by_its_name(tmp_path, capsys, model):
    """With its autoencoder, tokenizer and judge, which lie in another folder."""
    asked = "a fox above a car to the left of a dog below a cactus"
    arguments = ["--model", model, "--method", "attention", "--steps", "4", "--out", str(tmp_path)]
    assert main(["generate", asked, *arguments]) == 0
    assert "independent judge sees: plain" in capsys.readouterr().out
    assert sorted(f.name for f in tmp_path.iterdir()) == FILES
