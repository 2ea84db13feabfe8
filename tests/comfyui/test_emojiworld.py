"""EmojiWorld in the host gives what it gives under diffusers.

Where the host's interpreter can import diffusers both run side by side, plainly and steered; without it that comparison is
skipped, and says so.
"""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import PROMPT, ROOT, latents, steered, stock


def test_shapes_and_schedule(world):
    sampling = world.model.get_model_object("model_sampling")
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", 20)
    trailing = [sampling.sigma(torch.tensor(float(t))) for t in range(999, 0, -50)]
    assert torch.allclose(sigmas[:-1], torch.stack(trailing).float(), rtol=1e-5)
    with torch.inference_mode():
        picture = world.vae.decode(stock(world))
        again = world.vae.encode(picture)
    assert picture.shape == (1, 128, 128, 3) and again.shape == (1, 4, 16, 16)
    assert picture.min() >= 0 and picture.max() <= 1


def test_latents_survive_the_autoencoder(world):
    """Decode, encode, decode: the picture stays itself."""
    with torch.inference_mode():
        picture = world.vae.decode(stock(world))
        again = world.vae.decode(world.vae.encode(picture))
    assert (picture - again).abs().mean() < 0.1


@pytest.fixture(scope="module")
def pipeline():
    pytest.importorskip(
        "diffusers", reason="the host's interpreter has no diffusers; install it there to compare"
    )
    sys.path.append(str(ROOT))
    from learn_to_steer.emojiworld import load_pipeline

    yield load_pipeline()
    sys.path.remove(str(ROOT))


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
@pytest.mark.parametrize("seed", [3, 4])
def test_same_pictures_as_the_diffusers_host(node, world, pipeline, sampler, seed):
    from learn_to_steer.classifiers import load_classifier, shipped_classifier
    from learn_to_steer.hosts.diffusers import generate
    from learn_to_steer.objectives import LearnedObjective

    objective = LearnedObjective(load_classifier(shipped_classifier("emojiworld-symmetric")))
    arguments = {"seed": seed, "num_inference_steps": 20, "guidance_scale": 6.0, "output_type": "np"}
    scale = world.model.model.latent_format.scale_factor
    for goal, ours in (
        (None, stock(world, sampler, steps=20, seed=seed)),
        (objective, steered(node, world, sampler, steps=20, seed=seed, options=None)[0]),
    ):
        theirs = generate(pipeline, PROMPT, objective=goal, **arguments).latents / scale
        assert (theirs - ours).abs().max() < 0.02 * theirs.std()
    assert latents()["samples"].shape == ours.shape


def test_where_steering_struggles_the_first_evaluations_are_those_of_the_diffusers_host(
    node, world, pipeline
):
    """Seed 11 takes 17 evaluations and goes back and forth: what is rounding at first is another picture in the
    end. The evaluations of the first step are the same all the same."""
    from learn_to_steer.classifiers import load_classifier, shipped_classifier
    from learn_to_steer.hosts.diffusers import generate
    from learn_to_steer.objectives import LearnedObjective

    objective = LearnedObjective(load_classifier(shipped_classifier("emojiworld-symmetric")))
    theirs = generate(
        pipeline, PROMPT, objective=objective, seed=11, num_inference_steps=20, guidance_scale=6.0
    ).trace
    _, log = steered(node, world, "euler", steps=20, seed=11, options=None)
    for a, b in zip(theirs.records[:3], log.latest.records[:3], strict=True):
        assert (a.step, a.evaluation) == (b.step, b.evaluation)
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
