"""Which of a sampler's calls of the model begin a step?

Samplers call the model once or several times a step, at the schedule's noise levels or between them, and only the
latent of a step's first call is the one they go on with. Nothing in a call says which it is. So the sampler is rehearsed
before it starts: with a made-up model, on a latent of four numbers. It reports each step by its callback right after
that step's first call, so the calls before a callback are those that begin a step, and the real run repeats the order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ADAPTIVE = ("dpm_adaptive_function", "sample_dpm_adaptive")
"""Samplers that choose their steps by what the model says, so that a rehearsal tells nothing. They report a step at its
end: their first call and each first one after a report begin a step."""

DEFERRED = ("sample_unipc", "sample_unipc_bh2")
"""Samplers that hand over a passing copy of their latent and compute it anew afterwards."""


class _MadeUpModel:
    """Everything of the sampler's model except its answer: the best guess where pictures are white noise."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.calls: list[float] = []
        self.begins: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, x: Tensor, sigma: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self.calls.append(float(sigma.max()))
        denoised = x / (1 + float(sigma.max()) ** 2)
        options = kwargs.get("model_options") or {}
        for function in options.get(
            "sampler_post_cfg_function", ()
        ):  # samplers ask for the negative this way
            denoised = function({
                "denoised": denoised, "cond_denoised": denoised, "uncond_denoised": denoised, "input": x, "sigma": sigma,
                "cond": None, "uncond": None, "cond_scale": 1.0, "model": None, "model_options": options,
            })  # fmt: skip
        return denoised

    def report(self, info: dict[str, Any]) -> None:
        self.begins.append(len(self.calls) - 1)


def step_of_sigma(sigma: float, sigmas: list[float]) -> int | None:
    """The step i of a schedule with sigmas[i] >= sigma > sigmas[i + 1], None outside; (n + 1) descending levels."""
    for step in range(len(sigmas) - 1):
        if sigmas[step] * (1 + 1e-4) >= sigma > sigmas[step + 1] * (1 + 1e-4):
            return step
    return None


def rehearse(
    function: Callable[..., Any],
    model: Any,
    x: Tensor,
    sigmas: Tensor,
    seed: int | None,
    options: dict[str, Any],
) -> dict[int, int] | None:
    """{number of a model call: step it begins} for a run of a sampler function, None where it cannot be foreseen.

    model: what the sampler will be given; it is not called. x: the latent it will start from, only its shape, type and
    device count. sigmas (n + 1,). options: the function's further keywords. No random number is drawn from the global
    generators.
    """
    if getattr(function, "__name__", "") in ADAPTIVE:
        return None
    made_up = _MadeUpModel(model)
    levels = [float(s) for s in sigmas]
    devices = [x.device] if x.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            function(
                made_up,
                torch.ones(1, x.shape[1], 2, 2, dtype=x.dtype, device=x.device) * levels[0],
                sigmas.clone(),
                extra_args={"model_options": {}, "seed": seed},
                callback=made_up.report,
                disable=True,
                **options,
            )
    except (
        Exception
    ):  # a sampler of another pack may want more than a made-up model has: plan by noise level instead
        return None
    begins: dict[int, int] = {}
    for number, call in enumerate(made_up.begins):
        if call < 0 or call in begins:
            return None
        sigma = made_up.calls[call]
        counted = number < len(levels) - 1 and levels[number + 1] < sigma
        # A sampler that counts groups of steps (dpm_fast) is placed by its noise level.
        near = counted and (number == 0 or sigma < levels[number - 1] * (1 - 1e-4))
        step = number if near else step_of_sigma(sigma, levels)
        if step is not None and step not in begins.values():
            begins[call] = step
    return begins
