"""The diffusers host on tiny real models."""

from dataclasses import replace

import diffusers
import pytest
import torch

from learn_to_steer.attention import token_weights
from learn_to_steer.classifiers import SymmetricConfig, SymmetricRelationClassifier
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import attention_layers, generate, model_family, record_unet
from learn_to_steer.hosts.diffusers.schedule import Schedule
from learn_to_steer.language import Relation
from learn_to_steer.objectives import CentroidObjective, LearnedObjective, RelationTarget, StepInfo
from learn_to_steer.steering import SteeringPlan

from .made import fingerprint, learned, plain_images

PROMPT = "a dog above a cat"
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, step_rule="relative", step_size=0.1, reached=None)
RUN = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "pt"}
SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "LCMScheduler",
    "IPNDMScheduler",
]


def steered(pipe, prompt=PROMPT, **changes):
    return generate(pipe, prompt, **{"objective": learned(pipe), "plan": PLAN, "seed": 3, **RUN, **changes})


def plainly(pipe, prompt=(PROMPT,), seed=3, **changes):
    return plain_images(pipe, prompt, seed, **{**RUN, **changes})


def use(pipe, name, **changes):
    settings = {k: v for k, v in pipe.scheduler.config.items() if not k.startswith("_")}
    pipe.scheduler = getattr(diffusers, name).from_config({**settings, "skip_prk_steps": True, **changes})


class Calls:
    def __init__(self, module):
        self.count = 0
        self.handle = module.register_forward_hook(self)

    def __call__(self, *arguments):
        self.count += 1


def test_layers_are_named_and_ordered(pipe, xl_pipe):
    assert [x.name for x in attention_layers(pipe.unet)] == ["down.0.0", "mid.0", "up.1.0", "up.1.1"]
    assert [x.index for x in attention_layers(pipe.unet)] == [0, 1, 2, 3]
    assert [x.name for x in attention_layers(xl_pipe.unet)] == [
        "down.0.0",
        "mid.0.0",
        "mid.0.1",
        "up.1.0",
        "up.1.1",
    ]
    assert model_family(pipe.unet) == "custom"


def reading(pipe, layers=None, stop=True, size=(16, 16), batch=1):
    torch.manual_seed(1)
    latents, context = torch.randn(batch, 4, *size), torch.randn(batch, 77, 32)
    weights = token_weights([[[2], [5, 6]]] * batch, 77)
    return record_unet(pipe.unet, latents, torch.tensor(601), context, weights, layers, stop)


def test_maps_are_the_attention_the_model_computes(pipe):
    """Against the explicit softmax of diffusers' own AttnProcessor, wrapped to keep its probabilities."""
    from diffusers.models.attention_processor import Attention, AttnProcessor

    kept = {}
    for name, module in pipe.unet.named_modules():
        if isinstance(module, Attention) and name.endswith("attn2"):
            module.set_processor(AttnProcessor())
            scores = module.get_attention_scores

            def keep(query, key, mask=None, name=name, scores=scores):
                kept[name] = scores(query, key, mask)
                return kept[name]

            module.get_attention_scores = keep
    maps = reading(pipe, stop=False)
    assert len(kept) == 4
    down = kept["down_blocks.0.attentions.0.transformer_blocks.0.attn2"].unflatten(-2, (16, 16))
    assert torch.allclose(maps.maps[0][0, 0], down[..., 2], atol=1e-6)
    assert torch.allclose(maps.maps[0][0, 1], down[..., 5:7].mean(-1), atol=1e-6)


@pytest.mark.parametrize("size", [(16, 24), (14, 10)])
def test_other_sizes(pipe, size):
    maps = reading(pipe, size=size)
    assert maps.maps[0].shape[-2:] == size and maps.stacked(8).shape == (1, 2, 8, 8, 8)


def test_reading_stops_after_the_last_wanted_layer(pipe):
    late, mid = (
        Calls(pipe.unet.up_blocks[0]),
        Calls(pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn2),
    )
    assert reading(pipe, ("mid.0", "down.0.0")).channels == 4
    assert (late.count, mid.count) == (0, 0)  # the attention itself need not be finished either
    reading(pipe)
    assert late.count == 1


