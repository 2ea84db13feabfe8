"""Bad input: one sentence, exit code 2, nothing written, nothing drawn."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import pytest
import torch

from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    SymmetricRelationClassifier,
    load_classifier,
    save_classifier,
    shipped_classifier,
)
from learn_to_steer.emojiworld import WEIGHTS

PROMPT = "a dog to the right of a teddy bear"
SHIPPED = shipped_classifier("emojiworld-symmetric")


@pytest.fixture
def refused(cli, tmp_path, monkeypatch):
    """Runs a command that must be refused; returns the sentence."""

    def drawn(*_, **__):
        raise AssertionError("something was drawn")

    monkeypatch.setattr("diffusers.StableDiffusionPipeline.__call__", drawn)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = cli(*arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("learn-to-steer: ") and result.err.count("\n") == 1
        assert "Traceback" not in result.err
        assert sorted(tmp_path.rglob("*")) == before
        return result.err

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "empty"),
        ([" \n "], "empty"),
        (["a unicorn left of a dog"], "unicorn"),
        (["a unicorn"], "teddy bear"),
        (["a dog behind a fox"], "to the left of"),
        ([PROMPT, "--triplet", "fox | right of | dog"], "fox"),
        ([PROMPT, "--triplet", "dog | loves | teddy bear"], "loves"),
        ([PROMPT, "--triplet", "dog | behind | teddy bear"], "behind"),
        ([PROMPT, "--triplet", "dog | left of"], "SUBJECT | RELATION | OBJECT"),
        ([PROMPT, "--triplet", "dog | left of | dog"], "two mentions"),
        ([PROMPT, "--steps", "0"], "--steps"),
        ([PROMPT, "--steps", "-3"], "--steps"),
        ([PROMPT, "--steps", "1001"], "1000"),
        ([PROMPT, "--steps", "2.5"], "--steps"),
        ([PROMPT, "--seed", "-1"], "--seed"),
        ([PROMPT, "--seed", str(2**63)], "--seed"),
        ([PROMPT, "--guidance", "nan"], "--guidance"),
        ([PROMPT, "--guidance", "inf"], "--guidance"),
        ([PROMPT, "--strength", "nan"], "--strength"),
        ([PROMPT, "--strength", "-0.5"], "--strength"),
        ([PROMPT, "--plan", "slow"], "--plan"),
        ([PROMPT, "--dtype", "fp8"], "--dtype"),
        ([PROMPT, "--device", "tpu"], "--device"),
        ([PROMPT, "--device", "cpu", "--offload", "model"], "--offload"),
        ([PROMPT, "--device", "cpu", "--offload", "sequential"], "--offload"),
        ([PROMPT, "--height", "0"], "--height"),
        ([PROMPT, "--height", "100"], "multiples of 8"),
        ([PROMPT, "--width", "130"], "multiples of 8"),
        ([PROMPT, "--model", "nowhere"], "model_index.json"),
        ([PROMPT, "--classifier", "nowhere.safetensors"], "nowhere.safetensors"),
        ([], "PROMPT"),
    ],
)
def test_generate(refused, arguments, says):
    assert says in refused("generate", *arguments)


def test_out_that_is_a_file_or_below_one(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/below", "file/far/below", "x" * 300):
        assert out in refused("generate", PROMPT, "--out", out)
    assert (tmp_path / "file").read_text() == "mine"


def test_out_in_which_a_picture_would_replace_a_folder(refused, tmp_path):
    (tmp_path / "out" / "plain.png").mkdir(parents=True)
    assert "plain.png" in refused("generate", PROMPT, "--out", "out")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_out_without_permission(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in refused("generate", PROMPT, "--out", "locked/out")


def test_classifier_for_another_model(refused, tmp_path):
    classifier = load_classifier(SHIPPED)
    classifier.card = replace(classifier.card, family="sd1")
    save_classifier(classifier, tmp_path / "sd1.safetensors")
    assert "sd1" in refused("generate", PROMPT, "--classifier", "sd1.safetensors")

    card = replace(classifier.card, family="custom", channels=99, layers=None)
    save_classifier(SymmetricRelationClassifier(card), tmp_path / "wide.safetensors")
    assert "99" in refused("generate", PROMPT, "--classifier", "wide.safetensors")

    card = ClassifierCard(SYMMETRIC_RELATIONS, channels=4, map_size=8, layers=("up.9.9",))
    save_classifier(SymmetricRelationClassifier(card), tmp_path / "layers.safetensors")
    assert "up.9.9" in refused("generate", PROMPT, "--classifier", "layers.safetensors")
    assert "up.9.9" in refused(
        "generate", PROMPT, "--classifier", "layers.safetensors", "--objective", "centroid"
    )


def test_damaged_and_foreign_classifier_files(refused, tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(SHIPPED.read_bytes()[: SHIPPED.stat().st_size // 2])
    (tmp_path / "foreign.safetensors").write_bytes((WEIGHTS / "judge.safetensors").read_bytes())
    (tmp_path / "text.pth").write_text("not a classifier")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("cut.safetensors", "foreign.safetensors", "text.pth", "other.pth"):
        assert name in refused("generate", PROMPT, "--classifier", name)
        assert name in refused("convert", name, "converted.safetensors")


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_malicious_pickle_is_refused_without_running_it(refused, tmp_path):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(_Evil()))
    assert "evil.pth" in refused("generate", PROMPT, "--classifier", "evil.pth")
    assert "evil.pth" in refused("convert", "evil.pth", "converted.safetensors")
    assert not (tmp_path / "executed").exists()


def test_another_model_is_refused_for_what_it_is_not_for_want_of_a_classifier(refused, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert "whole model" in refused("generate", PROMPT, "--model", "model")
    assert "model" in refused("generate", PROMPT, "--model", "model", "--classifier", SHIPPED)
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    assert "StableDiffusion3Pipeline" in refused("generate", PROMPT, "--model", "model")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "out", "--images", "0"], "--images"),
        (["--out", "out", "--settings", "plain,quick"], "quick"),
        (["--out", "out", "--relations", "5"], "--relations"),
        (["--out", "out", "--prompts", "nowhere.txt"], "nowhere.txt"),
        (["--out", "out", "--prompts", "x", "--relations", "2"], "--relations"),
        (["--out", "out", "--classifier", "nowhere.pth"], "nowhere.pth"),
        ([], "--out"),
    ],
)
def test_evaluate(refused, arguments, says):
    assert says in refused("evaluate", *arguments)


@pytest.mark.parametrize(
    "prompt", ["", "a dog and a fox", "a unicorn above a fox", "a dog behind a fox", "a red dog above a fox"]
)
def test_evaluate_own_prompts(refused, tmp_path, prompt):
    (tmp_path / "prompts.txt").write_text(f"a dog above a fox\n{prompt}\n" if prompt else "")
    refused("evaluate", "--out", "out", "--prompts", "prompts.txt")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(refused, monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert device in refused("generate", PROMPT, "--device", device)


def test_convert_and_emojiworld(refused, tmp_path):
    assert ".safetensors" in refused("convert", SHIPPED, "converted.pth")
    assert "nowhere" in refused("convert", SHIPPED, "nowhere/converted.safetensors")
    assert ".png" in refused("emojiworld", "sheet", "--out", "sheet.jpg")
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("emojiworld", "sheet", "--out", "sheet.png", "--weights", "empty")
    assert "autoencoder" in refused("emojiworld", "train", "generator", "--weights", "empty")
    assert "PART" in refused("emojiworld", "train")
