"""Where in the host's work a sampler runs: which execution of which graph, with what."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .log import SampledRun


def executing() -> tuple[str | None, str | None]:
    """The host's numbers of the execution and of the node at work; None where it does not say (outside of a graph, in a
    thread of a node's own, in a host that has this name no longer)."""
    try:
        from comfy_execution.utils import get_executing_context
    except ImportError:
        return None, None
    context = get_executing_context()
    return (None, None) if context is None else (str(context.prompt_id), str(context.node_id))


def record_of(guider: Any, noise: Tensor, sampler: Any, sigmas: Tensor, watched: bool) -> SampledRun:
    """The record of a run that begins. noise (B, ..., h, w), sigmas (n + 1,)."""
    prompt, node = executing()
    function = getattr(sampler, "sampler_function", sampler)
    name = (
        getattr(function, "__name__", type(function).__name__)
        .removeprefix("sample_")
        .removesuffix("_function")
    )
    latents = getattr(getattr(guider, "model_patcher", None), "model", None)
    wide = getattr(getattr(latents, "latent_format", None), "spacial_downscale_ratio", None)
    if wide is None and noise.shape[1] in (4, 16):
        wide = 8  # hosts that do not say it yet (0.8): all of their models of so many channels that can be steered
    levels = [float(s) for s in sigmas]
    return SampledRun(
        prompt, node, name, max(0, len(levels) - 1), (levels[0], levels[-1]) if levels else (0.0, 0.0), None,
        (int(noise.shape[-1]), int(noise.shape[-2])), wide, int(noise.shape[0]), watched,
    )  # fmt: skip
