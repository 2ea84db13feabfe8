"""One call of a diffusers pipeline, as its user wants it: what every architecture has in common.

A subclass says what is its own: how text becomes states, what the first latents look like, how the model is called on
its conditional branch. `diffusers.generate` picks the subclass and steers; nothing there asks for the architecture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ...attention import AttentionLayer, MapStack
from ...inversion import Slope, invert
from ...objectives import StepInfo
from ..protocol import Host
from .schedule import Schedule

TEXT_STATES = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
"""Names under which pipelines take encoded text."""


class Mover(Protocol):
    """What moves the latents of a run. `diffusers._Steering` is one."""

    def first_arguments(self) -> dict[str, Any]:
        """Encoded text and first latents, under the pipeline's argument names."""

    def move(self, latents: Tensor, turn: int) -> Tensor:
        """The latents to go on with at this turn of the pipeline's loop."""


class Branch(Host, Protocol):
    """A `Host` that can also read at any diffusion time of its own."""

    dtype: torch.dtype
    """Of the text states, which is also that of the latents."""

    device: torch.device

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

    def predict(self, latent: Tensor, step: int) -> Tensor:
        """What the model puts out for the whole batch; latent as in `Host.read`."""


@dataclass
class Run(ABC):
    """One call of a pipeline. generators: one per image. guidance_scale: None = the architecture's usual one.
    extra: the pipeline's further arguments."""

    usual_guidance: ClassVar[float] = 7.5

    pipe: Any
    prompts: list[str]
    negatives: list[str] | None
    generators: list[torch.Generator]
    num_inference_steps: int
    guidance_scale: float | None
    height: int | None
    width: int | None
    extra: dict[str, Any]

    def __post_init__(self) -> None:
        if self.guidance_scale is None:
            self.guidance_scale = self.usual_guidance

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The denoiser: UNet or transformer."""

    @property
    @abstractmethod
    def layers(self) -> list[AttentionLayer]:
        """Its attentions, in execution order."""

    @property
    @abstractmethod
    def family(self) -> str:
        """Its family, see `ClassifierCard.family`."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""

    @property
    @abstractmethod
    def tokenizer(self) -> Any:
        """Of the text encoder whose states the model attends to."""

    @property
    @abstractmethod
    def text_length(self) -> int:
        """Number of text tokens the model attends to, padding included."""

    @abstractmethod
    def schedule(self) -> Schedule:
        """The steps of this run. Raises SteeringError for a scheduler that cannot be steered."""

    @abstractmethod
    def encoded(self) -> dict[str, Tensor]:
        """The text states, encoded once, under the pipeline's own argument names."""

    def unencoded(self) -> dict[str, Any]:
        """Text arguments that `encoded` leaves to the pipeline."""
        return {}

    @abstractmethod
    def first_noise(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The unit noise the pipeline itself would draw, in the layout in which it takes `latents`."""

    @abstractmethod
    def branch(self, encoded: dict[str, Tensor], schedule: Schedule, family: str) -> Branch:
        """The model with everything its conditional branch is given."""

    @abstractmethod
    def noised(self, latents: Tensor, noise: Tensor, steps: Tensor) -> Tensor:
        """Latents (B, channels, h, w) brought to the noise level of a step of the schedule each; steps (B,)."""

    def inverted(self, latents: Tensor, iterations: int = 1) -> Tensor:
        """Pictures' latents (B, channels, h, w) -> what the model is given at each step when the run ends at them:
        (steps, B, ...) in the pipeline's layout. Under the prompts, without negatives; see `inversion.invert`."""
        schedule = self.schedule()
        sigmas = [schedule.sigmas[turn] for turn in schedule.steps]
        branch = self.branch(self.encoded(), schedule, self.family)
        levels = invert(self.packed(latents), sigmas, self.slope(branch, sigmas), iterations)
        return torch.stack([self.model_input(x, sigma) for x, sigma in zip(levels, sigmas, strict=True)])

    @abstractmethod
    def slope(self, branch: Branch, sigmas: list[float]) -> Slope:
        """How latents change with the noise level, as `inversion` has it. sigmas: of the steps."""

    @abstractmethod
    def model_input(self, latents: Tensor, sigma: float) -> Tensor:
        """Latents as `inversion` has them -> as the model is given them."""

    @abstractmethod
    def unpacked(self, latents: Tensor) -> Tensor:
        """Latents in the pipeline's layout -> (B, channels, h, w)."""

    @abstractmethod
    def packed(self, latents: Tensor) -> Tensor:
        """Latents (B, channels, h, w) -> the pipeline's layout."""

    def call(
        self, steering: Mover | None, on_step: Callable[[StepInfo, Tensor], None] | None, output_type: str
    ) -> tuple[Any, Tensor]:
        """Run the pipeline; the images and the final latents (B, channels, h, w)."""
        final: list[Tensor] = []

        def between(pipe: Any, turn: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            latents = tensors["latents"]
            if steering is not None:
                latents = steering.move(latents, turn + 1)
            final[:] = [latents]
            if on_step is not None:
                on_step(StepInfo(turn, pipe.num_timesteps), self.unpacked(latents))
            return {"latents": latents}

        arguments: dict[str, Any] = {"prompt": self.prompts, "negative_prompt": self.negatives}
        extra = self.extra
        if steering is not None:
            arguments = steering.first_arguments()
            extra = {k: v for k, v in extra.items() if k not in ("prompt_2", "negative_prompt_2")}
        result = self.pipe(
            **arguments,
            height=self.height,
            width=self.width,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            generator=self.generators,
            output_type=output_type,
            callback_on_step_end=between,
            **extra,
        )
        return result.images, self.unpacked(final[0])


def rows_of(value: Any, rows: list[int]) -> Any:
    """The given batch rows of every tensor inside; what is in `cross_attention_kwargs` is left whole."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, dict):
        return {k: v if k == "cross_attention_kwargs" else rows_of(v, rows) for k, v in value.items()}
    if isinstance(value, list):
        return [rows_of(v, rows) for v in value]
    return value
