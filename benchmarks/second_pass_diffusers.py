"""As `second_pass.py`, through diffusers: a finished latent is given noise again and sampled from there.

    python benchmarks/second_pass_diffusers.py [--model unet mmdit] [--pictures 24] [--only 1.5x]
        [--method both]

Pipelines that draw from text take a second pass by their own arguments: the levels still to come (`timesteps`,
`sigmas`) and the noised latent (`latents`). The prompts, seeds and levels are those of `second_pass.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler
from torch import Tensor

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS, load_pipeline
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import one_relation
from learn_to_steer.evaluation.run import Draw, judged
from learn_to_steer.guidance import METHODS
from learn_to_steer.hosts.diffusers import SteeredOutput, generate
from learn_to_steer.objectives import LearnedObjective

SEED = 77

BATCH = 8

DENOISE = (1.0, 0.85, 0.7, 0.6, 0.5, 0.3, 0.15)

HIRES, HIRES_DENOISE = 1.5, 0.5

PASSES = (*(f"{level:g}" for level in DENOISE), f"{HIRES:g}x")
"""The rows, as --only names them."""

CLASSIFIERS = {"unet": "emojiworld-symmetric", "mmdit": "emojiworld-mmdit-symmetric"}


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=tuple(CLASSIFIERS), default=list(CLASSIFIERS))
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=PASSES, default=list(PASSES), help="these rows, not all")
    parser.add_argument("--method", choices=METHODS, default="gradient", help="of the second pass")
    arguments = parser.parse_args()
    draws, detector = one_relation("test", arguments.pictures, seed=SEED), EmojiWorldDetector(WEIGHTS)
    for model in arguments.model:
        pipe = load_pipeline(model=model)
        if model == "unet":
            pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
        objective = LearnedObjective(load_classifier(shipped_classifier(CLASSIFIERS[model])))
        gradient = {"objective": objective}
        how = {"method": arguments.method} | (gradient if arguments.method != "attention" else {})
        firsts = [first for first, _ in _batches(pipe, draws, None, 1.0, gradient)]
        print(f"\n{model}: {len(draws)} steered first pictures\n")
        print(
            "| second pass | exactly its objects, plain | steered | relation holds, plain | steered | evaluations "
            "| same latents | why it was left plain |\n|---|---:|---:|---:|---:|---:|---:|---|"
        )
        latents = torch.cat([first.latents for first in firsts])
        large = torch.nn.functional.interpolate(latents, scale_factor=HIRES, mode="bilinear")
        passes = [(f"denoise {level:g}", latents, level) for level in DENOISE]
        passes.append((f"{HIRES:g}x, denoise {HIRES_DENOISE:g}", large, HIRES_DENOISE))
        for key, (name, begin, level) in zip(PASSES, passes, strict=True):
            if key in arguments.only:
                row(pipe, draws, detector, name, begin, level, how)


def row(
    pipe: Any,
    draws: Sequence[Draw],
    detector: Any,
    name: str,
    begin: Tensor,
    level: float,
    how: dict[str, Any],
) -> None:
    """Print one row: all pictures through one second pass, plain and steered. how: arguments of the latter."""
    exact, holds, evaluations, notes, same = [0, 0], [0, 0], 0, set[str](), 0
    ways = [list(_batches(pipe, draws, begin, level, way)) for way in ({}, how)]
    for (plain, some), (steered, _) in zip(*ways, strict=True):
        evaluations += sum(steered.trace.evaluations)
        notes.update(steered.trace.notes)
        same += sum(map(torch.equal, plain.latents, steered.latents))
        for way, out in enumerate((plain, steered)):
            for draw, found in zip(some, detector.detect(_small(out.images)), strict=True):
                line = judged(draw, found)
                exact[way] += line["objects"] == dict.fromkeys(draw.names, 1)
                holds[way] += line["relations"][0]["holds"]
    print(
        f"| {name} | {exact[0]} | {exact[1]} | {holds[0]} | {holds[1]} | {evaluations / len(draws):.1f} | {same} "
        f"| {' '.join(sorted(notes))} |",
        flush=True,
    )


def _batches(
    pipe: Any, draws: Sequence[Draw], begin: Tensor | None, level: float, how: dict[str, Any]
) -> list[tuple[SteeredOutput, Sequence[Draw]]]:
    """Each batch of pictures through a first pass (begin: None) or a second one. how: further arguments of `generate`."""
    made = []
    for start in range(0, len(draws), BATCH):
        some = draws[start : start + BATCH]
        more = dict(how)
        if begin is not None:
            more |= second_pass(pipe, begin[start : start + BATCH], level, [d.seed + 1000 for d in some])
        out = generate(
            pipe, [d.prompt for d in some], seed=[d.seed for d in some],
            num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="np", **more,
        )  # fmt: skip
        made.append((out, some))
    return made


def second_pass(pipe: Any, latents: Tensor, denoise: float, seeds: Sequence[int]) -> dict[str, Any]:
    """The arguments of a pass over finished latents (B, channels, h, w): the last 20 of 20 / denoise steps."""
    whole = int(STEPS / denoise)
    begun = [x / whole for x in range(whole - STEPS, whole)]
    noise = torch.stack(
        [torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    factor = pipe.vae_scale_factor
    size = {"height": latents.shape[2] * factor, "width": latents.shape[3] * factor}
    if hasattr(pipe, "transformer"):
        sigmas = [1 - share for share in begun]
        noised = (1 - sigmas[0]) * latents + sigmas[0] * noise
        return {"sigmas": sigmas, "latents": pipe._pack_latents(noised, *noised.shape), **size}
    timesteps = [999 - int(1000 * share + 1e-9) for share in begun]
    kept = pipe.scheduler.alphas_cumprod[timesteps[0]]
    sigma = ((1 - kept) / kept) ** 0.5
    return {
        "timesteps": timesteps,
        "latents": (latents + sigma * noise) / sigma,
        **size,
    }  # Euler's unit of noise


def _small(images: np.ndarray) -> np.ndarray:
    """Pictures (B, h, w, 3) in [0, 1] -> uint8 of 128 x 128, as the judge knows them."""
    pixels = torch.from_numpy(images).movedim(-1, 1)
    if pixels.shape[-1] != 128:
        pixels = torch.nn.functional.interpolate(pixels, size=(128, 128), mode="bicubic", antialias=True)
    return (pixels.clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1).numpy()


if __name__ == "__main__":
    main()
