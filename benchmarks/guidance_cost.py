"""What attention guidance costs in ComfyUI on layers of full size, as ratios to the plain pass.

    COMFYUI_PATH=... python benchmarks/guidance_cost.py [--kernel pytorch] [--repeats 3] [--only "SD 1.5"] [--sizes 512
    1024]

With an interpreter that can import the host, on the CPU. Networks of the host's own classes at the widths of Stable
Diffusion 1.5, XL and Flux, of reduced depth and random weights; UNets are given a plain and a conditional row, Flux one
conditional row. Time: CPU seconds of a pass, the best of some, plain and guided in turn. Memory: the peak of the process
above that before the pass, each in a process of its own. "run": a run of 20 steps of which 12 are guided. A model of full
depth has the same share of guided layers, so time keeps its ratio; its weights come on top of both peaks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS, GUIDED = 20, 12

UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "use_spatial_transformer": True,
    "legacy": False,
}  # fmt: skip
SD1 = UNET | {
    "num_res_blocks": [1, 1, 1, 1], "channel_mult": [1, 2, 4, 4], "num_heads": 8, "context_dim": 768,
    "transformer_depth": [1, 1, 1, 0], "transformer_depth_middle": 1, "transformer_depth_output": [1, 1, 1, 1, 1, 1, 0, 0],
    "use_linear_in_transformer": False, "adm_in_channels": None,
}  # fmt: skip
SDXL = UNET | {
    "num_res_blocks": [1, 1, 1], "channel_mult": [1, 2, 4], "num_heads": -1, "num_head_channels": 64, "context_dim": 2048,
    "transformer_depth": [0, 1, 2], "transformer_depth_middle": 2, "transformer_depth_output": [0, 0, 1, 1, 2, 2],
    "use_linear_in_transformer": True, "num_classes": "sequential", "adm_in_channels": 2816,
}  # fmt: skip
FLUX = {
    "image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096,
    "hidden_size": 3072, "mlp_ratio": 4.0, "num_heads": 24, "depth": 1, "depth_single_blocks": 1, "theta": 10000,
    "axes_dim": [16, 56, 56], "patch_size": 2, "qkv_bias": True, "guidance_embed": False, "txt_ids_dims": [],
}  # fmt: skip
CASES: dict[str, tuple[dict[str, Any], int, str]] = {
    "SD 1.5": (SD1, 77, "sd1"),
    "SDXL": (SDXL, 77, "sdxl"),
    "Flux": (FLUX, 256, "flux"),
}


def host(kernel: str) -> None:
    """Make the host importable, on the CPU and one thread. kernel: which attention of the host is used."""
    sys.path[:0] = [os.environ.get("COMFYUI_PATH") or str(Path.home() / "comfy" / "ComfyUI")]
    sys.path.append(str(ROOT))
    sys.argv = sys.argv[:1]
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = True
    comfy.cli_args.args.use_pytorch_cross_attention = kernel == "pytorch"
    torch.set_num_threads(1)


def work(name: str, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The plain pass and the guided one of a network."""
    import comfy.ops
    import torch
    from comfy.ldm.flux.model import Flux
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    from learn_to_steer import guidance
    from learn_to_steer.hosts.comfyui.guide.hooks import Hooks, hung
    from learn_to_steer.hosts.comfyui.guide.layers import GuidedPass
    from learn_to_steer.hosts.comfyui.read.evaluation import located_layers
    from learn_to_steer.objectives import RelationTarget

    config, tokens, family = CASES[name]
    made = {"dtype": torch.float32, "device": "cpu", "operations": comfy.ops.disable_weight_init}
    network = (Flux if name == "Flux" else UNetModel)(**config, **made).eval()
    generator = torch.Generator().manual_seed(0)
    some = torch.randn(2**20 + 7, generator=generator)
    for weight in network.parameters():
        scale = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1
        flat = weight.view(-1)
        for part in flat.split(len(some)):
            torch.mul(some[: len(part)], scale, out=part)
    rows = 1 if name == "Flux" else 2
    x = torch.randn(rows, config["in_channels"], size // 8, size // 8, generator=generator)
    context = torch.randn(
        rows, tokens, config.get("context_dim") or config["context_in_dim"], generator=generator
    )
    y = (
        torch.randn(rows, {"Flux": 768, "SDXL": 2816}[name], generator=generator)
        if name != "SD 1.5"
        else None
    )
    targets = [RelationTarget(0, 1, "to the right of")]
    control = guidance.AttentionGuidance(
        guidance.GuidancePlan(),
        [targets],
        [guidance.solve_layout(2, targets)],
        guidance.token_columns([[[2], [7, 8]]], tokens),
        [0],
        4.0,
        background=0.3,
        width=0.3,
    )
    located = located_layers(network)
    names = guidance.guided_layers([one.layer for one in located])
    own = torch.zeros(1, 1, tokens)
    own[..., :10] = 1.0

    hooks = Hooks()

    def run(guided: bool) -> Any:
        options: dict[str, Any] = {"cond_or_uncond": [1, 0][-rows:]}
        with ExitStack() as stack:
            if guided:
                spread = guidance.ModelSpread(1, len(names))
                columns, last = control.guided_columns, slice(rows - 1, rows)
                passed = GuidedPass(control, spread, columns, own, names, last, rows, print)
                given = {"x": x, "context": context}
                stack.enter_context(hung(passed, hooks, located, network, given, options))
            return network(x, torch.full((rows,), 0.5), context=context, y=y, transformer_options=options)

    return lambda: run(False), lambda: run(True)


def peak(name: str, size: int, kernel: str, guided: bool) -> float:
    """The peak of one pass, in MiB above what there was before it."""
    host(kernel)
    import torch

    with torch.inference_mode():
        passes = work(name, size)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        passes[guided]()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def seconds(name: str, size: int, kernel: str, repeats: int) -> list[float]:
    """The CPU seconds of a plain and of a guided pass."""
    host(kernel)
    import torch

    best = [float("inf")] * 2
    with torch.inference_mode():
        passes = work(name, size)
        for one in passes:
            one()
        for _ in range(repeats):
            for i, one in enumerate(passes):
                began = time.process_time()
                one()
                best[i] = min(best[i], time.process_time() - began)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", default="pytorch", choices=["pytorch", "sub-quadratic"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", choices=["", *CASES])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")

    def asked(function: Any, *given: Any) -> Any:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            return process.submit(function, *given).result()

    print(f"fp32, one CPU thread, attention: {arguments.kernel}")
    print(
        "| network | size | plain, s | time of a guided pass | time of a run | peak plain, MiB | peak guided |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in CASES:
        for size in arguments.sizes if arguments.only in ("", name) else ():
            plain, guided = asked(seconds, name, size, arguments.kernel, arguments.repeats)
            peaks = [asked(peak, name, size, arguments.kernel, on) for on in (False, True)]
            run = 1 + (guided / plain - 1) * GUIDED / STEPS
            print(
                f"| {name} | {size} | {plain:.1f} | {guided / plain:.3f} | {run:.3f} | {peaks[0]:.0f} "
                f"| {peaks[1] / peaks[0]:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
