"""Attention guidance in pipelines of diffusers: the bias that it adds, what it leaves as it was, and what it draws."""

import warnings
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS, family_of
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import object_pairs
from learn_to_steer.emojiworld.world import article
from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.run import Draw, judged
from learn_to_steer.guidance import GuidancePlan, Layout
from learn_to_steer.hosts.diffusers import decoded, denoiser, generate
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

from .made import fingerprint, plain_images

PROMPTS = ["a dog above a cat", "a cat and a dog", "a big cat to the left of a dog"]
RUN = {"num_inference_steps": 5, "height": 32, "width": 48, "output_type": "pt"}
STRONG = GuidancePlan(strength=40.0, end=0.5)
"""The logits of a tiny random network hardly differ, so their spread is small."""

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


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request):
    name, more = request.param
    return evenly(request.getfixturevalue(name)), {**RUN, **more}


def evenly(pipe):
    """The pipeline with steps that begin at 0, 0.2, 0.4 ... of its schedule."""
    if hasattr(pipe, "unet"):
        pipe.scheduler = diffusers.DDIMScheduler.from_config(
            pipe.scheduler.config, timestep_spacing="trailing"
        )
    return pipe


def plainly(pipe, run, prompts=PROMPTS):
    return generate(pipe, prompts, objective=None, seed=3, **run).images


def guided(pipe, run, prompts=PROMPTS, plan=STRONG, **more):
    return generate(pipe, prompts, method="attention", guidance=plan, seed=3, **run, **more)


@pytest.mark.parametrize("kind", ["pipe", "flux_pipe"])
def test_only_the_conditional_rows_are_guided(request, kind):
    """What the unconditional branch puts out does not depend on guidance."""
    pipe = request.getfixturevalue(kind)
    more = {"guidance_scale": 4.0} if kind == "pipe" else {"true_cfg_scale": 3.0, "negative_prompt": "a fox"}
    model, outputs = denoiser(pipe), {}
    for name, plan in (("plain", GuidancePlan(strength=0.0)), ("guided", STRONG)):
        seen = outputs[name] = []
        handle = model.register_forward_hook(lambda m, a, out, seen=seen: seen.append(out[0].clone()))
        guided(
            pipe,
            {**RUN, **more, "max_sequence_length": 24} if kind == "flux_pipe" else {**RUN, **more},
            plan=plan,
        )
        handle.remove()
    plain, biased = outputs["plain"], outputs["guided"]
    if kind == "pipe":  # one pass, the unconditional rows first
        assert (plain[0][:3] - biased[0][:3]).abs().max() < 1e-4
        assert (plain[0][3:] - biased[0][3:]).abs().max() > 1e-3
    else:  # two passes, the conditional one first
        assert (plain[0] - biased[0]).abs().max() > 1e-3
        assert torch.equal(plain[1], biased[1])


# What it leaves as it was


def test_off_is_plain_to_the_bit(case):
    pipe, run = case
    given = {**run, "negative_prompt": [run["negative_prompt"]]} if "negative_prompt" in run else run
    for prompt, plan in (("a cat and a dog", STRONG), ("a dog above a cat", GuidancePlan(strength=0.0))):
        drawn = guided(pipe, run, [prompt], plan)
        assert torch.equal(drawn.images, plain_images(pipe, [prompt], 3, **given))
        assert drawn.trace.guidance is None


def test_a_prompt_without_a_relation_stays_plain_among_others(case):
    pipe, run = case
    before = fingerprint(denoiser(pipe))
    drawn, plain = guided(pipe, run), plainly(pipe, run)
    assert fingerprint(denoiser(pipe)) == before
    assert (drawn.images[1] - plain[1]).abs().max() < 1e-3
    assert all((drawn.images[i] - plain[i]).abs().max() > 3e-3 for i in (0, 2))
    told = drawn.trace.guidance
    assert [one is not None for one in told["layouts"]] == [True, False, True]
    assert told["layouts"][2]["objects"] == ["big cat", "dog"]
    # Steps of five begin at 0, 0.2, 0.4, 0.6 and 0.8; the plan ends at a half.
    assert [one["on"] for one in told["steps"]] == [[[i < 3], [], [i < 3]] for i in range(5)]


