"""Digests of a fixed set of pictures: what a change that must change no result is held against.

    python tests/digests.py > before.txt
    python tests/digests.py | diff before.txt -

Draws both EmojiWorlds plainly, with the plans "fast" and "paper" and with the hand-made centroid objective, one relation
and two, through the command line; and in ComfyUI, where COMFYUI_PATH names one and this interpreter can run it, the same
prompts through the nodes. Prints a line a picture: SHA-256 of the final latents and of the trace. Equal lines on one
machine mean equal results, to the bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

PROMPTS = ("a dog to the right of a teddy bear", "a car above a frog to the left of a pig")
MODELS = ("unet", "mmdit")
SEED = 11
WAYS = {
    "fast": (),
    "paper": ("--plan", "paper"),
    "centroid": ("--objective", "centroid"),
    "plain": ("--strength", "0"),
}


def digest(*parts: bytes) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all parts."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def from_command_line() -> None:
    """A line for each model, prompt and way to draw: the pictures, and the trace without its seconds."""
    from PIL import Image

    for model in MODELS:
        for prompt in PROMPTS:
            for way, options in WAYS.items():
                with tempfile.TemporaryDirectory() as folder:
                    out = Path(folder) / "out"
                    command = [sys.executable, "-m", "learn_to_steer", "generate", prompt, "--model", model]
                    command += ["--seed", str(SEED), "--steps", "12", "--out", str(out), *options]
                    subprocess.run(command, check=True, capture_output=True)
                    trace = json.loads((out / "trace.json").read_text())
                    pictures = [Image.open(out / f"{n}.png").tobytes() for n in ("plain", "steered")]
                numbers = json.dumps([trace["trace"], trace["model_calls"]], sort_keys=True).encode()
                print(
                    "command line", model, way, repr(prompt), digest(*pictures), digest(numbers), flush=True
                )


def from_python() -> None:
    """A line for each model: latents of a batch of two prompts with several seeds, in one call."""
    from learn_to_steer.classifiers import load_classifier
    from learn_to_steer.emojiworld import CLASSIFIERS, load_pipeline
    from learn_to_steer.hosts.diffusers import generate
    from learn_to_steer.objectives import LearnedObjective

    for model, name in zip(MODELS, ("emojiworld-symmetric", "emojiworld-mmdit-symmetric"), strict=True):
        objective = LearnedObjective(load_classifier(CLASSIFIERS / f"{name}.safetensors"))
        made = generate(
            load_pipeline(model=model), PROMPTS, objective=objective, seed=[3, 4], num_inference_steps=12,
            guidance_scale=6.0, family=objective.card.family, output_type="latent",
        )  # fmt: skip
        trace = json.dumps(made.trace.to_dict(), sort_keys=True).encode()
        print("python", model, digest(made.latents.numpy().tobytes()), digest(trace), flush=True)


def from_comfyui(host: str) -> None:
    """A line for each model, prompt and way to draw, through the nodes of the pack in a real ComfyUI."""
    os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"
    sys.path.insert(0, str(Path(__file__).parent / "comfyui"))
    os.environ["COMFYUI_PATH"] = host
    import conftest as host_tests

    call = host_tests.make_node(host_tests.load_pack())
    import nodes as host_nodes

    for model_name, classifier_name in zip(MODELS, ("symmetric", "mmdit-symmetric"), strict=True):
        model, clip, _ = call("LoadEmojiWorld", architecture=model_name)
        with torch.inference_mode():
            (negative,) = host_nodes.CLIPTextEncode().encode(clip, "")
        for prompt in PROMPTS:
            positive, relations, _ = call("RelationPrompt", clip=clip, text=prompt)
            for plan in ("fast", "paper"):
                (classifier, _) = call(
                    "LoadRelationClassifier", classifier_name=f"emojiworld-{classifier_name}.safetensors"
                )
                options = host_tests.options(call, plan=plan)
                latent, log = call(
                    "SteeringKSampler", model=model, seed=SEED, steps=12, cfg=6.0, sampler_name="euler",
                    scheduler="simple", positive=positive, negative=negative, latent_image=host_tests.latents(),
                    denoise=1.0, relations=relations, classifier=classifier, options=options,
                )  # fmt: skip
                trace: dict[str, Any] = log.latest.to_dict()
                print(
                    "comfyui", model_name, plan, repr(prompt), digest(latent["samples"].numpy().tobytes()),
                    digest(json.dumps(trace, sort_keys=True).encode()), flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    if path := os.environ.get("COMFYUI_PATH"):
        from_comfyui(path)
    else:
        from_command_line()
        from_python()
