"""Attention guidance in the host: the pictures are those of the diffusers host, off is off, and what others have hung into
the model still runs."""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import PROMPT, ROOT, steered, world_of

NONE = "none: compare centres of attention"


def attention(node, **changes):
    """Options of the method "attention"."""
    return node("SteeringOptions", **{"plan": "fast", "strength": 1.0, "method": "attention", **changes})[0]


def guided(node, world, sampler="euler", **more):
    """(latents, log) of a run that is guided, without a classifier."""
    more.setdefault("options", attention(node))
    return steered(node, world, sampler, **{"classifier": None, **more})


@pytest.fixture(scope="module")
def mmdit(node):
    return world_of(node, *node("LoadEmojiWorld", architecture="mmdit"), NONE)


@pytest.fixture(params=["unet", "mmdit"])
def each_world(request, world, mmdit):
    return world if request.param == "unet" else mmdit


@pytest.fixture(scope="module")
def importable():
    pytest.importorskip(
        "diffusers", reason="the host's interpreter has no diffusers; install it there to compare"
    )
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.mark.parametrize("model", ["unet", "mmdit"])
@pytest.mark.parametrize("text", [PROMPT, "a cat above a dog to the left of a teddy bear"])
def test_same_pictures_as_the_diffusers_host(node, world, mmdit, importable, model, text):
    """To one level of 255, from the same seed."""
    from learn_to_steer.emojiworld import load_pipeline
    from learn_to_steer.hosts.diffusers import generate

    ours = world if model == "unet" else mmdit
    positive, relations, _ = node("RelationPrompt", clip=ours.clip, text=text)
    mine, log = guided(node, ours, steps=20, seed=3, positive=positive, relations=relations)
    pipe = load_pipeline(model=model)
    theirs = generate(
        pipe, text, method="attention", seed=3, num_inference_steps=20, guidance_scale=6.0, output_type="np"
    )
    with torch.inference_mode():
        levels = (ours.vae.decode(mine)[0] * 255).round()
    assert (levels - torch.from_numpy(theirs.images[0] * 255).round()).abs().max() <= 1
    record = log.runs[-1].guided[0].to_dict()
    expected = theirs.trace.guidance
    assert record["layouts"] == expected["layouts"] and record["steps"] == expected["steps"]
    assert record["strength"] == expected["strength"] and record["layers"] == len(expected["layers"])
