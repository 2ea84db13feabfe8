"""A second pass is steered only where it passes through the noise that a first pass is steered in.

The plan ends at a share of 0.4 of the model's schedule, the classifier's own noise levels end later. What follows is worked
out by hand for EmojiWorld's UNet: 1000 training timesteps, a share p of the schedule is timestep 999 * (1 - p), and step x
of n steps of the scheduler `simple` is timestep 999 - floor(1000 x / n): its share is floor(1000 x / n) / 999. A denoise of
d takes the last 20 of floor(20 / d) steps.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from conftest import latents, options, steered, stock


@pytest.fixture(scope="module")
def first(node, world):
    """A finished picture's latents."""
    return steered(node, world, steps=20, options=None)[0]


@pytest.fixture(scope="module")
def mmdit(node):
    """EmojiWorld's transformer, as `world`."""
    import nodes as host_nodes

    model, clip, vae = node("LoadEmojiWorld", architecture="mmdit")
    positive, relations, _ = node("RelationPrompt", clip=clip, text="a dog to the right of a teddy bear")
    (classifier, _) = node("LoadRelationClassifier", classifier_name="emojiworld-mmdit-symmetric.safetensors")
    with torch.inference_mode():
        (negative,) = host_nodes.CLIPTextEncode().encode(clip, "")
    return SimpleNamespace(
        model=model, vae=vae, positive=positive, negative=negative, relations=relations, classifier=classifier
    )


def watched_plan(node, **changes):
    """A plan that evaluates once at every step that it has, whatever is read: its moves are too short to matter and no
    relation counts as reached."""
    return options(node, **{"end": 0.4, "reached": 1.0, "step_size": 1e-4, **changes})


def steps_of(log):
    """The steps at which the last run was evaluated."""
    return sorted({record.step for record in log.latest.records if record.evaluation >= 0})


@pytest.mark.parametrize(
    ("denoise", "begins"),
    [
        (0.5, "50%"),  # 40 steps, from x = 20: 500 / 999
        (0.3, "70%"),  # 66 steps, from x = 46: 696 / 999
        (0.15, "85%"),  # 133 steps, from x = 113: 849 / 999
    ],
)
def test_at_little_noise_a_second_pass_is_the_plain_one(node, world, first, denoise, begins):
    plain = stock(world, latent={"samples": first}, steps=20, denoise=denoise, seed=5)
    ours, log = steered(
        node, world, latent={"samples": first}, steps=20, denoise=denoise, seed=5, options=None
    )
    assert torch.equal(ours, plain) and not torch.equal(plain, first)
    trace, run = log.latest, log.runs[-1]
    assert trace.evaluations == [0] and trace.forwards == 0 and not trace.records and trace.left_plain
    assert trace.notes == run.notes and len(trace.notes) == 1
    assert trace.notes[0].startswith(f"Left plain: this run begins at {begins} of the model's schedule")


def test_a_hires_pass_is_the_plain_one(node, world, first):
    """Enlarged 1.5 times, at denoise 0.5."""
    import nodes as host_nodes

    (large,) = host_nodes.LatentUpscale().upscale({"samples": first}, "bilinear", 192, 192, "disabled")
    assert large["samples"].shape == (1, 4, 24, 24)
    plain = stock(world, latent=large, steps=20, denoise=0.5)
    ours, log = steered(node, world, latent=large, steps=20, denoise=0.5, options=None)
    assert torch.equal(ours, plain) and log.latest.evaluations == [0] and log.latest.left_plain


def test_the_transformers_second_pass_is_the_plain_one(node, mmdit):
    """Rectified flow without a shift: sigma is 1 - p, and step x of n begins at floor(1000 x / n) / 1000."""
    begin = {"samples": stock(mmdit, steps=8)}
    plain = stock(mmdit, latent=begin, steps=20, denoise=0.5)
    ours, log = steered(node, mmdit, latent=begin, steps=20, denoise=0.5, options=None)
    assert torch.equal(ours, plain) and log.latest.evaluations == [0] and log.latest.left_plain


CASES = [
    (1.0, list(range(8))),  # 20 steps: 7 begins at 350 / 999, 8 at 400 / 999 = 0.4004
    (0.85, list(range(7))),  # 23 steps, from x = 3: x = 9 begins at 391 / 999 = 0.391, x = 10 at 434 / 999
    (0.7, list(range(4))),  # 28 steps, from x = 8: x = 11 begins at 392 / 999, x = 12 at 428 / 999
    (0.6, [0]),  # 33 steps, from x = 13: x = 13 begins at 393 / 999, x = 14 at 424 / 999
]


@pytest.mark.parametrize(("denoise", "steps"), CASES)
def test_more_noise_is_steered_down_to_the_plans_end(node, world, first, denoise, steps):
    _, log = steered(
        node, world, latent={"samples": first}, steps=20, denoise=denoise, options=watched_plan(node)
    )
    assert steps_of(log) == steps and not log.latest.left_plain


