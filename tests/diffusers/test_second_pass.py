"""A pass over a finished latent, by the pipelines' own arguments, is steered only where a first pass would be.

The plan ends at a share of 0.4 of the model's schedule. A pipeline that is given timesteps or sigmas begins where they do:
a timestep t of 1000 is a share of 1 - (t + 1) / 1000, a sigma s of a flow model one of 1 - s.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import EulerDiscreteScheduler

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.emojiworld import GUIDANCE, load_pipeline
from learn_to_steer.hosts.diffusers import generate
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan

PROMPT = "a dog to the right of a teddy bear"

WATCHED = SteeringPlan(step_rule="relative", step_size=1e-4, evaluations_per_step=1, reached=None)
"""Evaluates once at every step that it has and moves too little to matter."""


def objective_of(name):
    return LearnedObjective(load_classifier(shipped_classifier(name)))


@pytest.fixture(scope="module")
def unet():
    pipe = load_pipeline()
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    return pipe, objective_of("emojiworld-symmetric")


@pytest.fixture(scope="module")
def mmdit():
    return load_pipeline(model="mmdit"), objective_of("emojiworld-mmdit-symmetric")


def drawn(pipe, goal, latents, plan=None, **levels):
    return generate(
        pipe,
        PROMPT,
        objective=goal,
        plan=plan,
        seed=3,
        num_inference_steps=5,
        guidance_scale=GUIDANCE,
        output_type="latent",
        latents=latents,
        **levels,
    )


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    ("timesteps", "steps"),
    [
        ([499, 399, 299, 199, 99], []),  # from 0.5
        ([849, 679, 509, 339, 169], [0, 1]),  # 0.15, 0.32, 0.49
        ([609, 599, 400, 200, 100], [0]),  # 0.39, 0.4: not before 0.4
    ],
)
def test_timesteps_of_a_second_pass(unet, timesteps, steps):
    pipe, objective = unet
    latents = noise(1, 4, 16, 16)
    ours = drawn(pipe, objective, latents, WATCHED, timesteps=timesteps)
    assert sorted({r.step for r in ours.trace.records if r.evaluation >= 0}) == steps
    if not steps:
        assert torch.equal(ours.latents, drawn(pipe, None, latents, timesteps=timesteps).latents)
        assert ours.trace.evaluations == [0] and ours.trace.forwards == 0
        assert ours.trace.notes[0].startswith("Left plain: this run begins at 50% of the model's schedule")


@pytest.mark.parametrize(
    ("sigmas", "steps"),
    [
        ([0.5, 0.4, 0.3, 0.2, 0.1], []),
        ([0.85, 0.68, 0.51, 0.34, 0.17], [0, 1]),
        ([0.61, 0.6, 0.4, 0.2, 0.1], [0]),
    ],
)
def test_sigmas_of_a_second_pass(mmdit, sigmas, steps):
    pipe, objective = mmdit
    latents = noise(1, 64, 16)  # 8 x 8 patches of 2 x 2 x 4
    ours = drawn(pipe, objective, latents, WATCHED, sigmas=sigmas)
    assert sorted({r.step for r in ours.trace.records if r.evaluation >= 0}) == steps
    if not steps:
        assert torch.equal(ours.latents, drawn(pipe, None, latents, sigmas=sigmas).latents)
        assert ours.trace.evaluations == [0] and ours.trace.forwards == 0
        assert ours.trace.notes[0].startswith("Left plain: this run begins at 50% of the model's schedule")
