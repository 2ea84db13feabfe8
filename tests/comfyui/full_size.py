"""One full-size step in the host, plain and steered: what is read, how long it takes, what memory it peaks at.

    python tests/comfyui/random_checkpoint.py sd15 FILE.safetensors
    python tests/comfyui/full_size.py FILE.safetensors ... [--size 256] [--steps 2]

Run with an interpreter that can import the host, COMFYUI_PATH set. Each case is a process of its own that loads the
checkpoint with the host's loader, encodes the prompt and samples; steered ones read every layer, or what "layers" says,
once at the first step, by centres of attention. Peaks are resident memory of the whole process, weights included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"
PLAN = {"end": 1.0, "budget": 1, "reached": 1.0}


def case(file: str, size: int, steps: int, layers: str | None) -> dict[str, object]:
    """One process's work. layers: None = plain, "" = all."""
    import conftest
    import torch

    node = conftest.node.__wrapped__(conftest.load_pack())
    import comfy.sd

    import nodes as host_nodes

    with torch.inference_mode():
        model, clip, _, *_ = comfy.sd.load_checkpoint_guess_config(file, output_vae=False, output_clip=True)
        positive, relations, _ = node("RelationPrompt", clip=clip, text=conftest.PROMPT)
        (negative,) = host_nodes.CLIPTextEncode().encode(clip, "")
        (classifier, _) = node("LoadRelationClassifier", classifier_name="none: compare centres of attention")
        latent = {"samples": torch.zeros(1, 4, size // 8, size // 8)}
        reading = import_module(f"{conftest.PACK}.learn_to_steer.hosts.comfyui.read.evaluation")
        located = reading.located_layers(model.model.diffusion_model)
        common = (0, steps, 6.0, "euler", "simple", positive, negative, latent, 1.0)
        began = time.perf_counter()
        found: dict[str, object] = {
            "channels": sum(one.layer.heads for one in located),
            "layers": len(located),
        }
        if layers is None:
            (result,) = host_nodes.KSampler().sample(model, *common)
        else:
            names = (
                "model", "seed", "steps", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image",
                "denoise",
            )  # fmt: skip
            options = conftest.options(node, **PLAN, layers=layers)
            result, log = node(
                "SteeringKSampler", **dict(zip(names, (model, *common), strict=True)), relations=relations,
                classifier=classifier, options=options,
            )  # fmt: skip
            found["evaluations"] = log.latest.evaluations[0]
            assert found["evaluations"] == 1
        found["seconds"] = time.perf_counter() - began
        assert result["samples"].isfinite().all()
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main() -> None:
    """Every case of every file in a process of its own; the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--up-to", action="append", default=[], help="a layer: read it alone, and stop there")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        layers = json.loads(arguments.case)
        print("\n" + json.dumps(case(arguments.files[0], arguments.size, arguments.steps, layers)))
        return
    print(f"{arguments.size} px, {arguments.steps} steps, cfg 6, euler; one evaluation at the first step.\n")
    print("| checkpoint | read | channels | seconds | against plain | peak MiB | against plain |")
    print("|---|---|---:|---:|---:|---:|---:|", flush=True)
    for file in arguments.files:
        plain: dict[str, float] = {}
        for layers in (None, "", *arguments.up_to):
            command = [sys.executable, __file__, file, "--size", str(arguments.size)]
            command += ["--steps", str(arguments.steps), "--case", json.dumps(layers)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            plain = plain or found
            print(
                f"| {Path(file).stem} | {'nothing (plain)' if layers is None else layers or 'all layers'} "
                f"| {found['channels']} in {found['layers']} layers "
                f"| {found['seconds']:.1f} | {found['seconds'] / plain['seconds']:.2f} "
                f"| {found['peak']:.0f} | {found['peak'] / plain['peak']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
