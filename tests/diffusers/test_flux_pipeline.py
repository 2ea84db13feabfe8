"""Steering a whole FluxPipeline: tiny, random, real."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch

from learn_to_steer.attention import token_weights
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import attention_layers, generate, model_family, run_of, token_positions
from learn_to_steer.hosts.diffusers.flux.transformer import record_flux
from learn_to_steer.objectives import CentroidObjective, RelationTarget, StepInfo
from learn_to_steer.steering import SteeringPlan

from .made import fingerprint, learned, plain_images

PROMPT = "a dog above a cat"
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, step_rule="relative", step_size=0.1, reached=None)
RUN = {"num_inference_steps": 4, "height": 32, "width": 48, "output_type": "pt", "max_sequence_length": 24}


def steered(pipe, prompt=PROMPT, **changes):
    return generate(pipe, prompt, **{"objective": learned(pipe), "plan": PLAN, "seed": 3, **RUN, **changes})


def plainly(pipe, prompt=(PROMPT,), seed=3, **changes):
    return plain_images(pipe, prompt, seed, **{**RUN, **changes})


class Calls:
    def __init__(self, module):
        self.count = 0
        module.register_forward_pre_hook(self)

    def __call__(self, *arguments):
        self.count += 1


def test_layers_family_and_text(flux_pipe):
    names = ["double.0", "double.1", "single.0", "single.1"]
    assert [layer.name for layer in attention_layers(flux_pipe.transformer)] == names
    assert model_family(flux_pipe.transformer) == "custom"
    run = run_of(flux_pipe, ["a dog above a fire hydrant"], 4)
    assert token_positions(run, 0, (2, 5)) == [1]  # T5 has no begin token
    hydrant = token_positions(run, 0, (14, 26))
    pieces = flux_pipe.tokenizer_2("a dog above a fire hydrant").input_ids
    assert (
        flux_pipe.tokenizer_2.decode([pieces[i] for i in hydrant]).strip() == "fire hydrant"
        and len(hydrant) > 2
    )
    assert (
        run.text_length == 512
        and run_of(flux_pipe, [PROMPT], 4, **{"max_sequence_length": 24}).text_length == 24
    )


def test_the_layout_of_flux_has_its_own_family():
    with torch.device("meta"):
        full = diffusers.FluxTransformer2DModel(guidance_embeds=True)
    layers = attention_layers(full)
    assert model_family(full) == "flux" and sum(layer.heads for layer in layers) == 1368
    assert [x.name for x in layers[:2] + layers[18:20] + layers[-1:]] == [
        "double.0", "double.1", "double.18", "single.0", "single.37",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["flux_pipe", "dev_pipe"])
def test_the_schedule_is_the_pipelines_own(request, kind):
    pipe = request.getfixturevalue(kind)
    plainly(pipe)
    used = pipe.scheduler.sigmas
    schedule = run_of(pipe, [PROMPT], 4, height=32, width=48).schedule()
    assert schedule.sigmas == pytest.approx(used[:-1].tolist())
    assert torch.equal(schedule.timesteps, pipe.scheduler.timesteps)
    assert schedule.scales == [1.0] * 4 and schedule.init_noise_sigma == 1.0
    assert schedule.sigmas[0] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["flux_pipe", "dev_pipe"])
@pytest.mark.parametrize(
    "off",
    [
        {"objective": None},
        {"plan": replace(PLAN, strength=0.0)},
        {"prompt": "a dog and a cat"},
        {"triplets": []},
        {"objective": None, "negative_prompt": "a fox", "true_cfg_scale": 2.0},
    ],
)
def test_off_is_the_plain_pipeline_to_the_bit(request, kind, off):
    pipe, off = request.getfixturevalue(kind), dict(off)
    prompt, calls = off.pop("prompt", PROMPT), Calls(pipe.transformer)
    more = {k: off[k] for k in ("true_cfg_scale",) if k in off}
    if "negative_prompt" in off:
        more["negative_prompt"] = [off["negative_prompt"]]
    expected = plainly(pipe, [prompt], **more)
    plain_calls, calls.count = calls.count, 0
    out = steered(pipe, prompt, **off)
    assert torch.equal(out.images, expected)
    assert calls.count == plain_calls == out.model_calls == (8 if more else 4)
    assert out.trace.records == [] and out.latents.shape == (1, 4, 16, 24)


@pytest.mark.parametrize("kind", ["flux_pipe", "dev_pipe"])
@pytest.mark.parametrize("cfg", [{}, {"negative_prompt": "a fox", "true_cfg_scale": 3.0}])
def test_steering_that_never_moves_changes_nothing(request, kind, cfg):
    """Our first latents and text states are the pipeline's own, with and without a negative branch."""
    pipe = request.getfixturevalue(kind)
    given = {**cfg, "negative_prompt": [cfg["negative_prompt"]]} if cfg else {}
    out = steered(pipe, plan=replace(PLAN, reached=1e-9), **cfg)
    assert out.trace.evaluations == [2] and out.trace.backwards == 0
    assert torch.equal(out.images, plainly(pipe, **given))


