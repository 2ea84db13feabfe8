"""How long a move has to be, at growing sizes of the picture, and what it does to the latent.

    python benchmarks/move_length.py [--pictures 24] [--sizes 128 256 384]

First table: both EmojiWorlds as shipped, the first step only. One evaluation gives the gradient, one move of a given
length is made along it, one more reading says whether the relation now has p >= 0.5. "free": the gradient as it is;
"rule": within the limits of the step rule "rms". Second table: networks of the classes of SDXL and Flux with random
weights, at the sizes of their latents: three moves at the first step by the rule "rms" and by "relative" 0.15, the rule
before it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxTransformer2DModel, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.emojiworld import GUIDANCE, STEPS, family_of, load_pipeline
from learn_to_steer.emojiworld.mmdit import EmojiWorldFluxPipeline
from learn_to_steer.emojiworld.prompts import one_relation
from learn_to_steer.hosts.diffusers import run_of, token_positions
from learn_to_steer.hosts.protocol import evaluator
from learn_to_steer.hosts.targets import batch_targets
from learn_to_steer.language import understood_triplets
from learn_to_steer.objectives import CentroidObjective, LearnedObjective, Objective, StepInfo
from learn_to_steer.steering import Evaluate, SteeringLoop, SteeringPlan, SteeringTrace
from learn_to_steer.steering.step_rules import move_of, norms

LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""In units of the latent's rms per element."""

SEED = 77

BATCH = 8


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 384])
    arguments = parser.parse_args()
    print(
        "| model | pixels | elements | right at first | move | "
        + " | ".join(f"{n:g}" for n in LENGTHS)
        + " |"
    )
    print("|---" * (5 + len(LENGTHS)) + "|")
    classifiers = {"unet": "emojiworld-symmetric", "mmdit": "emojiworld-mmdit-symmetric"}
    for model, name in classifiers.items():
        pipe, objective = (
            load_pipeline(model=model),
            LearnedObjective(load_classifier(shipped_classifier(name))),
        )
        for size in arguments.sizes:
            rows_of_size(pipe, model, objective, size, arguments.pictures)
    print(
        "\n| network | elements | rule | moves, rms | largest element, rms | spread before | after | of a channel |"
    )
    print("|---" * 8 + "|")
    for name, pipe, size in ((n, p, 1024) for n, p in random_pipelines().items()):
        for plan in (SteeringPlan(), SteeringPlan(step_rule="relative", step_size=0.15)):
            random_row(name, pipe, size, plan)


def first_step(
    pipe: Any, prompts: Sequence[str], seeds: Sequence[int], objective: Objective, size: int
) -> tuple[Tensor, Evaluate, Any, Any]:
    """(latents as the model is given them, evaluation, the branch, targets) at the first step of a run."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    run = run_of(
        pipe, prompts, STEPS, generators=generators, guidance_scale=GUIDANCE, height=size, width=size
    )
    understood = understood_triplets(list(prompts), None, False)
    wanted = batch_targets(
        understood, objective, lambda image, span: token_positions(run, image, span), run.text_length
    )
    schedule = run.schedule()
    branch = run.branch(run.encoded(), schedule, family_of(pipe))
    noise = run.first_noise(branch.dtype, branch.device)
    z = noise * schedule.init_noise_sigma * schedule.scales[0]
    info = StepInfo(0, schedule.total, schedule.sigmas[0])
    return z, evaluator(branch, objective, wanted.targets, wanted.weights, info), branch, wanted


def rows_of_size(pipe: Any, model: str, objective: Objective, size: int, pictures: int) -> None:
    """Print the rows of one model at one size: of all pictures, how many are read right after one move."""
    draws = one_relation("validation", pictures, seed=SEED)
    right: dict[str, list[int]] = {"free": [0] * len(LENGTHS), "rule": [0] * len(LENGTHS)}
    before = elements = 0
    for start in range(0, pictures, BATCH):
        some = draws[start : start + BATCH]
        z, evaluate, branch, _ = first_step(
            pipe, [d.prompt for d in some], [d.seed for d in some], objective, size
        )
        images, elements = range(len(some)), z[0].numel()
        with branch.evaluations():
            leaf = z.clone().requires_grad_()
            reading = evaluate(leaf, images)
            before += int((reading.probability >= 0.5).sum())
            (gradient,) = torch.autograd.grad(reading.loss.sum(), leaf)
            for n, length in enumerate(LENGTHS):
                for kind, moved in (
                    ("free", z + along(z, gradient, length)),
                    ("rule", z + move_of(z, gradient, SteeringPlan(step_size=length), torch.ones(len(some)))),
                ):
                    with torch.no_grad():
                        right[kind][n] += int((evaluate(moved, images).probability >= 0.5).sum())
    for kind, counts in right.items():
        shares = " | ".join(f"{count / pictures:.2f}" for count in counts)
        print(f"| {model} | {size} | {elements} | {before / pictures:.2f} | {kind} | {shares} |", flush=True)


def along(z: Tensor, gradient: Tensor, length: float) -> Tensor:
    """A move against the gradient by so many units of each image's rms."""
    shape = (-1,) + (1,) * (z.ndim - 1)
    unit = z.square().flatten(1).mean(1).sqrt()
    return -(length * unit / norms(gradient).clamp(min=1e-30)).view(shape) * gradient


def random_pipelines() -> dict[str, Any]:
    """Networks of SDXL's and Flux's layout, narrow and with random weights, behind EmojiWorld's text encoders."""
    torch.manual_seed(0)
    sd, flux = load_pipeline(), load_pipeline(model="mmdit")
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=128,
        attention_head_dim=2,
        norm_num_groups=8,
    ).eval()
    transformer = FluxTransformer2DModel(
        **{**flux.transformer.config, "in_channels": 64, "num_layers": 2, "num_single_layers": 1}
    ).eval()
    made = StableDiffusionPipeline(
        sd.vae, sd.text_encoder, sd.tokenizer, unet, sd.scheduler, None, None, requires_safety_checker=False
    )
    other = EmojiWorldFluxPipeline(
        flux.scheduler,
        flux.vae,
        flux.text_encoder,
        flux.tokenizer,
        flux.text_encoder_2,
        flux.tokenizer_2,
        transformer,
    )
    return {"UNet, 4 x 128 x 128": made, "Flux, 16 x 128 x 128": other}


def random_row(name: str, pipe: Any, size: int, plan: SteeringPlan) -> None:
    """Print what three moves at the first step do to a latent."""
    prompt = "a dog to the right of a teddy bear"
    z, evaluate, branch, wanted = first_step(pipe, [prompt], [SEED], CentroidObjective(), size)
    trace = SteeringTrace.of(wanted.targets, wanted.objects)
    with branch.evaluations():
        moved = SteeringLoop(plan, trace, (0,)).steer(z, evaluate, 0)
    lengths = ", ".join(f"{record.length:.1f}" for record in trace.records)
    made = [record for record in trace.records if record.move]
    largest, before, after = max(r.largest for r in made), made[0].spread_before, made[-1].spread_after
    rule = f"{plan.step_rule} {plan.step_size:g}"
    print(
        f"| {name} | {z.numel()} | {rule} | {lengths} | {largest:.2f} | {before:.3f} | {after:.3f} "
        f"| {channel_spread(z, moved):.3f} |",
        flush=True,
    )


def channel_spread(before: Tensor, after: Tensor) -> float:
    """The largest ratio of a channel's spread after to that before. (1, C, h, w) or (1, tokens, features)."""
    across = (2, 3) if before.ndim == 4 else (1,)
    return float((after.std(across) / before.std(across)).max())


if __name__ == "__main__":
    main()
