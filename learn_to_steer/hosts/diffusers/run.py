"""One call of a diffusers pipeline, as its user wants it: what every architecture has in common.

A subclass says what is its own: how text becomes states, what the first latents look like, how the model is called on
its conditional branch. `diffusers.generate` picks the subclass and steers; nothing there asks for the architecture.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ...attention import AttentionLayer, AttentionRecorder
from ...errors import SteeringError
from ...inversion import Slope
from ...objectives import StepInfo
from .branch import Branch
from .guidance import GuidedProcessor, Place
from .protocol import Pipeline
from .schedule import Schedule

TEXT_STATES = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
"""Names under which pipelines take encoded text."""

SECOND_TEXTS = ("prompt_2", "negative_prompt_2")
"""Names under which pipelines take another text for their second text encoder."""


def known_arguments(pipe: Pipeline) -> dict[str, Any]:
    """The arguments that calls of this pipeline take, with their defaults."""
    known: dict[str, Any] = {}
    for kind in reversed(type(pipe).__mro__):
        if "__call__" in vars(kind):
            for name, parameter in inspect.signature(vars(kind)["__call__"]).parameters.items():
                if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                    known[name] = parameter.default
    return {name: default for name, default in known.items() if name != "self"}


class Mover(Protocol):
    """What moves the latents of a run. `diffusers._Steering` is one."""

    def first_arguments(self) -> dict[str, Any]:
        """Encoded text and first latents, under the pipeline's argument names."""

    def move(self, latents: Tensor, turn: int) -> Tensor:
        """The latents to go on with at this turn of the pipeline's loop."""


