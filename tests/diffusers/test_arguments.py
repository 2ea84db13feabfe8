"""Arguments that pipelines take mean the same when a picture is steered."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import generate, run_of
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

PROMPT = "a dog above a cat"
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, step_size=0.1, reached=None)
WATCHING = replace(PLAN, reached=1e-9)
RUN = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "pt", "height": 32, "width": 32}
KINDS = ["pipe", "xl_pipe", "flux_pipe"]
LATENTS = {"pipe": (4, 16, 16), "xl_pipe": (4, 16, 16), "flux_pipe": (64, 16)}


def steered(pipe, prompt=PROMPT, **changes):
    return generate(
        pipe, prompt, **{"objective": CentroidObjective(), "plan": PLAN, "seed": 3, **RUN, **changes}
    )


def seeded(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def plainly(pipe, prompt=(PROMPT,), **changes):
    prompt = prompt if prompt is None or isinstance(prompt, str) else list(prompt)
    return pipe(prompt, **{"generator": seeded(3), **RUN, **changes}).images


@pytest.mark.parametrize(
    "seed", [np.int64(3), np.int32(3), np.array(3), torch.tensor(3), [np.int64(3)], np.array([3]), (3,)]
)
def test_seeds_of_any_library(pipe, seed):
    out = steered(pipe, seed=seed)
    assert out.seeds == [3] and type(out.seeds[0]) is int
    assert torch.equal(out.images, steered(pipe, seed=3).images)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["generators", "generator"])
def test_one_generator_as_pipelines_take_it(request, kind, name):
    pipe, prompts = request.getfixturevalue(kind), [PROMPT, "a cat above a dog"]
    for given in ([PROMPT], prompts):
        mine, theirs = seeded(5, 5)
        out = steered(pipe, given, plan=WATCHING, seed=None, **{name: mine})
        assert torch.equal(out.images, plainly(pipe, given, generator=theirs))
        # Four steps are far apart: both of those that are steered are evaluated.
        assert out.seeds == [None] * len(given) and out.trace.evaluations == [2] * len(given)


@pytest.mark.parametrize("kind", KINDS)
def test_several_pictures_of_a_prompt(request, kind):
    pipe, prompts = request.getfixturevalue(kind), [PROMPT, "a cat to the left of a dog"]
    call = {"num_images_per_prompt": 2, "negative_prompt": ["a fox", "a bear"]}
    expected = plainly(pipe, prompts, generator=seeded(3, 4, 5, 6), **call)
    for changes in ({"objective": None}, {"plan": WATCHING}):
        out = steered(pipe, prompts, **call, **changes)
        assert out.seeds == [3, 4, 5, 6] and torch.equal(out.images, expected)
    out = steered(pipe, prompts, **call)
    assert [labels[0] for labels in out.trace.labels] == ["dog above cat"] * 2 + [
        "cat to the left of dog"
    ] * 2
    assert len(out.triplets) == 4 and out.trace.evaluations == [4] * 4
    alone = steered(pipe, prompts[1], seed=6, negative_prompt="a bear")
    assert torch.allclose(out.images[3], alone.images[0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_first_latents_of_ones_own(request, kind):
    pipe = request.getfixturevalue(kind)
    mine = torch.randn(1, *LATENTS[kind], generator=torch.Generator().manual_seed(9))
    expected = plainly(pipe, latents=mine.clone())
    for changes in ({"objective": None}, {"plan": WATCHING}):
        assert torch.equal(steered(pipe, latents=mine, **changes).images, expected)
    moved = steered(pipe, latents=mine)
    assert moved.trace.records[0].move > 0 and not torch.equal(moved.images, expected)
    assert not torch.equal(moved.images, steered(pipe).images)
    with pytest.raises(SteeringError, match="shape"):
        steered(pipe, [PROMPT] * 2, latents=mine)


def test_first_latents_are_unit_noise_for_every_scheduler(pipe):
    pipe.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    mine = torch.randn(1, 4, 16, 16)
    assert torch.equal(steered(pipe, latents=mine, plan=WATCHING).images, plainly(pipe, latents=mine.clone()))


def states_of(pipe, kind, text, each=1):
    """Text states that the pipeline itself makes of a text."""
    if kind == "flux_pipe":
        context, pooled, _ = pipe.encode_prompt(text, None, max_sequence_length=512)
        return {"prompt_embeds": context, "pooled_prompt_embeds": pooled}
    if kind == "pipe":
        return {"prompt_embeds": pipe.encode_prompt(text, "cpu", each, False)[0]}
    context, _, pooled, _ = pipe.encode_prompt(text, do_classifier_free_guidance=False)
    return {"prompt_embeds": context, "pooled_prompt_embeds": pooled}


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_text_states_of_ones_own(request, kind, each):
    """Weighted by hand, as other libraries do: they are what the model is given, the prompt says where the words are."""
    pipe = request.getfixturevalue(kind)
    states = {name: 1.5 * state for name, state in states_of(pipe, kind, [PROMPT]).items()}
    repeated = {name: state.repeat_interleave(each, 0) for name, state in states.items()}
    negative = {"negative_prompt": ["a fox"] * each}
    expected = plainly(pipe, None, generator=seeded(*range(3, 3 + each)), **repeated, **negative)
    call = {**states, "num_images_per_prompt": each, "negative_prompt": "a fox"}
    for changes in ({"objective": None}, {"plan": WATCHING}):
        assert torch.equal(steered(pipe, **call, **changes).images, expected)
    moved = steered(pipe, **call)
    assert moved.trace.labels == [["dog above cat"]] * each and moved.trace.records[0].move > 0
    assert moved.trace.records[0].probability != steered(pipe).trace.records[0].probability


@pytest.mark.parametrize("each", [1, 2])
def test_negative_text_states_alone(pipe, each):
    states = {"negative_prompt_embeds": 2 * states_of(pipe, "pipe", ["a fox"])["prompt_embeds"]}
    call = {**states, "num_images_per_prompt": each}
    expected = plainly(pipe, generator=seeded(*range(3, 3 + each)), **call)
    assert not torch.equal(expected[0], plainly(pipe)[0])
    for changes in ({"objective": None}, {"plan": WATCHING}):
        assert torch.allclose(steered(pipe, **call, **changes).images, expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_callback_of_ones_own_is_called_too(request, kind):
    pipe, seen = request.getfixturevalue(kind), []

    def halve(pipeline, turn, timestep, tensors):
        assert pipeline is pipe and set(tensors) == {"latents", "prompt_embeds"}
        seen.append((turn, tensors["latents"].clone()))
        return {"latents": tensors["latents"] / 2} if turn == 2 else {}

    mine = {
        "callback_on_step_end": halve,
        "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"],
    }
    expected = plainly(pipe, **mine)
    assert not torch.equal(expected, plainly(pipe))
    for changes in ({"objective": None}, {"plan": WATCHING}):
        assert torch.equal(steered(pipe, **mine, **changes).images, expected)
    seen.clear()
    after = []
    out = steered(pipe, **mine, on_step=lambda info, latents: after.append(latents.clone()))
    assert [turn for turn, _ in seen] == [0, 1, 2, 3] and torch.equal(out.latents, after[-1])
    # Steering comes after it: the move before step 1 is not in what it sees after step 0, and is in what goes on.
    unpacked = run_of(pipe, [PROMPT], height=32, width=32).unpacked
    assert not torch.equal(unpacked(seen[0][1]), after[0])
    assert torch.equal(unpacked(seen[1][1]), after[1])
    assert torch.equal(unpacked(seen[2][1]) / 2, after[2])


def test_a_callback_that_only_watches_and_says_nothing(pipe):
    turns = []
    out = steered(pipe, callback_on_step_end=lambda p, turn, t, tensors: turns.append(turn))
    assert turns == [0, 1, 2, 3] and torch.equal(out.images, steered(pipe).images)


def test_the_callbacks_that_diffusers_ships(pipe):
    from diffusers.callbacks import SDCFGCutoffCallback

    cut = {"callback_on_step_end": SDCFGCutoffCallback(cutoff_step_ratio=0.5)}
    expected = plainly(pipe, **cut)
    assert not torch.equal(expected, plainly(pipe))
    assert torch.equal(steered(pipe, plan=WATCHING, **cut).images, expected)


@pytest.mark.parametrize(
    ("kind", "steps", "guidance"), [("pipe", 50, 7.5), ("xl_pipe", 50, 5.0), ("flux_pipe", 28, 3.5)]
)
def test_defaults_are_the_pipelines_own(request, kind, steps, guidance):
    pipe = request.getfixturevalue(kind)
    run = run_of(pipe, [PROMPT])
    assert (run.num_inference_steps, run.guidance_scale) == (steps, guidance)
    bare = {"num_inference_steps": None, "guidance_scale": None, "plan": WATCHING}
    expected = pipe([PROMPT], generator=seeded(3), output_type="pt", height=32, width=32).images
    assert torch.equal(steered(pipe, **bare).images, expected)


@pytest.mark.parametrize("kind", ["xl_pipe", "flux_pipe"])
def test_another_text_for_the_second_encoder(request, kind):
    """The second encoder's states stand at the same places as the first one's, or the first one's are not read at all."""
    pipe = request.getfixturevalue(kind)
    with pytest.raises(SteeringError, match="prompt_2"):
        steered(pipe, prompt_2=["a cat"])
    expected = plainly(pipe, prompt_2=["a cat"])
    assert torch.equal(steered(pipe, objective=None, prompt_2=["a cat"]).images, expected)