def test_fused_projections_give_the_same_maps(pipe):
    before = reading(pipe).stacked(8)
    pipe.unet.fuse_qkv_projections()
    assert torch.allclose(reading(pipe).stacked(8), before, atol=1e-6)


def test_gradient_of_the_latent_by_finite_differences(pipe):
    unet, objective = pipe.unet.double(), CentroidObjective()
    torch.manual_seed(1)
    latents, context = torch.randn(1, 4, 16, 16).double(), torch.randn(1, 77, 32).double()
    weights = token_weights([[[2], [5, 6]]], 77).double()

    def loss(z):
        maps = record_unet(unet, z, torch.tensor(601), context, weights)
        return objective(maps, [[RelationTarget(0, 1, "above")]], StepInfo(0, 4)).loss.sum()

    z = latents.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z), z)
    direction, e = torch.randn_like(z), 1e-4
    slope = (loss(latents + e * direction) - loss(latents - e * direction)) / (2 * e)
    assert torch.allclose((gradient * direction).sum(), slope, rtol=1e-4)


@pytest.mark.parametrize(
    "off",
    [
        {"objective": None},
        {"plan": replace(PLAN, strength=0.0)},
        {"prompt": "a dog and a cat"},
        {"prompt": "a dog next to a cat"},
        {"triplets": []},
    ],
)
def test_off_is_the_plain_pipeline_to_the_bit(pipe, off):
    prompt = off.pop("prompt", PROMPT)
    calls = Calls(pipe.unet)
    expected = plainly(pipe, [prompt])
    plain_calls, calls.count = calls.count, 0
    out = steered(pipe, prompt, **off)
    assert torch.equal(out.images, expected)
    assert calls.count == plain_calls == out.model_calls == 4
    assert out.trace.records == [] and out.latents.shape == (1, 4, 16, 16)


def test_relations_nobody_knows_are_still_reported(pipe):
    out = steered(pipe, "a dog next to a cat")
    assert [t.relation for t in out.triplets[0]] == [Relation.NEXT_TO] and out.trace.labels == [[]]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steering_that_never_moves_changes_nothing(pipe, name):
    """The scheduler's state is not disturbed by an evaluation, and our first latents are the pipeline's own."""
    use(pipe, name)
    expected = plainly(pipe)
    out = steered(pipe, plan=replace(PLAN, reached=1e-9))
    schedule = Schedule(pipe.scheduler, 4, "cpu")
    steered_turns = [turn for turn in schedule.steps if schedule.shares[turn] < 0.5]
    assert out.trace.evaluations == [len(steered_turns)] and out.trace.backwards == 0
    assert torch.equal(out.images, expected)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steering_raises_the_probability_and_is_reproducible(pipe, name):
    use(pipe, name)
    before = fingerprint(pipe.unet)
    out = steered(pipe, plan=replace(PLAN, evaluations_per_step=4))
    first, last = out.trace.records[0].probability, out.trace.records[-1].probability
    assert last > first
    assert not torch.equal(out.images, plainly(pipe))
    assert torch.equal(out.images, steered(pipe, plan=replace(PLAN, evaluations_per_step=4)).images)
    assert fingerprint(pipe.unet) == before


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_move_between_steps_reaches_the_sampler(pipe, name):
    """Push the latent by a constant before the second of eight steps: every sampler must end about as far
    away."""
    use(pipe, name)

    class Push:
        layers = ("down.0.0",)

        def check(self, targets):
            pass

        def __call__(self, maps, targets, step):
            reading = CentroidObjective()(maps, targets, step)
            return replace(reading, loss=reading.loss * 1e3)

    run = {"num_inference_steps": 8, "guidance_scale": 1.0}
    schedule = Schedule(pipe.scheduler, 8, "cpu")
    begins = schedule.shares[sorted(schedule.steps)[1]]
    plan = SteeringPlan(
        start=begins - 0.01,
        end=begins + 0.01,
        evaluations_per_step=1,
        step_rule="relative",
        step_size=0.2,
        reached=None,
    )
    out = steered(pipe, objective=Push(), plan=plan, **run)
    plain = steered(pipe, objective=None, **run)
    pushed, end = out.trace.records[0].move, float((out.latents - plain.latents).norm())
    size = float(plain.latents.norm()) / 32  # relative to unit noise of 4 x 16 x 16
    assert len(out.trace.records) == 1
    assert end > 0.2 * pushed * size, (end, pushed, size)


