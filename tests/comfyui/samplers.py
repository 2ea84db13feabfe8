"""Every sampler of the host on EmojiWorld, as a Markdown table: does steering reach it, and do pictures show the relation?

    python tests/comfyui/samplers.py [seeds] > docs/samplers.md

Run with an interpreter that can import the host, COMFYUI_PATH set. One prompt for each relation, of pairs of objects
that the classifier has not seen, each drawn plainly, steered (plan "fast"), with its attention guided (method "attention")
and by both, from the same seeds; or the sentence of refusal. The judge knows rendered scenes only
(`learn_to_steer/emojiworld/judge.py`).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 6
os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"

import conftest  # noqa: E402
import torch  # noqa: E402

STEPS = 20


def main() -> None:
    """Print the table."""
    import comfy.samplers
    import comfyui_version

    node = conftest.make_node(conftest.load_pack())
    world = conftest.world.__wrapped__(node)
    cases = _module("emojiworld.prompts").one_relation("test", 100, seed=SEEDS)
    prompts = {_relation(case.prompt): case.prompt for case in cases}  # the last of each relation
    worlds = [_prompted(node, world, prompt) for prompt in prompts.values()]
    drawn = SEEDS * len(worlds)
    print("# Samplers\n")
    print(
        f"ComfyUI {comfyui_version.__version__}, EmojiWorld, {drawn} pictures a sampler: {SEEDS} seeds each of "
        + ", ".join(f'"{prompt}"' for prompt in prompts.values())
        + f'; {STEPS} steps, scheduler simple, cfg 6, plan "fast". Made by `tests/comfyui/samplers.py`. "p" is the '
        "probability of the wanted relation that the classifier reads at the first and at the last evaluation, the mean "
        "over the pictures; the last four columns are how many of the finished pictures show the relation, by the judge: "
        'plain, by the methods "gradient", "attention" and "both".\n'
    )
    print("| sampler | evaluations | p first | p last | plain | gradient | attention | both |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for sampler in comfy.samplers.KSampler.SAMPLERS:
        try:
            found = [_drawn(node, world, sampler) for world in worlds]
        except ValueError as error:
            print(f"| {sampler} | refused: {error} | | | | | | |", flush=True)
            continue
        evaluations, first, last, *shares = (sum(column) / drawn for column in zip(*found, strict=True))
        shown = " | ".join(f"{share:.0%}" for share in shares)
        print(f"| {sampler} | {evaluations:.1f} | {first:.2f} | {last:.2f} | {shown} |", flush=True)


def _module(name: str) -> Any:
    return import_module(f"{conftest.PACK}.learn_to_steer.{name}")


def _relation(prompt: str) -> str:
    prompts = import_module(f"{conftest.PACK}.learn_to_steer.language")
    return prompts.parse_relations(prompt)[0].relation


def _prompted(node: Any, world: SimpleNamespace, prompt: str) -> SimpleNamespace:
    positive, relations, _ = node("RelationPrompt", clip=world.clip, text=prompt)
    return SimpleNamespace(**{**vars(world), "positive": positive, "relations": relations, "prompt": prompt})


def _drawn(node: Any, world: SimpleNamespace, sampler: str) -> tuple[float, ...]:
    """Sums over the seeds: evaluations, probability at the first and at the last one, and pictures with the relation:
    plain, by the gradient, by attention, by both."""
    latent = conftest.latents(SEEDS)
    plain = conftest.stock(world, sampler, latent=latent, steps=STEPS)
    result, log = conftest.steered(node, world, sampler, latent=latent, steps=STEPS, options=None)
    trace = log.latest
    first, last = (sum(trace.image(i)[n].probability for i in range(SEEDS)) for n in (0, -1))
    finished = [plain, result]
    for method in ("attention", "both"):
        (options,) = node("SteeringOptions", plan="fast", strength=1.0, method=method)
        finished.append(
            conftest.steered(node, world, sampler, latent=latent, steps=STEPS, options=options)[0]
        )
    return sum(trace.evaluations), first, last, *(_with_relation(world, samples) for samples in finished)


def _with_relation(world: SimpleNamespace, samples: torch.Tensor) -> int:
    """How many finished latents decode to pictures in which the relation holds."""
    detector = _module("emojiworld.judge").EmojiWorldDetector(_module("emojiworld").WEIGHTS)
    pixels = (world.vae.decode(samples).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    evaluation = _module("evaluation.run")
    draw = evaluation.Draw(world.prompt, 0)
    return sum(evaluation.judged(draw, found)["relations"][0]["holds"] for found in detector.detect(pixels))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
