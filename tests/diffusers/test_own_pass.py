"""The maps of the pipeline's own passes: those that an evaluation of the same latent has, and no trace of reading them.

Where nothing moves, a run in which the own passes are read and one in which steps are evaluated go through the same
latents, so their maps can be compared step by step.
"""

from dataclasses import replace

import pytest
import torch

from learn_to_steer.hosts.diffusers import denoiser, generate
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

from .made import fingerprint, plain_images

PROMPTS = ["a dog above a cat", "a cat and a dog", "a big cat to the left of a dog"]
STEPS = 12  # near enough to each other that what held is only watched
RUN = {"num_inference_steps": STEPS, "height": 32, "width": 48, "output_type": "pt"}

# A relation that counts as holding at any probability is never moved.
WATCHED = SteeringPlan(end=1.0, reached=1e-9)
EVALUATED = replace(WATCHED, step_rule="relative")

CASES = {
    "unet, guided": ("pipe", {"guidance_scale": 4.0, "negative_prompt": "a fox"}),
    "unet, not guided": ("pipe", {"guidance_scale": 1.0}),
    "xl, guided": ("xl_pipe", {"guidance_scale": 4.0}),
    "flux": ("flux_pipe", {"max_sequence_length": 24}),
    "flux, guidance embedded": ("dev_pipe", {"max_sequence_length": 24}),
    "flux, negative branch": (
        "flux_pipe",
        {"max_sequence_length": 24, "true_cfg_scale": 3.0, "negative_prompt": "a fox"},
    ),
}


class Noting(CentroidObjective):
    """Notes the maps of each evaluation and of each own pass: (step, with a gradient, maps)."""

    def __init__(self, fails_at=None, **settings):
        super().__init__(**settings)
        self.seen, self.fails_at = [], fails_at

    def __call__(self, maps, targets, step):
        self.seen.append((step.step, torch.is_grad_enabled(), [m.detach().clone() for m in maps.maps]))
        if len(self.seen) == self.fails_at:
            raise RuntimeError("out of memory")
        return super().__call__(maps, targets, step)


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request):
    name, more = request.param
    return request.getfixturevalue(name), {**RUN, **more}


def drawn(pipe, run, objective, plan):
    return generate(pipe, PROMPTS, objective=objective, plan=plan, seed=3, **run)


def test_the_own_pass_has_the_maps_of_an_evaluation_of_the_same_latent(case):
    pipe, run = case
    before = fingerprint(denoiser(pipe))
    watching, evaluating = Noting(), Noting()
    watched, evaluated = drawn(pipe, run, watching, WATCHED), drawn(pipe, run, evaluating, EVALUATED)
    # One evaluation before the first step; then the own pass of every step but the last, whose maps would serve nobody.
    assert [(step, graded) for step, graded, _ in watching.seen] == [(0, True)] + [
        (step, False) for step in range(STEPS - 1)
    ]
    assert watched.trace.evaluations == [1, 0, 1]
    at_step = {step: maps for step, _, maps in evaluating.seen}
    assert set(at_step) >= {0, 1, 2}  # evaluations of what holds become rarer
    for step, _, maps in watching.seen[:4]:
        assert len(maps) == len(at_step[step])
        for ours, theirs in zip(maps, at_step[step], strict=True):
            assert ours.shape[0] == 2  # the image without a relation is left out
            assert torch.allclose(ours, theirs, atol=1e-6)
    # Maps do change from step to step, so that a wrong step would have been noticed.
    assert not torch.allclose(at_step[0][0], at_step[1][0], atol=1e-6)
    assert fingerprint(denoiser(pipe)) == before
    assert torch.equal(watched.images, evaluated.images)


def test_a_run_that_is_only_watched_is_the_plain_one_to_the_bit(case):
    pipe, run = case
    negative = {"negative_prompt": [run["negative_prompt"]] * 3} if "negative_prompt" in run else {}
    expected = plain_images(pipe, PROMPTS, 3, **{**run, **negative})
    assert torch.equal(drawn(pipe, run, Noting(), WATCHED).images, expected)


def test_only_the_layers_that_are_asked_for_are_read(pipe):
    noting = Noting(layers=("down.0.0",))
    drawn(pipe, RUN, noting, WATCHED)
    assert [len(maps) for _, _, maps in noting.seen] == [1] * STEPS


@pytest.mark.parametrize("kind, last", [("pipe", "conv_out"), ("flux_pipe", "proj_out")])
def test_hooks_are_gone_after_an_exception_inside_an_own_pass(request, kind, last):
    """Evaluations end before the model's last layer: only the pipeline's own pass, which is being read, fails there."""
    pipe = request.getfixturevalue(kind)
    model, run = denoiser(pipe), dict(RUN)
    if kind == "flux_pipe":
        run["max_sequence_length"] = 24
    expected = drawn(pipe, run, Noting(), WATCHED).images
    before = fingerprint(model)
    listening = []

    def fails(*arguments):
        listening.append(fingerprint(model) != before)
        raise KeyboardInterrupt

    handle = getattr(model, last).register_forward_pre_hook(fails)
    with pytest.raises(KeyboardInterrupt):
        drawn(pipe, run, Noting(), WATCHED)
    handle.remove()
    assert listening == [True]
    assert fingerprint(model) == before
    assert torch.equal(drawn(pipe, run, Noting(), WATCHED).images, expected)


def test_hooks_are_gone_after_an_exception_in_the_objective(pipe):
    before = fingerprint(pipe.unet)
    with pytest.raises(RuntimeError, match="out of memory"):
        drawn(pipe, RUN, Noting(fails_at=3), WATCHED)
    assert fingerprint(pipe.unet) == before