def test_scheduler_that_forgets_moves_is_refused(pipe):
    use(pipe, "SASolverScheduler")
    with pytest.raises(SteeringError, match="SASolver"):
        steered(pipe)
    use(pipe, "PNDMScheduler", skip_prk_steps=False)
    with pytest.raises(SteeringError, match="Runge"):
        steered(pipe)


@pytest.mark.parametrize(
    "name", ["DDIMScheduler", "EulerAncestralDiscreteScheduler", "UniPCMultistepScheduler"]
)
def test_batch_equals_each_alone(pipe, name):
    use(pipe, name)
    prompts = [PROMPT, "a cat and a dog", "a big cat to the left of a dog"]
    together = steered(pipe, prompts)
    assert together.trace.labels[1] == [] and together.trace.evaluations == [4, 0, 4]
    for i, prompt in enumerate(prompts):
        alone = steered(pipe, prompt, seed=3 + i)
        assert torch.allclose(together.images[i], alone.images[0], atol=1e-4)
    assert together.seeds == [3, 4, 5]
    assert torch.allclose(together.images[1], plainly(pipe, prompts[1:2], seed=4)[0], atol=1e-5)


def test_several_relations_share_objects(pipe):
    out = steered(pipe, "a dog above a cat to the left of a fox")
    assert len(out.trace.labels[0]) == 2
    assert {r.relation for r in out.trace.records} == {0, 1}


def test_counts_and_progress(pipe):
    seen = []
    calls = Calls(pipe.unet)
    out = steered(pipe, on_step=lambda info, latents: seen.append((info.step, info.total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert out.trace.forwards == out.trace.evaluations[0] == 4
    assert (
        calls.count == 4 and out.model_calls == 8
    )  # a pass that is stopped early never reaches a forward hook
    assert {r.step for r in out.trace.records} == {0, 1}


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["unet", "objective", "callback"])
def test_nothing_is_left_behind_after_an_exception(pipe, error, place):
    before, expected = fingerprint(pipe.unet), steered(pipe)
    settings = {}

    def fails(*arguments, **keywords):
        raise error

    handle = None
    if place == "unet":
        handle = pipe.unet.mid_block.resnets[0].register_forward_pre_hook(fails)
    elif place == "callback":
        settings["on_step"] = fails
    else:
        settings["objective"] = learned(pipe)
        settings["objective"].classifier.register_forward_pre_hook(fails)
    with pytest.raises(type(error)):
        steered(pipe, **settings)
    if handle is not None:
        handle.remove()
    assert fingerprint(pipe.unet) == before
    assert torch.equal(steered(pipe).images, expected.images)


def test_no_parameter_gathers_a_gradient(pipe):
    pipe.unet.requires_grad_(True)
    steered(pipe)
    assert all(p.requires_grad and p.grad is None for p in pipe.unet.parameters())


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_xl(xl_pipe, guidance):
    run = {"height": 32, "width": 48, "guidance_scale": guidance}
    expected = plainly(xl_pipe, **run)
    assert torch.equal(steered(xl_pipe, plan=replace(PLAN, reached=1e-9), **run).images, expected)
    out = steered(xl_pipe, **run)
    assert out.trace.records[-1].probability > out.trace.records[0].probability
    assert not torch.equal(out.images, expected)


def test_pipeline_arguments_pass_through(pipe):
    more = {"guidance_rescale": 0.5, "eta": 0.5, "negative_prompt": "a fox"}
    out = steered(pipe, plan=replace(PLAN, reached=1e-9), **more)
    assert torch.equal(out.images, plainly(pipe, **{**more, "negative_prompt": ["a fox"]}))


def test_manual_triplets(pipe):
    out = steered(pipe, "dog cat", triplets=[("cat", "left_of", "dog")])
    assert out.trace.labels == [["cat to the left of dog"]] and out.trace.records
    with pytest.raises(SteeringError, match="horse"):
        steered(pipe, "dog cat", triplets=[("horse", "left of", "dog")])
    with pytest.raises(SteeringError, match="behind"):
        steered(pipe, "dog cat", triplets=[("cat", "behind", "dog")])
    with pytest.raises(SteeringError, match="triplets"):
        steered(pipe, ["dog cat", "cat dog"], triplets=[[("cat", "above", "dog")]])


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"latents": torch.zeros(1)}, r"\(1, 4, 16, 16\)"),
        ({"seed": 1.5}, "seed"),
        ({"seed": "three"}, "seed"),
        ({"return_dict": False}, "return_dict"),
        ({"callback": print, "callback_steps": 1}, "callback_on_step_end"),
        ({"generator": torch.Generator(), "generators": [torch.Generator()], "seed": None}, "both"),
        ({"strenght": 2}, "strenght"),
        ({"height": 33}, "multiples of 2"),
        ({"prompt_embeds": torch.zeros(1, 154, 32)}, "77 tokens"),
        ({"negative_prompt": "x", "negative_prompt_embeds": torch.zeros(1, 77, 32)}, "both"),
        ({"seed": [1, 2]}, "seed"),
        ({"seed": 1, "generators": [torch.Generator()]}, "generator"),
        ({"negative_prompt": ["a", "b"]}, "negative"),
        ({"prompt": []}, "prompt"),
        ({"num_images_per_prompt": 1.5}, "num_images_per_prompt"),
        ({"num_images_per_prompt": -1}, "1 or more"),
    ],
)
def test_bad_input_is_refused(pipe, changes, match):
    with pytest.raises(SteeringError, match=match) as caught:
        steered(pipe, changes.pop("prompt", PROMPT), **changes)
    assert "\n" not in str(caught.value)


