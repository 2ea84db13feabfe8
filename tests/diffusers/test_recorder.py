"""Pipelines of every kind as recording wants them."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler
from PIL import Image, ImageDraw

from learn_to_steer.dataset import How, plan_job, record_batch, record_shards, trained_steps
from learn_to_steer.dataset.sources import scene_parts
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers.recorder import PipelineRecorder
from learn_to_steer.inversion import noised


def scenes():
    made = {}
    for name, color in (("dog", "red"), ("cat", "blue"), ("fox", "green")):
        picture = Image.new("RGBA", (40, 40))
        ImageDraw.Draw(picture).ellipse((0, 0, 39, 39), fill=color)
        made[name] = [picture]
    return scene_parts(made, 0).sources


@pytest.mark.parametrize(
    ("kind", "flow"), [("pipe", False), ("xl_pipe", False), ("flux_pipe", True), ("dev_pipe", True)]
)
def test_every_pipeline_is_recorded_in_every_way(request, kind, flow):
    recorder = PipelineRecorder(request.getfixturevalue(kind), "custom", 4, 32, 32)
    assert (recorder.flow, recorder.size) == (flow, (32, 32))
    assert len(recorder.digest()) == 64
    for way in ("euler", "fixed-point", "noising", *(["rf"] if flow else [])):
        done = record_batch(scenes()["train"], recorder, [0, 1], 0, How(way, draws=2))
        assert not done.left_out and len(done.maps) == 8
        for layer, maps in zip(done.maps.stack.layers, done.maps.stack.maps, strict=True):
            assert maps.shape[:3] == (8, 2, layer.heads) and maps.isfinite().all()
    first = recorder.layers[0].name
    some = record_batch(scenes()["train"], recorder, [0], 0, How("noising", draws=1), (first,))
    assert [layer.name for layer in some.maps.stack.layers] == [first]


@pytest.mark.parametrize("scheduler", [DDIMScheduler, PNDMScheduler, EulerDiscreteScheduler])
def test_noise_is_what_the_pipelines_scheduler_adds(pipe, scheduler):
    """diffusers' own `add_noise` and `scale_model_input` say what the model is given at each step."""
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config, skip_prk_steps=True)
    recorder = PipelineRecorder(pipe, "sd1", 6)
    latents, noise = torch.randn(2, 1, 4, 16, 16, generator=torch.manual_seed(0)).unbind(0)
    assert len(recorder.sigmas()) == 6
    pipe.scheduler.set_timesteps(6)
    turns = list(dict.fromkeys(pipe.scheduler.timesteps.tolist()))
    for step, turn in enumerate(turns):
        theirs = pipe.scheduler.add_noise(latents, noise, torch.tensor([turn]))
        if scheduler is EulerDiscreteScheduler:
            pipe.scheduler._step_index = None
            theirs = pipe.scheduler.scale_model_input(theirs, torch.tensor(turn))
        ours = recorder.model_input(
            noised(latents, noise, recorder.sigmas()[step], False), torch.tensor([step])
        )
        assert torch.allclose(ours, theirs, atol=2e-3), (step, (ours - theirs).abs().max())


def test_pictures_go_to_latents_and_back_in_the_pipelines_layout(flux_pipe):
    recorder = PipelineRecorder(flux_pipe, "custom", 4, 32, 32)
    pictures = np.full((2, 32, 32, 3), 90, np.uint8)
    latents = recorder.encode(pictures)
    assert latents.shape == (2, 64, 16) and latents.dtype == torch.float32  # 8 x 8 patches of 2 x 2 x 4
    assert recorder.decode(latents).shape == pictures.shape
    assert trained_steps(recorder) == (1,)  # of 4 steps the first half, without sigma 1
    for steps in (2, 3):  # the first half is sigma 1 alone
        with pytest.raises(SteeringError, match=f"at least 4 steps .* got {steps};"):
            trained_steps(PipelineRecorder(flux_pipe, "custom", steps, 32, 32))


def test_a_recording_of_a_pipeline_is_the_same_again(flux_pipe, tmp_path):
    loaded = (PipelineRecorder(flux_pipe, "custom", 4, 32, 32), scenes())
    job = plan_job(*loaded, {"train": 3, "validation": 1, "test": 1}, 0, How(draws=1), map_size=4, batch=2)
    for folder in ("one", "two"):
        record_shards(tmp_path / folder, job, loaded)
    for file in (tmp_path / "one").rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()
