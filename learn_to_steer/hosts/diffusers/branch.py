"""The conditional branch of a pipeline's call: its denoiser with everything that branch is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...attention import AttentionLayer, AttentionRecorder, MapStack
from ...objectives import StepInfo
from ..modules import for_autograd
from .evaluating import Autocast, evaluating
from .schedule import Schedule


class Branch(ABC):
    """`Host` for one batch of prompts, which can also be read at any diffusion time.

    model: the denoiser. context (B, T, width): the text states. arguments: what else the model is given, per row of the
    batch; what is under `cross_attention_kwargs` is for all rows. shared: for all rows.
    dtype: of the text states, which is also that of the latents. device: where the model computes.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: list[AttentionLayer],
        family: str,
        schedule: Schedule,
        context: Tensor,
        arguments: dict[str, Any],
        shared: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.layers, self.family = model, layers, family
        with torch.inference_mode(False):
            self.arguments, self.shared = for_autograd(arguments), for_autograd(shared or {})
            turns = for_autograd(schedule.timesteps)
        self.context = context
        self.timestep_of = {step: turns[turn] for turn, step in schedule.steps.items()}
        self.dtype, self.device = context.dtype, context.device
        self.autocast = Autocast(context.device)

    @contextmanager
    def evaluations(self) -> Iterator[None]:
        """Around evaluations and the backward passes through them: the model is ready for both, and what is computed
        outside of it keeps its own precision under `torch.autocast`."""
        with evaluating(self.model), self.autocast.off():
            yield

    def read(
        self,
        latent: Tensor,
        images: Sequence[int],
        step: StepInfo,
        weights: Tensor,
        layers: tuple[str, ...] | None,
    ) -> MapStack:
        """See `Host.read`."""
        timesteps = self.timestep_of[step.step].expand(len(images))
        return self.record_at(latent, timesteps, images, weights, layers)

    def record_at(
        self,
        latent: Tensor,
        timesteps: Tensor,
        images: Sequence[int],
        weights: Tensor,
        layers: tuple[str, ...] | None,
    ) -> MapStack:
        """As `Host.read`, with a time of its own for each row. timesteps (b,): as the pipeline's scheduler has
        them."""
        rows = list(images)
        given = {**rows_of(self.arguments, rows), **self.shared}
        with self.evaluations(), self.autocast.on():
            return self.record(
                latent.to(self.dtype), timesteps.to(self.device), self.context[rows], weights, layers, given
            )

    @abstractmethod
    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        """Hooks that hand Q and K of the next pass to a recorder, until they are removed."""

    def predict(self, latent: Tensor, step: int) -> Tensor:
        """What the model puts out for the whole batch; latent as in `Host.read`."""
        timesteps = self.timestep_of[step].expand(len(latent)).to(self.device)
        with self.autocast.on():
            output: Tensor = self.model(
                latent.to(self.dtype),
                timestep=self.time(timesteps),
                encoder_hidden_states=self.context,
                return_dict=False,
                **self.arguments,
                **self.shared,
            )[0]
        return output

    @abstractmethod
    def time(self, timesteps: Tensor) -> Tensor:
        """The scheduler's timesteps as the model is given them."""

    @abstractmethod
    def record(
        self,
        latent: Tensor,
        timesteps: Tensor,
        context: Tensor,
        weights: Tensor,
        layers: tuple[str, ...] | None,
        given: dict[str, Any],
    ) -> MapStack:
        """The maps of one pass of these rows."""


def rows_of(value: Any, rows: list[int]) -> Any:
    """The given batch rows of every tensor inside; what is in `cross_attention_kwargs` is left whole."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {k: v if k == "cross_attention_kwargs" else rows_of(v, rows) for k, v in value.items()}
    if isinstance(value, list):
        return [rows_of(v, rows) for v in value]
    return value
