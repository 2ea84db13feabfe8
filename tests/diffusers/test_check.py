"""`check` on tiny folders of the genuine classes with random weights, and on a model without attention to words."""

from __future__ import annotations

import json

import pytest
from diffusers import UNet2DConditionModel

from learn_to_steer.cli import main
from learn_to_steer.evaluation.check import check
from learn_to_steer.hosts.diffusers import PipelineProbe
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

PROMPTS = ("--prompt", "a dog to the left of a cat", "--prompt", "a fox above a teddy bear")


@pytest.mark.parametrize("kind", ["pipe", "xl_pipe", "flux_pipe"])
def test_random_weights(request, tmp_path, capsys, kind):
    request.getfixturevalue(kind).save_pretrained(tmp_path / "model")
    size = (
        ("--height", "64", "--width", "64") if kind != "flux_pipe" else ("--height", "128", "--width", "128")
    )
    arguments = ["--model", str(tmp_path / "model"), *PROMPTS, "--steps", "6", "--seeds", "2", *size]
    assert main(["check", *arguments, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Will not obey. Its pictures are noise"), said
    content = json.loads((tmp_path / "out" / "check.json").read_text())
    assert content["classifier"] == "universal" and len(content["steered"]["moved"]) == 4


def test_a_network_without_attention_to_words(pipe):
    network = UNet2DConditionModel(
        sample_size=16, block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=32, norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, mid_block_type="UNetMidBlock2D",
    )  # fmt: skip
    pipe.register_modules(unet=network.eval())
    probe = PipelineProbe(pipe, num_inference_steps=4)
    found = check(probe, CentroidObjective(), SteeringPlan(), ["a dog to the left of a cat"], [0])
    assert found.verdict.answer == "cannot be read" and found.steered is None and found.figures is None
    assert "Expected at least one attention layer to read" in found.verdict.why
