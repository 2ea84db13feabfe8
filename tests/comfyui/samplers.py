"""Every sampler of the host on EmojiWorld, as a Markdown table: does steering reach it?

    python tests/comfyui/samplers.py [seeds] > docs/samplers.md

Run with an interpreter that can import the host, COMFYUI_PATH set. For each sampler: the mean probability of the wanted
relation at the first and at the last look of a run (plan "fast"), or the sentence of refusal.
"""

from __future__ import annotations

import os
import sys

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 8
os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"

import conftest  # noqa: E402
import torch  # noqa: E402


def main() -> None:
    """Print the table."""
    import comfy.samplers
    import comfyui_version

    node = conftest.node.__wrapped__(conftest.load_pack())
    world = conftest.world.__wrapped__(node)
    steps = 20
    print("# Samplers\n")
    print(
        f'ComfyUI {comfyui_version.__version__}, EmojiWorld, {SEEDS} pictures of "{conftest.PROMPT}", {steps} steps, '
        'scheduler simple, cfg 6, plan "fast". Made by `tests/comfyui/samplers.py`. "p" is the probability of the wanted '
        "relation that the classifier reads, the mean over the pictures: at the first and at the last look while "
        "steering, and in the finished pictures (brought back to the same noise) with and without steering.\n"
    )
    print("| sampler | looks | p first | p last | p finished, steered | p finished, plain | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for sampler in comfy.samplers.KSampler.SAMPLERS:
        try:
            latent = conftest.latents(SEEDS)
            plain = conftest.stock(world, sampler, latent=latent, steps=steps)
            result, log = conftest.steered(node, world, sampler, latent=latent, steps=steps, options=None)
        except ValueError as error:
            print(f"| {sampler} | | | | | | refused: {error} |", flush=True)
            continue
        trace = log.latest
        first = sum(trace.image(i)[0].probability for i in range(SEEDS)) / SEEDS
        last = sum(trace.image(i)[-1].probability for i in range(SEEDS)) / SEEDS
        looks = sum(trace.evaluations) / SEEDS
        ends = [_finished(node, world, samples) for samples in (result, plain)]
        said = "steers" if result.isfinite().all() and ends[0] > ends[1] else "does not help here"
        print(
            f"| {sampler} | {looks:.1f} | {first:.2f} | {last:.2f} | {ends[0]:.2f} | {ends[1]:.2f} | {said} |",
            flush=True,
        )


def _finished(node, world, samples) -> float:
    """Mean probability of the relation in finished latents."""
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations,
        latent={"samples": samples}, noise_level=0.6, seed=0,
    )  # fmt: skip
    _, said = node("ClassifyRelation", attention=attention, classifier=world.classifier)
    values = [float(line.rsplit(" ", 1)[1]) for line in said.splitlines()]
    return sum(values) / len(values)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
