"""A worked Flux case through ComfyUI's own Flux class, under the conditions of a running host: weights made under
inference mode, its own attention and rotary kernels. Needs an interpreter that can import the host."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange, repeat
from safetensors.torch import load_file
from torch import Tensor

from learn_to_steer.attention import AttentionRecorder, MapStack, StopForward, token_weights
from learn_to_steer.errors import SteeringError

HOST = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI").expanduser()
if not (HOST / "comfy" / "samplers.py").is_file():
    raise SteeringError(f"Expected ComfyUI at {HOST}, found none; set COMFYUI_PATH.")
if str(HOST) not in sys.path:
    sys.path.insert(0, str(HOST))
_arguments, sys.argv = sys.argv, sys.argv[:1]  # the host reads them when it is imported

import comfy.cli_args  # noqa: E402

if not torch.cuda.is_available():
    comfy.cli_args.args.cpu = True

import comfy.ops  # noqa: E402
import comfy.patcher_extension  # noqa: E402
from comfy.ldm.flux.model import Flux  # noqa: E402

from learn_to_steer.emojiworld.comfyui.flux_weights import host_layout, host_weights  # noqa: E402
from learn_to_steer.hosts.comfyui.gradients.kernels import gradients  # noqa: E402
from learn_to_steer.hosts.comfyui.read.evaluation import located_layers, watching  # noqa: E402

sys.argv = _arguments

__all__ = ["gradients", "load", "reader"]


def load(folder: Path) -> Flux:
    """The host's network with the weights of a FluxTransformer2DModel folder, in their own type."""
    try:
        config = json.loads((folder / "config.json").read_text())
        tensors = {k: v for file in sorted(folder.glob("*.safetensors")) for k, v in load_file(file).items()}
    except (OSError, ValueError) as error:
        raise SteeringError(
            f"Expected a FluxTransformer2DModel in {folder}, but it cannot be loaded; copy it again."
        ) from error
    with torch.inference_mode():
        dtype = next(iter(tensors.values())).dtype
        network = Flux(
            **host_layout(config), dtype=dtype, device="cpu", operations=comfy.ops.disable_weight_init
        )
        network.load_state_dict(host_weights(tensors, network.state_dict().keys()))
    return network.eval()


def reader(folder: Path, case: dict[str, Tensor]) -> Callable[[Tensor], MapStack]:
    """Packed latents -> maps. Use it within `gradients`."""
    if missing := sorted({"pooled", "img_ids", "txt_ids"} - case.keys()):
        raise SteeringError(
            f"Expected the tensors {', '.join(missing)} in the case of {folder.name}, found none; use a whole case."
        )
    network = load(folder)
    height, width = (case["img_ids"][..., 1:].reshape(-1, 2).max(0).values + 1).int().tolist()
    ids = torch.zeros(height, width, 3)
    ids[..., 1] += torch.arange(height)[:, None]
    ids[..., 2] += torch.arange(width)
    if not torch.equal(ids.reshape(-1, 3), case["img_ids"].reshape(-1, 3).float()) or case["txt_ids"].any():
        raise SteeringError(
            "Expected image positions row by row and text positions of zero, which is all the host has, got others; use "
            "--host diffusers."
        )
    batch = case["latents"].shape[0]
    positions = [[case["obj1"].reshape(-1).tolist(), case["obj2"].reshape(-1).tolist()]] * batch
    weights = token_weights(positions, case["context"].shape[1])
    located = located_layers(network)

    def read(packed: Tensor) -> MapStack:
        latents = rearrange(
            packed,
            "b (h w) (c p q) -> b c (h p) (w q)",
            h=height,
            w=width,
            p=network.patch_size,
            q=network.patch_size,
        )
        recorder = AttentionRecorder(weights, [one.layer for one in located])
        options: dict = {"cond_or_uncond": [0]}
        comfy.patcher_extension.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "parity", watching(recorder, located), options
        )
        time = repeat(case["timestep"].reshape(-1).float()[:1], "1 -> b", b=batch)
        try:
            network(
                latents,
                time,
                case["context"],
                case["pooled"],
                case.get("guidance"),
                transformer_options=options,
            )
        except StopForward:
            pass
        return recorder.maps()

    return read
