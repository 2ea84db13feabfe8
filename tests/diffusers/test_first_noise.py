"""Several first noises through diffusers: what is chosen, that it can be drawn again by its seed, and what it costs."""

import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import generate
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan, seed_of

PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, reached=None)
RUN = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "pt", "height": 32, "width": 32}
KINDS = ["pipe", "xl_pipe", "flux_pipe"]
PROMPTS = ["a dog above a cat", "a dog and a cat", "a cat to the left of a dog"]


def drawn(pipe, prompt, **changes):
    if hasattr(pipe, "transformer"):
        changes = {"max_sequence_length": 24, **changes}
    return generate(
        pipe, prompt, **{"objective": CentroidObjective(), "plan": PLAN, "seed": 3, **RUN, **changes}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_is_the_picture_of_before(request, kind):
    pipe = request.getfixturevalue(kind)
    before, one = drawn(pipe, PROMPTS), drawn(pipe, PROMPTS, seeds_tried=1)
    assert torch.equal(before.images, one.images) and before.seeds == one.seeds == [3, 4, 5]
    assert before.trace.to_dict() == one.trace.to_dict() and one.trace.first_noises == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_one_chosen_is_drawn_again_by_its_seed(request, kind):
    pipe = request.getfixturevalue(kind)
    out = drawn(pipe, PROMPTS, seeds_tried=4)
    tried = out.trace.first_noises
    assert [[one.seed for one in of_image] for of_image in tried] == [
        [seed_of(3, a) for a in range(4)], [], [seed_of(5, a) for a in range(4)],
    ]  # fmt: skip
    for of_image, seed in ((tried[0], out.seeds[0]), (tried[2], out.seeds[2])):
        (chosen,) = (one for one in of_image if one.chosen)
        assert chosen.seed == seed and chosen.score == max(one.score for one in of_image)
        assert len({one.score for one in of_image}) == 4 and all(0 <= one.score <= 1 for one in of_image)
    assert out.seeds[1] == 4
    again = drawn(pipe, PROMPTS, seed=out.seeds)
    assert torch.equal(again.images, out.images)


def test_noise_of_the_steps_is_the_chosen_seeds_too(pipe):
    """An ancestral sampler goes on drawing from the generator of the first noise."""
    from diffusers import EulerAncestralDiscreteScheduler

    pipe.scheduler = EulerAncestralDiscreteScheduler.from_config(pipe.scheduler.config)
    out = drawn(pipe, PROMPTS[0], seeds_tried=8, seed=1)
    assert out.seeds != [1]
    assert torch.equal(drawn(pipe, PROMPTS[0], seed=out.seeds).images, out.images)


def test_the_same_seed_chooses_the_same_alone_and_in_a_batch(pipe):
    batch, alone = drawn(pipe, PROMPTS, seeds_tried=4), drawn(pipe, PROMPTS[2], seed=5, seeds_tried=4)
    assert alone.seeds == batch.seeds[2:]


def test_every_pass_is_counted(pipe):
    """Two images with relations: 8 noises, 4 at a time as the batch is smaller, and one evaluation each in the trace."""
    plain, out = drawn(pipe, PROMPTS[::2]), drawn(pipe, PROMPTS[::2], seeds_tried=4)
    assert out.trace.forwards == plain.trace.forwards + 2
    assert out.trace.evaluations == [n + 4 for n in plain.trace.evaluations]
    assert out.trace.gradients == plain.trace.gradients
    assert out.model_calls == plain.model_calls + 2
    assert "Image 0: of 4 first noises that of seed" in out.trace.notes[0]
    assert len(out.trace.to_dict()["first_noises"][0]) == 4


def test_without_a_move_the_best_is_drawn_plainly(pipe):
    out = drawn(pipe, PROMPTS[0], seeds_tried=4, plan=SteeringPlan(strength=0.0))
    plain = drawn(pipe, PROMPTS[0], objective=None, seed=out.seeds)
    assert torch.equal(out.images, plain.images) and out.model_calls == plain.model_calls + 1
    assert not any("strength is 0" in note for note in out.trace.notes)


def test_where_nothing_is_wanted_none_is_tried(pipe):
    out = drawn(pipe, PROMPTS[1], seeds_tried=4)
    assert out.model_calls == 4 and out.seeds == [3] and out.trace.first_noises == []
    wanted = drawn(pipe, PROMPTS[1], seeds_tried=4, goals=("presence",))
    assert len(wanted.trace.first_noises[0]) == 4


@pytest.mark.parametrize(
    "given", [{"generators": torch.Generator().manual_seed(1)}, {"latents": torch.zeros(1, 4, 4, 4)}]
)
def test_noise_of_ones_own_leaves_nothing_to_try(pipe, given):
    given = {"seed": None, **given} if "generators" in given else given
    if "latents" in given:
        given["latents"] = torch.randn(1, 4, *(32 // pipe.vae_scale_factor,) * 2)
    with pytest.raises(SteeringError, match="Expected a seed where 2 first noises are tried"):
        drawn(pipe, PROMPTS[0], seeds_tried=2, **given)


def test_a_count_out_of_range_is_refused(pipe):
    with pytest.raises(SteeringError, match="Expected a whole number of seeds to try"):
        drawn(pipe, PROMPTS[0], seeds_tried=0)
