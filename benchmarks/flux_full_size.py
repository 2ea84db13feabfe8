"""What one steering evaluation costs on the full-size Flux layout: seconds, and peak memory against a plain call.

    python benchmarks/flux_full_size.py [--sizes 256,512,1024] [--device cuda --dtype bfloat16] [--double 19 --single 38]

Random weights of FLUX.1's layout (width 3072, 24 heads, 512 text tokens): time and memory do not depend on what is in
them. Where the machine has no room for 19 + 38 blocks, give fewer: the table then shows what was measured on these, and
below it what 19 + 38 come to by arithmetic, from the same measurements with half the double and half the single blocks.

Each case runs in a process of its own. Memory is the peak above nothing: weights, states, activations (on a CPU: the
process's resident memory, above that of a process that has only imported everything).

"plain": one call without a gradient. "all blocks": forward and backward of a reading of every block. "double blocks":
the same, ended after the last double block. "..., kept": without activation checkpointing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import queue
import resource
import time
from dataclasses import dataclass
from typing import Any

CASES = ("plain", "all blocks", "double blocks", "all blocks, kept", "double blocks, kept")
FULL = (19, 38)


@dataclass(frozen=True)
class Layout:
    """A Flux transformer to be measured."""

    double: int
    single: int
    heads: int
    head_width: int
    text: int
    device: str
    dtype: str


def measure(layout: Layout, pixels: int, case: str, repeats: int, answer: Any) -> None:
    """Put (seconds of a call after one that warms up, peak in MiB, channels) of one case on the queue."""
    import diffusers
    import torch
    from diffusers import FluxTransformer2DModel

    from learn_to_steer.attention import token_weights
    from learn_to_steer.hosts.diffusers.flux.transformer import flux_attention_layers, record_flux

    diffusers.utils.logging.set_verbosity_error()
    cuda, dtype = layout.device == "cuda", getattr(torch, layout.dtype)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with torch.device("meta"):
        model = FluxTransformer2DModel(
            num_layers=layout.double,
            num_single_layers=layout.single,
            num_attention_heads=layout.heads,
            attention_head_dim=layout.head_width,
            axes_dims_rope=_rope(layout.head_width),
            guidance_embeds=True,
        ).to(dtype)
    model = model.to_empty(device=layout.device).eval().requires_grad_(False)
    generator = torch.Generator(layout.device).manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, 0.02, generator=generator)
        else:
            parameter.fill_(1.0)
    side = pixels // 16
    places = torch.zeros(side * side, 3, device=layout.device)
    places[:, 1:] = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    ones = torch.ones(1, device=layout.device, dtype=dtype)
    given = {
        "pooled_projections": torch.zeros(1, 768, device=layout.device, dtype=dtype),
        "img_ids": places,
        "txt_ids": torch.zeros(layout.text, 3, device=layout.device),
        "guidance": 3.5 * ones,
    }
    latent = torch.randn(1, side * side, 64, device=layout.device, dtype=dtype, generator=generator)
    context = torch.randn(1, layout.text, 4096, device=layout.device, dtype=dtype, generator=generator)
    weights = token_weights([[[3], [9, 10]]], layout.text, layout.device)
    layers = flux_attention_layers(model)
    read = [layer.name for layer in layers if layer.stage == "double"] if "double" in case else None
    if "kept" not in case:
        model.enable_gradient_checkpointing()

    def call() -> None:
        if case == "plain":
            with torch.no_grad():
                model(latent, context, timestep=ones, return_dict=False, **given)
            return
        z = latent.clone().requires_grad_(True)
        maps = record_flux(model, z, ones, context, weights, side, side, read, **given)
        loss = sum((m * torch.linspace(0, 1, side, device=m.device)).mean() for m in maps.maps)
        (gradient,) = torch.autograd.grad(loss, z)  # type: ignore[arg-type]
        assert gradient.isfinite().all()

    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    peak = (
        torch.cuda.max_memory_allocated() / 2**20
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    )
    channels = sum(layer.heads for layer in layers if read is None or layer.name in read)
    answer.put((sorted(times)[len(times) // 2], peak, channels))


def _rope(width: int) -> tuple[int, int, int]:
    """FLUX.1's (16, 56, 56) for heads of 128, in proportion for others."""
    first = width // 8
    return first, (width - first) // 2, (width - first) // 2


def run(layout: Layout, pixels: int, case: str, repeats: int) -> tuple[float, float, int] | None:
    """One case in a process of its own; None where it did not come back, for lack of memory as a rule."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=measure, args=(layout, pixels, case, repeats, answer))
    process.start()
    process.join()
    try:
        return answer.get(timeout=1)
    except queue.Empty:
        return None


def full_size(layout: Layout, pixels: int, case: str, repeats: int, here: tuple[float, float]) -> list[float]:
    """Seconds and MiB of 19 + 38 blocks, linear in the blocks of each kind. Needs two of each."""
    totals = list(here)
    for kind, wanted in (("double", FULL[0]), ("single", FULL[1])):
        have = getattr(layout, kind)
        fewer = run(Layout(**{**vars(layout), kind: have // 2}), pixels, case, repeats)
        if fewer is None:
            return []
        for i in range(2):
            totals[i] += (wanted - have) * (here[i] - fewer[i]) / (have - have // 2)
    return totals


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="256,512,1024", help="picture sizes in pixels")
    parser.add_argument("--double", type=int, default=FULL[0])
    parser.add_argument("--single", type=int, default=FULL[1])
    parser.add_argument("--heads", type=int, default=24)
    parser.add_argument("--head-width", type=int, default=128)
    parser.add_argument("--text", type=int, default=512)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    # What a process frees goes back to the system at once, so that peaks show what is held.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**20))
    layout = Layout(
        given.double, given.single, given.heads, given.head_width, given.text, given.device, given.dtype
    )
    full = (layout.double, layout.single) == FULL
    print(
        f"{layout.double} + {layout.single} blocks, width {layout.heads * layout.head_width}, {layout.text} text tokens, "
        f"{layout.dtype} on {layout.device}"
    )
    print(
        "| pixels | case | channels | seconds | / plain | peak MiB | / plain |\n|---|---|---|---|---|---|---|"
    )
    arithmetic = []
    for pixels in (int(size) for size in given.sizes.split(",")):
        plain: tuple[float, float, int] | None = None
        plain_full: list[float] = []
        for case in CASES:
            found = run(layout, pixels, case, given.repeats)
            plain = found if case == "plain" else plain
            if found is None or plain is None:
                print(f"| {pixels} | {case} | | did not fit | | | |", flush=True)
                continue
            seconds, peak, channels = found
            print(
                f"| {pixels} | {case} | {channels} | {seconds:.3f} | {seconds / plain[0]:.2f} | {peak:.0f} | "
                f"{peak / plain[1]:.2f} |",
                flush=True,
            )
            if not full and min(layout.double, layout.single) > 1:
                totals = full_size(layout, pixels, case, given.repeats, (seconds, peak))
                plain_full = totals if case == "plain" else plain_full
                if totals and plain_full:
                    ratios = [t / p for t, p in zip(totals, plain_full, strict=True)]
                    arithmetic.append(
                        f"| {pixels} | {case} | {totals[0]:.2f} | {ratios[0]:.2f} | {totals[1]:.0f} | {ratios[1]:.2f} |"
                    )
    if arithmetic:
        print(f"\nBy arithmetic, {FULL[0]} + {FULL[1]} blocks of this width:")
        print("| pixels | case | seconds | / plain | peak MiB | / plain |\n|---|---|---|---|---|---|")
        print(*arithmetic, sep="\n")


if __name__ == "__main__":
    main()
