"""Peak memory of recording against the attention that the model does anyway.

    python benchmarks/recording_memory.py

4096 image rows x 512 text columns x 24 heads of width 128 (one Flux block at 1024 px). Each case runs in a process of
its own, and the peak is what the operating system saw of it, above the peak before the work began. An image x image
matrix of this size would take 24 x 4096 x 4096 x 4 bytes = 1.5 GiB.
"""

from __future__ import annotations

import multiprocessing
import resource

ROWS, COLUMNS, HEADS, WIDTH = 4096, 512, 24, 128


def measure(case: str, answer) -> None:
    """Run one case and put its peak, in MiB above the start, on the queue."""
    import torch
    import torch.nn.functional as F

    from learn_to_steer.attention import attention_maps, token_weights

    q, k, v = (
        torch.randn(1, HEADS, ROWS + COLUMNS, WIDTH, requires_grad=case.endswith("backward")) for _ in "qkv"
    )
    weights = token_weights([[[3], [9, 10]]], COLUMNS)
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    maps = out = None
    if case != "recording alone":
        out = F.scaled_dot_product_attention(q, k, v)
    if "recording" in case:
        maps = attention_maps(q[:, :, COLUMNS:], k[:, :, :COLUMNS], weights, WIDTH**-0.5)
    if case.endswith("backward"):
        total = out.square().mean() if out is not None else 0.0
        if maps is not None:
            total = total + maps.square().mean()
        total.backward()  # type: ignore[union-attr]
    answer.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before) / 1024)


def main() -> None:
    """Print the table."""
    print(f"{ROWS} image rows, {COLUMNS} text columns, {HEADS} heads x {WIDTH}, fp32")
    print("| case | peak above the inputs, MiB |\n|---|---|")
    context = multiprocessing.get_context("spawn")
    for case in (
        "plain forward",
        "recording alone",
        "plain + recording",
        "plain forward + backward",
        "plain + recording, forward + backward",
    ):
        queue = context.Queue()
        process = context.Process(target=measure, args=(case, queue))
        process.start()
        print(f"| {case} | {queue.get():.0f} |", flush=True)
        process.join()
    print(f"| (an image x image matrix) | {HEADS * ROWS * ROWS * 4 / 2**20:.0f} |")


if __name__ == "__main__":
    main()
