"""What steering must know about a diffusers scheduler, read from a copy so that the real one is never
disturbed.

Pipelines loop over `scheduler.timesteps`, but not every turn of that loop starts a step: second-order
samplers take two turns a step, PNDM repeats its second step, singlestep solvers come back to where a group of
turns began. A latent moved in between would be forgotten by the sampler, so it is moved only where a step
truly starts.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import retrieve_timesteps
from diffusers.schedulers import UniPCMultistepScheduler
from torch import Tensor

from ...errors import SteeringError

UNSTEERABLE = ("SASolverScheduler",)
"""Schedulers that restart each step from their own copy of an earlier latent, with noise in between."""


class Schedule:
    """The plan of one run of a scheduler.

    timesteps: (n,) as the model is given them, one per turn of the pipeline's loop. steps: {turn: step} for
    the turns at which the latent may be moved. total: number of steps. scales: per turn, the factor from the
    sampler's latent to the model's input. sigmas: per turn, the noise level sqrt(1 - abar) / sqrt(abar); for
    flow models the 1..0 time. shares: per turn, where it begins in the model's own schedule, see `steering.schedule`.
    init_noise_sigma: the factor from unit noise to the sampler's first latent.
    """

    def __init__(
        self,
        scheduler: Any,
        num_inference_steps: int,
        device: torch.device | str,
        timesteps: Any = None,
        sigmas: Any = None,
        **settings: Any,
    ) -> None:
        """timesteps, sigmas: of the steps, where not the scheduler's own. settings: what else the pipeline tells
        its scheduler, such as the shift `mu` of Flux.

        Raises SteeringError for a scheduler that cannot be steered."""
        twin = copy.deepcopy(scheduler)
        if type(twin).__name__ in UNSTEERABLE:
            raise SteeringError(
                f"Expected a scheduler that goes on from the latent it is given, got {type(twin).__name__}, "
                "which does not; choose DDIM, Euler, DPM++ 2M, UniPC or another one."
            )
        turns, _ = retrieve_timesteps(
            twin, num_inference_steps, device, timesteps, sigmas, **_taken(twin, settings)
        )
        runge_kutta = getattr(twin, "prk_timesteps", None)
        if runge_kutta is not None and len(runge_kutta) > 0:
            raise SteeringError(
                "Expected PNDM without Runge-Kutta steps, got it with them; set skip_prk_steps=True in the "
                "scheduler's configuration or choose another scheduler."
            )
        self.timesteps: Tensor = turns
        self.steps, self.total = _starts(twin, [float(t) for t in turns])
        self.scales = [_scale(twin, turn, t) for turn, t in enumerate(turns)]
        self.sigmas = [_sigma(twin, turn, float(t)) for turn, t in enumerate(turns)]
        self.shares = [_share(twin, turn, float(t), len(turns), sigmas) for turn, t in enumerate(turns)]
        self.init_noise_sigma = float(getattr(twin, "init_noise_sigma", 1.0))


def _taken(scheduler: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Those settings that the scheduler's `set_timesteps` has a use for."""
    known = inspect.signature(scheduler.set_timesteps).parameters
    return {name: value for name, value in settings.items() if name in known}


def _starts(scheduler: Any, turns: list[float]) -> tuple[dict[int, int], int]:
    """{turn: step} for turns that start a step, and the number of steps."""
    order = int(getattr(scheduler, "order", 1))
    if order > 1:
        starts = list(range(0, len(turns), order))
    else:  # of a repeated timestep the last turn counts: PNDM throws the first one's result away
        starts = [i for i, t in enumerate(turns) if i + 1 == len(turns) or turns[i + 1] != t]
    steps = {turn: step for step, turn in enumerate(starts)}
    if (orders := getattr(scheduler, "order_list", None)) is not None:
        steps = {turn: step for turn, step in steps.items() if orders[turn] == 1}
    return steps, len(starts)


def _scale(scheduler: Any, turn: int, timestep: Tensor) -> float:
    if hasattr(scheduler, "_step_index"):
        scheduler._step_index = turn
    scale = getattr(scheduler, "scale_model_input", None)  # flow schedulers have none
    return float(scale(torch.ones(1), timestep)) if scale is not None else 1.0


def _sigma(scheduler: Any, turn: int, timestep: float) -> float:
    """Noise level; between whole training timesteps interpolated in log sigma, as k-diffusion does."""
    if hasattr(scheduler, "alphas_cumprod") and not scheduler.config.get("use_flow_sigmas"):
        kept = scheduler.alphas_cumprod.double().cpu().numpy().clip(1e-10, 1 - 1e-10)
        log_sigmas = 0.5 * np.log((1 - kept) / kept)
        return float(np.exp(np.interp(timestep, np.arange(len(kept)), log_sigmas)))
    if hasattr(scheduler, "sigmas"):
        return float(scheduler.sigmas[turn])
    # IPNDM: what it calls betas and alphas are the shares of noise and picture themselves.
    return float(scheduler.betas[turn] / scheduler.alphas[turn].clamp(min=1e-5))


def _share(scheduler: Any, turn: int, timestep: float, turns: int, sigmas: Any) -> float:
    """0 at the first training timestep, 1 at the picture: of a diffusion model by its training timesteps, of a flow
    model by the time before it is shifted for the size of the picture."""
    if hasattr(scheduler, "alphas_cumprod") and not scheduler.config.get("use_flow_sigmas"):
        return 1 - (timestep + 1) / scheduler.config.num_train_timesteps
    if sigmas is not None and turn < len(sigmas):
        return 1 - float(sigmas[turn])
    return turn / turns


def carry_over(scheduler: Any, turn: int, change: Tensor) -> None:
    """Tell a scheduler that corrects each step afterwards about a move made before turn `turn`.

    UniPC recomputes the latent it is given out of its own copy of the previous one, x_t = ratio * x_s + ...,
    and so would forget the move: put move / ratio into that copy. Images with no change keep it to the bit.
    Others need nothing.
    """
    corrects = isinstance(scheduler, UniPCMultistepScheduler)
    if not corrects or scheduler.last_sample is None:
        return
    alpha, sigma = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[turn])
    alpha_before, sigma_before = scheduler._sigma_to_alpha_sigma_t(scheduler.sigmas[turn - 1])
    ratio = float(sigma / sigma_before if scheduler.predict_x0 else alpha / alpha_before)
    scheduler.last_sample = scheduler.last_sample + (change / ratio).to(scheduler.last_sample.dtype)