@pytest.mark.parametrize("kind", ["flux_pipe", "dev_pipe"])
def test_steering_raises_the_probability_and_is_reproducible(request, kind):
    pipe = request.getfixturevalue(kind)
    before, plan = fingerprint(pipe.transformer), replace(PLAN, evaluations_per_step=4)
    out = steered(pipe, plan=plan)
    assert out.trace.records[-1].probability > out.trace.records[0].probability
    assert not torch.equal(out.images, plainly(pipe))
    assert torch.equal(out.images, steered(pipe, plan=plan).images)
    assert fingerprint(pipe.transformer) == before
    assert all(p.grad is None for p in pipe.transformer.parameters())


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_any_number_of_steps(flux_pipe, steps):
    out = steered(flux_pipe, num_inference_steps=steps, plan=SteeringPlan(reached=None, end=0.04))
    assert {r.step for r in out.trace.records} == set(range(max(1, steps // 25)))
    assert out.trace.records[0].move > 0


@pytest.mark.parametrize("size", [(16, 16), (40, 24), (32, 64)])
def test_any_size(flux_pipe, size):
    out = steered(flux_pipe, height=size[0], width=size[1])
    assert out.latents.shape == (1, 4, size[0] // 2, size[1] // 2) and out.trace.records[0].move > 0


@pytest.mark.parametrize("kind", ["flux_pipe", "dev_pipe"])
def test_batch_equals_each_alone(request, kind):
    pipe = request.getfixturevalue(kind)
    prompts = [PROMPT, "a cat and a dog", "a cat to the left of a dog"]
    together = steered(pipe, prompts)
    assert together.trace.labels[1] == [] and together.trace.evaluations == [4, 0, 4]
    for i, prompt in enumerate(prompts):
        alone = steered(pipe, prompt, seed=3 + i)
        assert torch.allclose(together.images[i], alone.images[0], atol=1e-4)
    assert torch.allclose(together.images[1], plainly(pipe, prompts[1:2], seed=4)[0], atol=1e-5)


def test_the_embedded_guidance_reaches_the_evaluation(dev_pipe):
    """The maps steering reads are those the pipeline's own call of the transformer has."""
    seen = []

    def take(module, args, output):
        seen.append(output.detach())

    handle = dev_pipe.transformer.transformer_blocks[1].attn.norm_q.register_forward_hook(take)
    for guidance in (1.5, 6.0):
        steered(
            dev_pipe,
            plan=replace(PLAN, reached=1e-9, evaluations_per_step=1, end=0.25),
            guidance_scale=guidance,
        )
    handle.remove()
    # An evaluation, then four calls, twice.
    evaluations, calls = [seen[0], seen[5]], [seen[1], seen[6]]
    for evaluation, call in zip(evaluations, calls, strict=True):
        assert torch.allclose(evaluation, call, atol=1e-5)
    assert not torch.allclose(*evaluations, atol=1e-5)


def test_the_pass_ends_after_the_last_block_that_is_read(flux_pipe):
    late = Calls(flux_pipe.transformer.transformer_blocks[1].ff)
    objective = CentroidObjective(layers=("double.1",))
    out = steered(flux_pipe, objective=objective)
    assert out.trace.forwards == 4 and late.count == 4  # the pipeline's own four calls only


def test_gradient_of_the_latent_by_finite_differences(flux_pipe):
    transformer, objective = flux_pipe.transformer.double(), CentroidObjective()
    torch.manual_seed(1)
    latents, context = torch.randn(1, 24, 16).double(), torch.randn(1, 9, 12).double()
    ids = torch.zeros(24, 3)
    ids[:, 1:] = torch.cartesian_prod(torch.arange(4), torch.arange(6))

    def loss(z):
        maps = record_flux(
            transformer, z, torch.ones(1).double(), context, token_weights([[[2], [5, 6]]], 9).double(), 4, 6,
            pooled_projections=torch.ones(1, 32).double(), img_ids=ids, txt_ids=torch.zeros(9, 3),
        )  # fmt: skip
        return objective(maps, [[RelationTarget(0, 1, "above")]], StepInfo(0, 4)).loss.sum()

    z = latents.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(z), z)
    # Parts of the transformer compute in float32 whatever its weights: a smaller step is lost in their rounding.
    direction, e = torch.randn_like(z), 1e-3
    slope = (loss(latents + e * direction) - loss(latents - e * direction)) / (2 * e)
    assert torch.allclose((gradient * direction).sum(), slope, rtol=1e-3)


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 1.0}


@pytest.mark.parametrize(
    "name, settings",
    [
        ("FlowMatchEulerDiscreteScheduler", {}),
        ("UniPCMultistepScheduler", FLOW),
        (
            "DPMSolverMultistepScheduler",
            {**FLOW, "use_dynamic_shifting": True, "time_shift_type": "exponential"},
        ),
    ],
)
def test_a_move_between_steps_reaches_the_sampler(flux_pipe, name, settings):
    try:
        flux_pipe.scheduler = getattr(diffusers, name)(**settings)
        plainly(flux_pipe)
    except (TypeError, ValueError):
        pytest.skip("this diffusers cannot draw with it")
    plan = SteeringPlan(
        start=0.25, end=0.5, evaluations_per_step=1, step_rule="relative", step_size=0.2, reached=None
    )
    out = steered(flux_pipe, plan=plan)
    plain = steered(flux_pipe, objective=None)
    pushed, end = out.trace.records[0].move, float((out.latents - plain.latents).norm())
    assert [r.step for r in out.trace.records] == [1] and end > 0.5 * pushed
    schedule = run_of(flux_pipe, [PROMPT], 4, height=32, width=48).schedule()
    assert schedule.sigmas[0] <= 1.0 and schedule.sigmas == sorted(schedule.sigmas, reverse=True)


def test_steps_are_told_by_sigma(flux_pipe):
    seen = []

    class Watching(CentroidObjective):
        def __call__(self, maps, targets, step):
            seen.append((step.step, step.total, step.sigma))
            return super().__call__(maps, targets, step)

    steered(flux_pipe, objective=Watching(), plan=replace(PLAN, evaluations_per_step=1))
    assert seen == [(0, 4, pytest.approx(1.0)), (1, 4, pytest.approx(0.75))]
    seen.clear()
    steered(
        flux_pipe,
        objective=Watching(),
        plan=replace(PLAN, evaluations_per_step=1),
        sigmas=list(np.linspace(0.9, 0.3, 4)),
    )
    assert [s for _, _, s in seen] == pytest.approx([0.9, 0.7])


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_nothing_is_left_behind_after_an_exception(flux_pipe, error):
    before, expected = fingerprint(flux_pipe.transformer), steered(flux_pipe)

    def fails(*arguments):
        raise error

    handle = flux_pipe.transformer.single_transformer_blocks[0].register_forward_pre_hook(fails)
    with pytest.raises(type(error)):
        steered(flux_pipe)
    handle.remove()
    assert fingerprint(flux_pipe.transformer) == before
    assert torch.equal(steered(flux_pipe).images, expected.images)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"prompt_embeds": torch.zeros(1, 24, 12)}, "pooled_prompt_embeds"),
        ({"latents": torch.zeros(1, 4, 16, 24)}, "shape"),
        ({"prompt_2": "a cat"}, "prompt_2"),
        ({"objective": CentroidObjective(layers=("up.0.0",))}, "up.0.0"),
        ({"negative_prompt": ["a", "b"]}, "negative"),
    ],
)
def test_bad_input_is_refused(flux_pipe, changes, match):
    with pytest.raises(SteeringError, match=match) as caught:
        steered(flux_pipe, changes.pop("prompt", PROMPT), **changes)
    assert "\n" not in str(caught.value)


def test_a_classifier_for_another_model_is_refused(flux_pipe):
    with pytest.raises(SteeringError, match="channels"):
        steered(flux_pipe, objective=learned(flux_pipe, channels=1368))
    with pytest.raises(SteeringError, match="family"):
        steered(flux_pipe, objective=learned(flux_pipe, family="sd1"), family="flux")
