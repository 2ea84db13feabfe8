"""One step of a run of ComfyUI, as the engine's `Host`: the conditional branch with everything it is given there, the
noise mask included.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...attention import AttentionRecorder, MapStack
from ...objectives import StepInfo
from ..modules import for_autograd
from .read.evaluation import conditional_maps, depends_on_row, model_family
from .read.located import LocatedLayer


class ConditionalBranch:
    """`Host` for one step of a run: the model with everything its conditional branch is given there.

    model: what the sampler calls. latent: the whole batch as the sampler holds it; scale: from there to the model's input.
    given: keywords of the sampler's call.
    """

    def __init__(
        self, model: Any, base: Any, entry: dict[str, Any], latent: Tensor, timestep: Tensor, scale: float,
        given: dict[str, Any], located: list[LocatedLayer],
    ) -> None:  # fmt: skip
        self.model, self.base, self.entry, self.latent = model, base, entry, latent
        self.timestep, self.scale, self.located = timestep, scale, located
        self.mask = for_autograd(given.get("denoise_mask"))
        self.options = given.get("model_options") or {}
        self.family = model_family(base)
        self.layers = [one.layer for one in located]

    def read(
        self,
        latent: Tensor,
        images: Sequence[int],
        step: StepInfo,
        weights: Tensor,
        layers: tuple[str, ...] | None,
    ) -> MapStack:
        """See `Host.read`. Where the images of a batch are conditioned differently, all of them take part in the pass."""
        x, rows = (latent / self.scale).to(self.latent.dtype), list(images)
        whole = len(rows) < self.latent.shape[0] and depends_on_row(self.entry)
        if whole:
            at = torch.tensor(rows, device=x.device)
            x = self.latent.index_copy(0, at, x)
            weights = weights.new_zeros(x.shape[0], *weights.shape[1:]).index_copy(
                0, at.to(weights.device), weights
            )
        taken = list(range(x.shape[0])) if whole else rows
        recorder = AttentionRecorder(weights, self.layers, layers)
        maps = self._pass(x, taken, recorder)
        return MapStack(maps.layers, tuple(m[rows] for m in maps.maps)) if whole else maps

    def _pass(self, x: Tensor, rows: list[int], recorder: AttentionRecorder) -> MapStack:
        timestep = self.timestep[rows]
        if self.mask is None:
            return conditional_maps(self.base, self.entry, x, timestep, self.options, recorder, self.located)
        # Let the host mix in what the noise mask keeps, with a model behind it that only reads.
        reader = _Reader(self, recorder)
        mixer = copy.copy(self.model)
        mixer.inner_model = reader
        mixer.noise, mixer.latent_image = (
            for_autograd(self.model.noise)[rows],
            for_autograd(self.model.latent_image)[rows],
        )
        mixer(x, timestep, denoise_mask=self.mask[rows], model_options=self.options)
        return recorder.maps()


class _Reader:
    """A model for the host's inpainting mixer: reads maps, answers nothing of use."""

    def __init__(self, branch: ConditionalBranch, recorder: AttentionRecorder) -> None:
        self.inner_model, self._branch, self._recorder = branch.base, branch, recorder

    def __call__(self, x: Tensor, sigma: Tensor, model_options: dict[str, Any], seed: Any = None) -> Tensor:
        branch = self._branch
        conditional_maps(branch.base, branch.entry, x, sigma, model_options, self._recorder, branch.located)
        return x