def test_objective_for_another_model_is_refused(pipe, xl_pipe):
    with pytest.raises(SteeringError, match="channels"):
        steered(pipe, objective=learned(xl_pipe))
    with pytest.raises(SteeringError, match="family sd1"):
        steered(pipe, objective=learned(pipe, family="flux"), family="sd1")
    with pytest.raises(SteeringError, match="up.9.0"):
        steered(pipe, objective=CentroidObjective(layers=("up.9.0",)))
    with pytest.raises(SteeringError, match="Pipeline"):
        generate(pipe.unet, PROMPT)
    mean = learned(pipe)
    mean = SymmetricRelationClassifier(mean.card, SymmetricConfig(mix="mean"))
    assert steered(xl_pipe, objective=LearnedObjective(mean)).trace.records


def test_a_plan_may_name_the_layers_that_are_read(pipe):
    first = attention_layers(pipe.unet)[0].name
    by_plan = steered(pipe, objective=CentroidObjective(), plan=replace(PLAN, layers=(first,)))
    by_objective = steered(pipe, objective=CentroidObjective(layers=(first,)))
    assert torch.equal(by_plan.latents, by_objective.latents)
    assert not torch.equal(by_plan.latents, steered(pipe, objective=CentroidObjective()).latents)
    with pytest.raises(SteeringError, match="channels"):
        steered(pipe, plan=replace(PLAN, layers=(first,)))


def test_schedule_knows_noise_levels_and_step_starts(pipe):
    ddim = Schedule(pipe.scheduler, 50, "cpu")
    assert ddim.total == 50 and ddim.steps == {i: i for i in range(50)}
    assert ddim.scales == [1.0] * 50 and ddim.sigmas == sorted(ddim.sigmas, reverse=True)
    use(pipe, "EulerDiscreteScheduler")
    euler = Schedule(pipe.scheduler, 50, "cpu")
    assert euler.sigmas == pytest.approx(ddim.sigmas, rel=1e-3)
    assert euler.scales[0] == pytest.approx((1 + euler.sigmas[0] ** 2) ** -0.5, rel=1e-4)
    assert pipe.scheduler.step_index is None
    use(pipe, "HeunDiscreteScheduler")
    assert Schedule(pipe.scheduler, 5, "cpu").steps == {0: 0, 2: 1, 4: 2, 6: 3, 8: 4}
    use(pipe, "PNDMScheduler")
    assert Schedule(pipe.scheduler, 5, "cpu").steps == {0: 0, 2: 1, 3: 2, 4: 3, 5: 4}


def test_no_plan_is_the_plan_fast(pipe):
    fast = steered(pipe, plan=SteeringPlan.preset("fast"))
    bare = steered(pipe, plan=None)
    assert torch.equal(bare.images, fast.images) and bare.trace.evaluations == fast.trace.evaluations
