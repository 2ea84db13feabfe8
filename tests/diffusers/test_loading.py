"""Folders of pipelines, as the command line draws with them."""

import json

import pytest
import torch
from PIL import Image

from learn_to_steer.cli import main
from learn_to_steer.cli.models import dtype_of, model_folder
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import denoiser
from learn_to_steer.hosts.diffusers.loading import class_of, load_folder, variant_of

PROMPT = "a dog above a cat"
KINDS = {
    "pipe": "StableDiffusionPipeline",
    "xl_pipe": "StableDiffusionXLPipeline",
    "flux_pipe": "FluxPipeline",
}


@pytest.fixture(params=list(KINDS))
def saved(request, tmp_path):
    """The fixture's name, the pipeline and its folder."""
    pipe = request.getfixturevalue(request.param)
    pipe.save_pretrained(tmp_path / "model")
    return request.param, pipe, tmp_path / "model"


def drawn(folder, tmp_path, *arguments):
    """The settings and the trace of one drawing with the centroid objective."""
    out = tmp_path / "out"
    given = ["--model", folder, "--objective", "centroid", "--device", "cpu", "--out", out, *arguments]
    assert main(["generate", PROMPT, *map(str, given)]) == 0
    content = json.loads((out / "trace.json").read_text())
    with Image.open(out / "steered.png") as picture:
        assert picture.size == (content["settings"]["width"], content["settings"]["height"])
    return content


def test_every_kind_of_folder_is_drawn_with(saved, tmp_path):
    kind, _, folder = saved
    size = () if kind != "flux_pipe" else ("--height", 32, "--width", 32)
    content = drawn(folder, tmp_path, "--steps", 4, *size)
    assert content["trace"]["evaluations"][0] > 0 and content["settings"]["dtype"] == "float32"
    assert (content["settings"]["height"], content["settings"]["width"]) == (32, 32)


def test_what_is_not_said_is_the_pipelines_own(saved, tmp_path):
    kind, _, folder = saved
    content = drawn(folder, tmp_path, "--strength", 0, "--height", 32, "--width", 48)
    expected = {"pipe": (50, 7.5), "xl_pipe": (50, 5.0), "flux_pipe": (28, 3.5)}[kind]
    assert (content["settings"]["steps"], content["settings"]["guidance"]) == expected
    assert (content["settings"]["height"], content["settings"]["width"]) == (32, 48)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision(saved, tmp_path, dtype):
    _, _, folder = saved
    content = drawn(folder, tmp_path, "--steps", 4, "--dtype", dtype, "--height", 32, "--width", 32)
    assert content["settings"]["dtype"] == {"fp16": "float16", "bf16": "bfloat16"}[dtype]
    assert content["trace"]["evaluations"][0] > 0


def test_folders_of_which_only_a_variant_is_there(saved, tmp_path):
    _, pipe, whole = saved
    assert variant_of(whole) is None
    folder = tmp_path / "half"
    pipe.to(torch.float16).save_pretrained(folder, variant="fp16")
    assert sorted({f.name.split(".")[1] for f in folder.rglob("*.safetensors")}) == ["fp16"]
    assert variant_of(folder) == "fp16"
    loaded = load_folder(folder)
    weight, original = next(denoiser(loaded).parameters()), next(denoiser(pipe).parameters())
    assert weight.dtype == torch.float32 and torch.equal(weight, original.float())
    # Beside plain files it is not needed.
    pipe.to(torch.float32).save_pretrained(folder)
    assert variant_of(folder) is None
    content = drawn(folder, tmp_path, "--steps", 4, "--height", 32, "--width", 32)
    assert content["trace"]["evaluations"][0] > 0


def test_a_variant_of_one_part_only_and_in_shards(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    for file in (tmp_path / "unet").glob("*.safetensors"):
        file.unlink()
    pipe.unet.save_pretrained(tmp_path / "unet", variant="fp16", max_shard_size="60KB")
    assert len(list((tmp_path / "unet").glob("*.fp16-*-of-*.safetensors"))) > 1
    assert variant_of(tmp_path) == "fp16"
    loaded = load_folder(tmp_path)
    for name, parameter in loaded.unet.named_parameters():
        assert torch.equal(parameter, pipe.unet.get_parameter(name)), name


def test_number_formats_by_device_and_model(saved):
    kind, _, folder = saved
    model = model_folder(folder)
    assert dtype_of("auto", "cpu", model) == torch.float32
    half = torch.bfloat16 if kind == "flux_pipe" else torch.float16
    assert dtype_of("auto", "cuda", model) == dtype_of("auto", "mps", model) == half
    assert dtype_of("fp32", "cuda", model) == torch.float32
    assert dtype_of("auto", "cuda", model_folder(None)) == torch.float32
    assert class_of(folder) == KINDS[kind]


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloading_is_the_pipelines_own(saved, monkeypatch, offload):
    """Which of diffusers' two ways is taken, for which device; there is no GPU here to run it on."""
    _, pipe, folder = saved
    calls = []
    for name in ("enable_model_cpu_offload", "enable_sequential_cpu_offload"):
        monkeypatch.setattr(type(pipe), name, lambda self, name=name, **given: calls.append((name, given)))
    load_folder(folder, "cuda", offload=offload)
    assert calls == [(f"enable_{offload}_cpu_offload", {"device": "cuda"})]
    with pytest.raises(SteeringError, match="cpu"):
        load_folder(folder, "cpu", offload=offload)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"_class_name": "FluxInpaintPipeline"}'])
def test_folders_of_others_are_refused(tmp_path, content):
    (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(SteeringError) as caught:
        load_folder(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
