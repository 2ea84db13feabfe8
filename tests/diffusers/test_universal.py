"""What steers a model that nobody made a classifier for: the universal one, on the layers recommended for it."""

import dataclasses

import numpy as np
import pytest
import torch

from learn_to_steer.classifiers import UNIVERSAL, load_classifier, shipped_classifier
from learn_to_steer.hosts.diffusers import attention_layers, denoiser, generate
from learn_to_steer.hosts.recommended import recommended_layers
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan

from .conftest import make_flux_pipe, unet
from .made import plain_images

PROMPT = "a dog above a cat"
PLAN = SteeringPlan.preset("fast", reached=1.0)
RUN = {"num_inference_steps": 5, "output_type": "pt"}


@pytest.fixture
def sd_pipe(pipe):
    """SD 1.5's own layout with few channels: four levels, attention on three of them, two layers each."""
    torch.manual_seed(0)
    pipe.unet = unet(
        sample_size=32,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=2,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        norm_num_groups=4,
    )
    return pipe


@pytest.fixture
def deep_flux_pipe(tokenizer, t5_tokenizer):
    """Flux's own depth: 19 double and 38 single blocks, narrow."""
    return make_flux_pipe(tokenizer, t5_tokenizer, num_layers=19, num_single_layers=38)


@pytest.mark.parametrize(
    ("kind", "size", "read"),
    [
        ("sd_pipe", (64, 96), ("down.2.0", "down.2.1", "up.1.0", "up.1.1", "up.1.2")),
        (
            "pipe",
            None,
            ("down.0.0", "up.1.0"),
        ),  # a level of one attention each way, of which "nearest" is taken
        ("xl_pipe", None, None),
        ("flux_pipe", (32, 48), ("double.0",)),
        ("dev_pipe", (32, 48), ("double.0",)),
        ("deep_flux_pipe", (32, 48), tuple(f"double.{i}" for i in range(6, 12))),
    ],
)
def test_the_default_steers_any_model(request, kind, size, read):
    """Finite, moved, within the plan's bounds, and read on the recommended layers."""
    pipe = request.getfixturevalue(kind)
    more = dict(zip(("height", "width"), size, strict=True)) if size else {}
    layers = attention_layers(denoiser(pipe))
    chosen = recommended_layers("custom", layers)
    if read is not None:
        assert set(read) <= set(chosen) or kind == "pipe"
        assert kind == "pipe" or chosen == read
    plain = plain_images(pipe, [PROMPT], 3, **RUN, **more)
    out = generate(pipe, PROMPT, plan=PLAN, seed=3, **RUN, **more)
    assert out.latents.isfinite().all() and out.images.isfinite().all()
    moves = [r for r in out.trace.records if r.move > 0]
    assert moves and not torch.equal(out.images, plain)
    # A move is at most 5 units of the latent's rms per element, and a single element at most 3.
    assert all(0 < r.length <= 5 + 1e-3 and r.largest <= 3 + 1e-3 for r in moves)
    assert all(0 <= r.probability <= 1 and np.isfinite(r.loss) for r in out.trace.records)
    given = LearnedObjective(load_classifier(shipped_classifier(UNIVERSAL))).reading(chosen)
    same = generate(pipe, PROMPT, objective=given, plan=PLAN, seed=3, **RUN, **more)
    assert torch.equal(out.images, same.images)


def test_none_is_plain_and_no_relation_costs_nothing(pipe, monkeypatch):
    plain = plain_images(pipe, [PROMPT], 3, **RUN)
    out = generate(pipe, PROMPT, objective=None, seed=3, **RUN)
    assert torch.equal(out.images, plain) and out.trace.evaluations == [0]
    from learn_to_steer.hosts.diffusers import generate as face

    def never(family):
        raise AssertionError("no classifier is read where there is nothing to steer")

    monkeypatch.setitem(face.__globals__, "default_objective", never)
    nothing = generate(pipe, "a dog", seed=3, **RUN)
    assert torch.equal(nothing.images, plain_images(pipe, ["a dog"], 3, **RUN))


def test_a_family_with_a_classifier_of_its_own_gets_that(monkeypatch):
    from learn_to_steer.hosts.diffusers.generate import default_objective

    assert default_objective("emojiworld-unet").card.family == "emojiworld-unet"
    assert default_objective("emojiworld-mmdit").card.family == "emojiworld-mmdit"
    for family in ("sd1", "sd2", "sdxl", "flux", "custom"):
        assert default_objective(family).card.family == "any"


def test_beyond_its_part_of_the_schedule_it_leaves_the_picture_alone(pipe):
    """The universal classifier was trained on the first half of schedules; a plan that begins later steers nothing."""
    late = dataclasses.replace(PLAN, start=0.55, end=1.0)
    out = generate(pipe, PROMPT, plan=late, seed=3, **RUN)
    assert out.trace.evaluations == [0] and "50%" in out.trace.notes[0]
    assert torch.equal(out.images, plain_images(pipe, [PROMPT], 3, **RUN))
    both = generate(pipe, PROMPT, plan=dataclasses.replace(PLAN, end=1.0), seed=3, **RUN)
    assert {r.step for r in both.trace.records} <= {0, 1, 2} and both.trace.evaluations[0] > 0


def test_the_default_steers_under_inference_mode(pipe):
    run = {"num_inference_steps": 4, "height": 32, "width": 32, "output_type": "pt"}
    with torch.inference_mode():
        drawn = generate(pipe, "a dog above a cat", seed=3, **run)
    assert drawn.trace.gradients[0] > 0
    assert torch.equal(drawn.images, generate(pipe, "a dog above a cat", seed=3, **run).images)