@pytest.mark.parametrize(("denoise", "steps"), CASES)
def test_the_transformer_is_steered_at_the_same_steps(node, mmdit, denoise, steps):
    """Here step 8 of 20 begins at 0.4 itself, which is not before it."""
    begin = {"samples": stock(mmdit, steps=8)}
    _, log = steered(node, mmdit, latent=begin, steps=20, denoise=denoise, options=watched_plan(node))
    assert steps_of(log) == steps


def test_a_steered_second_pass_is_another_picture(node, world, first):
    """At denoise 0.85 the relation is moved for, where it is not read at once."""
    moved, log = steered(
        node,
        world,
        latent={"samples": first},
        steps=20,
        denoise=0.85,
        options=options(node, end=0.4, reached=1.0),
    )
    plain = stock(world, latent={"samples": first}, steps=20, denoise=0.85)
    assert sum(log.latest.evaluations) > 0 and not torch.equal(moved, plain)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        # Karras' levels are (14.6146^(1/7) + i / 19 (0.0292^(1/7) - 14.6146^(1/7)))^7: 3.465 at i = 6, 2.641 at 7, 1.991 at
        # 8. The share 0.4 is timestep 599.4, a level of 2.280 (0.6 of the way in log sigma from timestep 600 to 599).
        ("karras", list(range(8))),
        # Timesteps of a Beta(0.6, 0.6) distribution: 703 at i = 7, 637 at 8, 569 at 9; 599.4 lies between the last two.
        ("beta", list(range(9))),
        ("simple", list(range(8))),
    ],
)
def test_other_schedulers_are_steered_by_the_same_noise(node, world, scheduler, steps):
    _, log = steered(node, world, steps=20, scheduler=scheduler, options=watched_plan(node))
    assert steps_of(log) == steps


def test_the_host_agrees_about_the_share(world):
    """The number that the case above is built on."""
    sampling = world.model.get_model_object("model_sampling")
    assert float(sampling.percent_to_sigma(0.4)) == pytest.approx(2.2797, abs=1e-3)


def advanced(node, world, latent, start, end, ours=True, plan=None, **more):
    """(latents, log) of the KSampler (Advanced) for a part of 20 steps, ours or the host's own."""
    import nodes as host_nodes

    noise = "enable" if start == 0 else "disable"
    leftover = "enable" if end < 20 else "disable"
    if not ours:
        with torch.inference_mode():
            (result,) = host_nodes.KSamplerAdvanced().sample(
                world.model, noise, 11, 20, 6.0, "euler", "simple", world.positive, world.negative, latent, start, end,
                leftover,
            )  # fmt: skip
        return result["samples"], None
    result, log = node(
        "SteeringKSamplerAdvanced", model=world.model, add_noise=noise, noise_seed=11, steps=20, cfg=6.0,
        sampler_name="euler", scheduler="simple", positive=world.positive, negative=world.negative, latent_image=latent,
        start_at_step=start, end_at_step=end, return_with_leftover_noise=leftover, relations=world.relations,
        classifier=world.classifier, options=plan, **more,
    )  # fmt: skip
    return result["samples"], log


def test_of_a_split_run_the_first_half_is_steered(node, world):
    half, log = advanced(node, world, latents(), 0, 10, plan=watched_plan(node))
    assert steps_of(log) == list(range(8)) and log.latest.notes == []
    plain, _ = advanced(node, world, {"samples": half}, 10, 20, ours=False)
    rest, log = advanced(node, world, {"samples": half}, 10, 20)
    assert torch.equal(rest, plain)
    assert log.latest.evaluations == [0] and "begins at 50% of the model's schedule" in log.runs[-1].notes[0]


def test_a_split_before_the_plans_end_steers_both_parts(node, world):
    """Steps 6 and 7 of the whole are the second part's first two; the first part has the first six."""
    half, log = advanced(node, world, latents(), 0, 6, plan=watched_plan(node))
    assert steps_of(log) == list(range(6))
    _, log = advanced(node, world, {"samples": half}, 6, 20, plan=watched_plan(node))
    assert steps_of(log) == [0, 1]


def test_beyond_the_classifiers_noise_nothing_is_evaluated(node, world, first):
    """The classifier knows the levels of the first ten of 20 steps: the last is timestep 549, a level of 1.910. A plan for
    the whole schedule has no more, and of a pass that begins at timestep 499 none."""
    assert min(world.classifier.classifier.card.sigmas) == pytest.approx(1.910, abs=1e-3)
    whole = watched_plan(node, end=1.0)
    _, log = steered(node, world, steps=20, options=whole)
    assert steps_of(log) == list(range(10))
    _, log = steered(node, world, latent={"samples": first}, steps=20, denoise=0.5, options=whole)
    assert (
        log.latest.evaluations == [0]
        and "less noise than the classifier was trained at" in log.runs[-1].notes[0]
    )


def test_only_if_needed_leaves_it_plain_as_well(node, world, first):
    plain = stock(world, latent={"samples": first}, steps=20, denoise=0.3)
    ours, log = steered(
        node,
        world,
        latent={"samples": first},
        steps=20,
        denoise=0.3,
        options=None,
        steer="only if needed",
    )
    assert torch.equal(ours, plain)
    assert sum(sum(trace.evaluations) for trace in log.traces) == 0
    assert any("Left plain" in note for run in log.runs for note in run.notes)
