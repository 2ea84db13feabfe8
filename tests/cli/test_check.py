"""`check` on real models: both EmojiWorlds obey; spoilt attention, random weights and unreadable models are told apart."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from learn_to_steer.emojiworld import WEIGHTS

from ..evaluation import tiny_judges

QUICK = ("--steps", 12, "--batch", 8)


def spoilt(folder, part, change):
    """EmojiWorld in a folder of its own, its tensors of one part changed: change(name, tensor) -> tensor."""
    shutil.copytree(WEIGHTS, folder)
    (file,) = (folder / part).glob("*.safetensors")
    tensors = {name: change(name, tensor) for name, tensor in load_file(file).items()}
    save_file(tensors, file, {"format": "pt"})
    return folder


def permuted(kinds, seed):
    generator = torch.Generator().manual_seed(seed)

    def change(name, tensor):
        if tensor.ndim == 2 and any(kind in name for kind in kinds):
            return tensor[torch.randperm(len(tensor), generator=generator)].contiguous()
        return tensor

    return change


@pytest.mark.parametrize(
    ("model", "layers", "file"),
    [
        ("unet", "2 of its 7", "emojiworld-symmetric.safetensors"),
        ("mmdit", "2 of its 10", "emojiworld-mmdit-symmetric.safetensors"),
    ],
)
def test_emojiworld_will_obey(cli, tmp_path, model, layers, file):
    result = cli("check", "--model", model, *QUICK, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("Will obey. Its maps tell words apart") and "the judge agrees" in lines[0]
    assert f"{layers} attention layers read" in lines[1]
    assert f'Command line: learn-to-steer generate PROMPT --model "{model}" --plan fast' in lines
    assert any(line.startswith(f"ComfyUI: Load Relation Classifier {file}, ") for line in lines)
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    figures = content["figures"]
    assert content["verdict"]["answer"] == "will obey" and len(content["seeds"]) == 8
    assert figures["acts_steered"] >= 0.75 > figures["acts_plain"] and figures["alike"] < 0.6
    # Where words act, told without a map, says what the independent judge says.
    assert figures["seen_steered"] >= 0.75 and figures["seen_plain"] <= 0.6
    assert content["plain"]["calls"] < content["steered"]["calls"]
    assert content["steered"]["calls"] - content["plain"]["calls"] >= max(content["steered"]["gradients"])
    with Image.open(tmp_path / "out" / "check.png") as sheet:
        assert sheet.width > 800 and sheet.height > 800


def test_a_judge_decides_by_the_pictures(cli, tmp_path):
    result = cli("check", "--judge", "emojiworld", *QUICK, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    figures, plain, steered = content["figures"], content["plain"], content["steered"]
    assert figures["seen_steered"] == sum(steered["seen"]) / 8 >= 0.75 > figures["seen_plain"]
    assert figures["present_plain"] == sum(plain["present"]) / 8 and content["judge"] == "emojiworld"
    assert all(there for there, sees in zip(steered["present"], steered["seen"], strict=True) if sees)
    assert result.out.startswith(
        f"Will obey. The judge sees the relation in {figures['seen_steered']:.0%} of the steered pictures"
    )
    assert "Its attention" not in result.out  # the two agree


KEYS = [
    ("", ("attn2.to_k.",), "unet", 0),
    ("", ("attn2.to_k.",), "unet", 2),
    ("mmdit", ("to_k.", "add_k_proj."), "mmdit/transformer", 0),
]


@pytest.mark.parametrize(("model", "kinds", "part", "seed"), KEYS)
def test_a_judge_of_pictures_hides_no_scrambled_attention(cli, tmp_path, model, kinds, part, seed):
    """Some pictures of permuted keys come right. What the judge saw and that the attention is none of a model that places
    objects are both said, and the verdict is not that it will obey."""
    folder = spoilt(tmp_path / "world", part, permuted(kinds, seed))
    result = cli(
        "check", "--model", folder / model, "--judge", "emojiworld", *QUICK, "--out", tmp_path / "out"
    )
    assert result.code == 0, result.err
    figures = json.loads((tmp_path / "out" / "check.json").read_text())["figures"]
    first = result.out.splitlines()[0]
    assert figures["after"] > 0.7 and figures["seen_steered"] < 0.75 and not first.startswith("Will obey")
    assert f"the relation in {figures['seen_steered']:.0%} of the steered pictures" in first
    assert "Its attention does not read like that of a model that places objects" in first
    assert f"two words share {figures['alike']:.0%} of it" in first
    assert first.startswith("Will not obey") or "look at its attention" in result.out
    assert ("Command line:" not in result.out) == first.startswith("Will not obey")
    if "Command line:" in result.out:  # what was checked, not what ships
        assert f'learn-to-steer generate PROMPT --model "{folder / model}"' in result.out


def test_judges_from_a_folder(cli, tmp_path):
    detector = tiny_judges.owlv2(tmp_path / "owl", tmp_path / "letters")
    asked = tiny_judges.llava(tmp_path / "llava")
    for judge in (f"owlv2={detector}", asked):
        result = cli("check", "--judge", judge, "--steps", 4, "--seeds", 1, "--out", tmp_path / "out")
        assert result.code == 0, result.err
        content = json.loads((tmp_path / "out" / "check.json").read_text())
        assert content["judge"] == str(judge) and len(content["steered"]["present"]) == 2
        assert (
            "the relation in" in content["verdict"]["why"] and "both objects in" in content["verdict"]["why"]
        )


@pytest.mark.parametrize(("model", "kinds", "part", "seed"), KEYS)
def test_permuted_keys_will_not(cli, tmp_path, model, kinds, part, seed):
    folder = spoilt(tmp_path / "world", part, permuted(kinds, seed))
    result = cli("check", "--model", folder / model, *QUICK, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert result.out.startswith("Will not obey. The maps of two different words are nearly the same")
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert content["figures"]["after"] > 0.7  # the classifier is pleased all the same
    assert "Command line:" not in result.out and "Use this model plainly" in result.out


def test_random_weights_will_not(cli, tmp_path):
    generator = torch.Generator().manual_seed(0)

    def change(name, tensor):
        if tensor.ndim < 2:
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor) * tensor[0].numel() ** -0.5

    folder = spoilt(tmp_path / "world", "unet", change)
    result = cli("check", "--model", folder, *QUICK, "--seeds", 2, "--out", tmp_path / "out")
    assert result.code == 0 and result.out.startswith("Will not obey. Its pictures are noise")


def test_a_kind_that_is_not_read(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "PixArtAlphaPipeline"}))
    result = cli("check", "--model", folder, "--out", tmp_path / "out")
    assert result.code == 0
    assert result.out.startswith(
        "Cannot be read. This model's attention cannot be read, so nothing can be steered"
    )
    assert "PixArtAlphaPipeline" in result.out
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["check.json"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "nowhere"), "Expected a diffusers folder at nowhere"),
        (("--prompt", "a dog and a car"), "Expected a prompt that states one relation with a direction"),
        (("--prompt", "a dog above a zebra"), "Expected objects that EmojiWorld knows"),
        (("--steps", "1"), "expected a whole number from 2"),
        (("--judge", "owl=folder"), "Expected a judge as KIND=FOLDER"),
        (("--judge", "nowhere"), "nowhere"),
        (("--classifier", "nothing.safetensors"), "nothing.safetensors"),
    ],
)  # fmt: skip
def test_bad_input(cli, tmp_path, arguments, sentence):
    result = cli("check", *arguments, "--out", tmp_path / "out")
    assert result.code == 2 and sentence in result.err and len(result.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