def test_it_makes_no_pass_of_its_own_and_no_gradient(case):
    pipe, run = case
    with torch.inference_mode():
        drawn = guided(pipe, run)
        plain = generate(pipe, PROMPTS, objective=None, seed=3, **run)
    assert drawn.model_calls == plain.model_calls
    assert drawn.trace.forwards == drawn.trace.backwards == 0


def test_everything_is_restored_after_an_exception(case):
    pipe, run = case
    model, plain = denoiser(pipe), plainly(pipe, run)
    before = fingerprint(model)
    calls = []

    def failing(module, args):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")

    handle = model.register_forward_pre_hook(failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        guided(pipe, run)
    handle.remove()
    assert fingerprint(model) == before
    assert torch.equal(plainly(pipe, run), plain)


def test_processors_that_are_modules_stay_parts_of_the_model(pipe):
    class Scaling(torch.nn.Module):
        """As IP-Adapter's: a module with weights that takes arguments of its own."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(2.0))
            self.plain, self.given = AttnProcessor2_0(), []

        def __call__(
            self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, extra=None
        ):
            self.given.append((extra, attention_mask is None))
            return self.weight * self.plain(attn, hidden_states, encoder_hidden_states, attention_mask)

    unet = evenly(pipe).unet
    mine = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    mine.set_processor(Scaling())
    names = set(unet.state_dict())
    run = {**RUN, "guidance_scale": 4.0, "cross_attention_kwargs": {"extra": 7}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, plain = guided(pipe, run), plainly(pipe, run)
    assert set(unet.state_dict()) == names
    given = mine.processor.given
    assert {extra for extra, _ in given} == {7}
    assert [unmasked for _, unmasked in given[:5]] == [False, False, False, True, True]
    assert (first.images[0] - plain[0]).abs().max() > 3e-3


def test_a_processor_that_takes_no_mask_is_refused(pipe):
    class Own:
        def __call__(self, attn, hidden_states, encoder_hidden_states=None):
            return hidden_states

    attention = pipe.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    attention.processor = Own()
    with pytest.raises(SteeringError, match=r"got Own in layer down\.0\.0"):
        guided(pipe, {**RUN, "guidance_scale": 4.0})
    assert isinstance(attention.processor, Own)


def test_fused_projections_are_guided_the_same(pipe, flux_pipe):
    for made, more in ((pipe, {"guidance_scale": 4.0}), (flux_pipe, {"max_sequence_length": 24})):
        run = {**RUN, **more}
        before = guided(made, run).images
        denoiser(made).fuse_qkv_projections()
        assert (guided(made, run).images - before).abs().max() < 1e-3


def test_a_scheduler_of_two_turns_a_step_is_guided_on_both(pipe):
    pipe.scheduler = diffusers.HeunDiscreteScheduler.from_config(pipe.scheduler.config)
    armed = []
    made = guided(
        pipe,
        {**RUN, "guidance_scale": 4.0},
        callback_on_step_end=lambda p, turn, t, tensors: armed.append(turn) or {},
    )
    assert [one["step"] for one in made.trace.guidance["steps"]] == [0, 1, 2, 3, 4]
    assert len(armed) == 9


@pytest.mark.parametrize("kind", ["pipe", "flux_pipe"])
def test_it_is_compiled_with_the_model(request, kind):
    pipe = request.getfixturevalue(kind)
    run = {**RUN, "guidance_scale": 4.0} if kind == "pipe" else {**RUN, "max_sequence_length": 24}
    wanted, plain = guided(pipe, run).images, plainly(pipe, run)
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    name = "unet" if kind == "pipe" else "transformer"
    network = getattr(pipe, name)
    setattr(pipe, name, torch.compile(network, backend=backend, fullgraph=True))
    try:
        assert (guided(pipe, run).images - wanted).abs().max() < 1e-4
        made = len(graphs)
        assert made == 2  # guided and not
        assert (guided(pipe, run).images - wanted).abs().max() < 1e-4
        assert len(graphs) == made
        assert (plainly(pipe, run) - plain).abs().max() < 1e-4
    finally:
        setattr(pipe, name, network)
        torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["pipe", "flux_pipe"])
def test_half_precision(request, kind):
    pipe = request.getfixturevalue(kind).to(torch.bfloat16)
    run = {**RUN, "guidance_scale": 4.0} if kind == "pipe" else {**RUN, "max_sequence_length": 24}
    drawn = guided(pipe, run)
    assert drawn.images.isfinite().all()
    assert (drawn.images[0] - plainly(pipe, run)[0]).abs().max() > 3e-3


# What it is told


def test_a_box_needs_no_relation(pipe):
    run = {**RUN, "guidance_scale": 4.0}
    drawn = guided(pipe, run, ["a cat and a dog"], boxes={"dog": (0.0, 0.5, 0.5, 1.0)})
    assert drawn.trace.guidance["layouts"][0]["places"] == [[0.25, 0.75]]
    assert (drawn.images - plainly(pipe, run, ["a cat and a dog"])).abs().max() > 3e-3


def test_a_box_moves_the_object_of_a_relation(pipe):
    run = {**RUN, "guidance_scale": 4.0}
    told = guided(pipe, run, "a dog above a cat", boxes={"cat": (0.5, 0.6, 1.0, 1.0)}).trace.guidance
    (dog, cat) = told["layouts"][0]["places"]
    assert cat == [0.75, 0.8]
    assert dog[1] <= 0.8 - 0.36


def test_a_layout_given_by_hand_is_taken(pipe):
    by_hand = Layout(np.array([[0.2, 0.3], [0.6, 0.9]]), np.full((2, 2), 0.4))
    told = guided(pipe, {**RUN, "guidance_scale": 4.0}, "a dog above a cat", layout=by_hand).trace.guidance
    assert told["layouts"][0]["places"] == [[0.2, 0.3], [0.6, 0.9]]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"method": "bias"}, 'got "bias"'),
        ({"method": "both", "objective": None}, "Expected an objective"),
        ({"boxes": {"dog": (0, 0, 1, 1)}}, 'got "gradient"'),
        ({"method": "attention", "boxes": {"cow": (0, 0, 1, 1)}}, '"cow"'),
        ({"method": "attention", "boxes": {"dog": (0, 0.6, 1, 1), "cat": (0, 0, 1, 0.4)}}, "contradict"),
        ({"method": "attention", "boxes": [None, None]}, "one boxes or 1, got 2"),
        ({"method": "attention", "layout": Layout(np.zeros((1, 2)), np.ones((1, 2)))}, "layout of 2 objects"),
        ({"method": "attention", "guidance": GuidancePlan(layers=("up.9",))}, r"got up\.9"),
    ],
)
def test_bad_input_is_met_at_the_door(pipe, more, says):
    with pytest.raises(SteeringError, match=says):
        generate(pipe, "a dog above a cat", seed=3, **RUN, **more)


def test_a_relation_that_has_no_place_is_left_out_with_a_warning(pipe):
    with pytest.warns(UserWarning, match="dog behind cat"):
        drawn = guided(pipe, {**RUN, "guidance_scale": 4.0}, "a dog behind a cat")
    assert [one.triplet.relation.value for one in drawn.left_out[0]] == ["behind"]
    assert torch.equal(drawn.images, plain_images(pipe, ["a dog behind a cat"], 3, **RUN, guidance_scale=4.0))


# The classifier in front of it, and the gradient behind it


class Certain(CentroidObjective):
    """Says at step s that everything holds with the s-th of some probabilities."""

    def __init__(self, probabilities):
        super().__init__()
        self.probabilities, self.asked = probabilities, []

    def __call__(self, maps, targets, step):
        self.asked.append(step.step)
        reading = super().__call__(maps, targets, step)
        chosen = torch.full_like(reading.probability, self.probabilities[step.step])
        return replace(reading, probability=chosen)


def test_the_classifier_switches_a_relation_off_and_on_again(case):
    pipe, run = case
    objective = Certain([0.5, 0.99, 0.5, 0.5, 0.5])
    plan = GuidancePlan(strength=40.0, end=0.8, reached=0.9)
    drawn = guided(pipe, run, plan=plan, objective=objective)
    assert objective.asked == [0, 1, 2, 3]
    assert [one["on"][0] for one in drawn.trace.guidance["steps"]] == [
        [True],
        [True],
        [False],
        [True],
        [False],
    ]
    assert drawn.trace.forwards == 0


def test_what_is_read_is_the_attention_without_the_bias(pipe):
    """In the first guided layer of a pass nothing else differs from a plain pass."""
    seen = {}
    for name, strength in (("plain", 1e-9), ("guided", 50.0)):

        class First(CentroidObjective):
            def __call__(self, maps, targets, step, name=name):
                seen.setdefault(name, maps.maps[0].clone())
                return super().__call__(maps, targets, step)

        plan = GuidancePlan(strength=strength, reached=0.9)
        guided(pipe, {**RUN, "guidance_scale": 4.0}, plan=plan, objective=First(layers=("down.0.0",)))
    assert (seen["plain"] - seen["guided"]).abs().max() < 1e-6


def test_both_guides_first_and_moves_where_it_does_not_hold(case):
    pipe, run = case
    before = fingerprint(denoiser(pipe))
    objective = Certain([0.5] * 5)
    drawn = generate(
        pipe,
        PROMPTS,
        objective=objective,
        method="both",
        guidance=STRONG,
        plan=SteeringPlan(start=0.2, end=0.5, evaluations_per_step=1),
        seed=3,
        **run,
    )
    moved = {(r.step, r.image) for r in drawn.trace.records if r.move}
    assert moved == {(1, 0), (1, 2), (2, 0), (2, 2)}
    assert drawn.trace.guidance["steps"][0]["on"] == [[True], [], [True]]
    assert fingerprint(denoiser(pipe)) == before


def test_both_moves_nothing_that_the_own_pass_of_an_earlier_step_saw_hold(pipe):
    plan = SteeringPlan(start=0.2, end=0.5)
    drawn = generate(
        evenly(pipe), PROMPTS, objective=Certain([0.99] * 12), method="both", guidance=STRONG, plan=plan, seed=3,
        **{**RUN, "num_inference_steps": 12}, guidance_scale=4.0,
    )  # fmt: skip
    assert drawn.trace.evaluations == [0, 0, 0]


@pytest.mark.parametrize("model", ["unet", "mmdit"])
def test_pictures_obey_without_a_gradient(emojiworlds, model):
    """The same two objects from the same noise, on each side of one another. Plainly a third of such pictures obey."""
    pipe = emojiworlds[model]
    draws = [
        Draw(f"{article(a)} {relation} {article(b)}", seed)
        for (a, b), seed in zip(object_pairs("validation")[:2], (5, 6), strict=True)
        for relation in ("to the left of", "to the right of", "above", "below")
    ]
    drawn = generate(
        pipe,
        [draw.prompt for draw in draws],
        method="attention",
        seed=[draw.seed for draw in draws],
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        family=family_of(pipe),
        output_type="latent",
    )
    found = EmojiWorldDetector(WEIGHTS).detect(decoded(pipe, drawn.latents))
    obeyed = [
        judged(draw, objects)["relations"][0]["holds"] for draw, objects in zip(draws, found, strict=True)
    ]
    assert sum(obeyed) >= 7
