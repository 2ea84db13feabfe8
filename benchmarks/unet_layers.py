"""What one steering evaluation costs on a full-size UNet, per set of layers that the classifier reads.

    python benchmarks/unet_layers.py [--size 256] [--repeats 3]

An SD 1.5-sized UNet with random weights: the time of forward (recording, ended early) + backward to the latent, against
one plain conditional forward in the same run. Ratios only; the weights do not matter to them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel

from learn_to_steer.attention import token_weights
from learn_to_steer.hosts.diffusers import attention_layers, record_unet


def sd15_unet() -> UNet2DConditionModel:
    """The layout of Stable Diffusion 1.5: 320/640/1280/1280 channels, 8 heads, text width 768."""
    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=768,
        attention_head_dim=8,
    )


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """The median wall time of ``repeats`` calls after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="picture size in pixels")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    unet = sd15_unet().eval().requires_grad_(False)
    layers = attention_layers(unet)
    latent = torch.randn(1, 4, arguments.size // 8, arguments.size // 8)
    context = torch.randn(1, 77, 768)
    weights = token_weights([[[2], [6]]], 77)
    names = [layer.name for layer in layers]
    print(
        f"{len(names)} cross-attention layers, {sum(layer.heads for layer in layers)} channels; {arguments.size} px"
    )

    def plain() -> None:
        with torch.no_grad():
            unet(latent, 500, context)

    def evaluation(read: list[str]) -> Callable[[], None]:
        def work() -> None:
            z = latent.clone().requires_grad_(True)
            maps = record_unet(unet, z, 500, context, weights, read)
            loss = torch.stack([m.square().mean() for m in maps.maps]).sum()
            torch.autograd.grad(loss, z)

        return work

    forward = median_seconds(plain, arguments.repeats)
    down = [n for n in names if n.startswith("down")]
    mid = [n for n in names if n.startswith("mid")]
    up = [n for n in names if n.startswith("up")]
    sets = {
        "all": names,
        "up to the last up.2": down + mid + [n for n in up if n < "up.3"],
        "up to the last up.1 (16 x 16 at 512 px)": down + mid + [n for n in up if n < "up.2"],
        "down and mid": down + mid,
        "first four layers": names[:4],
    }
    print("| layers read | channels | forward + backward / forward |\n|---|---|---|")
    for label, read in sets.items():
        channels = sum(layer.heads for layer in layers if layer.name in read)
        ratio = median_seconds(evaluation(read), arguments.repeats) / forward
        print(f"| {label} | {channels} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