@dataclass
class Run(ABC):
    """One call of a pipeline.

    prompts, negatives: one per image, those of one prompt side by side. each: images of one prompt. generators: one per
    image, or one for all. height, width: pixels, None = the model's own. extra: the pipeline's further arguments.

    Raises SteeringError for a size, latents or text states that do not fit.
    """

    pipe: Pipeline
    prompts: list[str]
    negatives: list[str] | None
    generators: list[torch.Generator] | torch.Generator
    num_inference_steps: int
    guidance_scale: float
    height: int | None
    width: int | None
    extra: dict[str, Any]
    each: int = 1

    def __post_init__(self) -> None:
        factor = self.pipe.vae_scale_factor
        if any(side < factor or side % factor for side in self.size):
            raise SteeringError(
                f"Expected a height and a width that are multiples of {factor} pixels, got {self.size[0]} x "
                f"{self.size[1]}; choose the nearest ones."
            )
        latents = self.extra.get("latents")
        if latents is not None and tuple(latents.shape) != self.latent_shape:
            raise SteeringError(
                f"Expected latents of shape {self.latent_shape}, as the pipeline takes them, got {tuple(latents.shape)}; "
                "make them for this number of images and this size."
            )
        given = self.extra.get("prompt_embeds")
        pooled = "pooled_prompt_embeds"
        if given is not None and self.extra.get(pooled) is None and pooled in known_arguments(self.pipe):
            raise SteeringError(
                f"Expected {pooled} together with prompt_embeds, got none; give both, as the text encoders make them."
            )

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

    def encoded(self) -> dict[str, Tensor]:
        """The text states, encoded once or as given, under the pipeline's own argument names.

        Raises SteeringError for a second text and for given states of another length than the prompt's tokens: the
        objects could not be found in them.
        """
        if self.extra.get("prompt_2") is not None:
            raise SteeringError(
                "Expected one prompt for both text encoders, got prompt_2 as well; leave it out, or the words of the "
                "relations cannot be found in the text that the model attends to."
            )
        given = self.given_states
        states = given.get("prompt_embeds")
        if states is not None and states.shape[1] != self.text_length:
            raise SteeringError(
                f"Expected prompt_embeds of {self.text_length} tokens, as the prompt itself is encoded to, got "
                f"{states.shape[1]}; encode it to that length, or leave them out."
            )
        each = 1 if given else self.each  # given states are repeated already
        negatives = self.negatives[::each] if self.negatives is not None else None
        with torch.no_grad():
            return self.encode(self.prompts[::each], negatives, each, given)

    @abstractmethod
    def encode(
        self, prompts: list[str], negatives: list[str] | None, each: int, given: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """The text states of these prompts, `each` times over. given: states that need not be encoded."""

    @property
    def given_states(self) -> dict[str, Tensor]:
        """Text states that the caller gives instead of having the prompts encoded, one row per image."""
        states = {name: self.extra[name] for name in TEXT_STATES if self.extra.get(name) is not None}
        return {name: state.repeat_interleave(self.each, 0) for name, state in states.items()}

    def unencoded(self) -> dict[str, Any]:
        """Text arguments that `encoded` leaves to the pipeline."""
        return {}

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """Of the latents of all images, in the layout in which the pipeline takes them."""

    def first_noise(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The unit noise the pipeline itself would begin with, given or drawn, in the layout in which it takes
        `latents`."""
        given = self.extra.get("latents")
        return self.drawn_noise(dtype, device) if given is None else given.to(device, dtype)

    @abstractmethod
    def drawn_noise(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The unit noise the pipeline itself would draw."""

    @abstractmethod
    def branch(self, encoded: dict[str, Tensor], schedule: Schedule, family: str) -> Branch:
        """The model with everything its conditional branch is given."""

    @abstractmethod
    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]:
        """Hooks that hand Q and K of the next pass to a recorder, until they are removed."""

    @abstractmethod
    def guided_places(self) -> tuple[list[Place], type[GuidedProcessor]]:
        """Its attentions as guidance needs them, and how their processors are wrapped."""

    @abstractmethod
    def slope(self, branch: Branch, sigmas: list[float]) -> Slope:
        """How latents change with the noise level, as `inversion` has it. sigmas: of the steps."""

    @abstractmethod
    def model_input(self, latents: Tensor, sigma: float | Tensor) -> Tensor:
        """Latents as `inversion` has them -> as the model is given them."""

    @abstractmethod
    def unpacked(self, latents: Tensor) -> Tensor:
        """Latents in the pipeline's layout -> (B, channels, h, w)."""

    @abstractmethod
    def packed(self, latents: Tensor) -> Tensor:
        """Latents (B, channels, h, w) -> the pipeline's layout."""

    def call(
        self,
        steering: Mover | None,
        on_step: Callable[[StepInfo, Tensor], None] | None,
        output_type: str,
        before: Callable[[int], None] | None = None,
    ) -> tuple[Any, Tensor]:
        """Run the pipeline; the images and the final latents (B, channels, h, w). before(turn): called when all is
        ready for the passes of a turn."""
        final: list[Tensor] = []
        extra = dict(self.extra)
        theirs = extra.pop("callback_on_step_end", None)
        named = extra.pop("callback_on_step_end_tensor_inputs", None)
        wanted: list[str] = list(getattr(theirs, "tensor_inputs", None) or named or ["latents"])

        def between(pipe: Any, turn: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            returned: dict[str, Tensor] = {}
            if theirs is not None:
                returned = theirs(pipe, turn, timestep, {k: tensors[k] for k in wanted}) or {}
            latents = returned.get("latents", tensors["latents"])
            if steering is not None:
                latents = steering.move(latents, turn + 1)
            final[:] = [latents]
            if before is not None:
                before(turn + 1)
            if on_step is not None:
                on_step(StepInfo(turn, pipe.num_timesteps), self.unpacked(latents))
            return {**returned, "latents": latents}

        if steering is not None:
            arguments = steering.first_arguments()
            extra = {k: v for k, v in extra.items() if k not in (*SECOND_TEXTS, *TEXT_STATES, "latents")}
        elif states := self.given_states:
            prompts = None if "prompt_embeds" in states else self.prompts
            arguments = {"prompt": prompts, "negative_prompt": self.negatives, **states}
            extra = {k: v for k, v in extra.items() if k not in TEXT_STATES}
        else:
            arguments = {
                "prompt": self.prompts[:: self.each],
                "negative_prompt": self.negatives[:: self.each] if self.negatives is not None else None,
                "num_images_per_prompt": self.each,
            }
        if before is not None:
            before(0)
        result = self.pipe(
            **arguments,
            height=self.height,
            width=self.width,
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            generator=self.generators,
            output_type=output_type,
            callback_on_step_end=between,
            callback_on_step_end_tensor_inputs=list(dict.fromkeys([*wanted, "latents"])),
            **extra,
        )
        return result.images, self.unpacked(final[0])
