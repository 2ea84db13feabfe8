"""Which pipelines can be steered, and the parts of one: its denoiser, layers, family, and the tokens of its words."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import nn

from ...attention import AttentionLayer, Text, aligned, encoder_of, locate, locate_by_offsets, pieces_of
from ...errors import SteeringError
from ...language import strip_weighting
from .flux import transformer as diffusers_flux
from .flux.run import FluxRun
from .protocol import Pipeline
from .run import Run, known_arguments
from .stable import unet as diffusers_unet
from .stable.run import StableDiffusionRun

PIPELINES: dict[type, type[Run]] = {
    StableDiffusionPipeline: StableDiffusionRun,
    StableDiffusionXLPipeline: StableDiffusionRun,
    FluxPipeline: FluxRun,
}
"""Pipelines that can be steered, and what knows each."""


def denoiser(pipe: Pipeline) -> nn.Module:
    """The model of a pipeline that draws: its UNet or its transformer."""
    return pipe.transformer if isinstance(pipe, FluxPipeline) else pipe.unet  # type: ignore[attr-defined]


def attention_layers(model: nn.Module) -> list[AttentionLayer]:
    """The attentions of a denoiser that can be read, in execution order: a UNet's cross-attentions ("mid.0",
    "up.1.0", ...), a Flux transformer's joint attentions ("double.0", ..., "single.0", ...)."""
    joint = hasattr(model, "single_transformer_blocks")
    return diffusers_flux.flux_attention_layers(model) if joint else diffusers_unet.attention_layers(model)


def model_family(model: nn.Module) -> str:
    """The family of a denoiser: "sd1", "sd2", "sdxl", "flux", else "custom"."""
    joint = hasattr(model, "single_transformer_blocks")
    return diffusers_flux.flux_family(model) if joint else diffusers_unet.model_family(model)


def run_of(
    pipe: Pipeline,
    prompts: Sequence[str],
    num_inference_steps: int | None = None,
    *,
    generators: Sequence[torch.Generator] | torch.Generator = (),
    negatives: list[str] | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
    each: int = 1,
    **pipe_arguments: Any,
) -> Run:
    """A call of a pipeline that has not happened yet: its schedule, layers, text states and conditional branch.

    prompts, negatives: one per image, see `Run`. num_inference_steps, guidance_scale: None = the pipeline's own
    default. Raises SteeringError for a pipeline that cannot be steered, arguments it does not take, and as `Run` does.
    """
    kind = next((run for known, run in PIPELINES.items() if isinstance(pipe, known)), None)
    if kind is None:
        raise SteeringError(
            f"Expected a {', '.join(known.__name__ for known in PIPELINES)}, got {type(pipe).__name__}; load the "
            "model with one of these."
        )
    defaults = known_arguments(pipe)
    if unknown := [name for name in pipe_arguments if name not in defaults]:
        raise SteeringError(
            f"Expected arguments that {type(pipe).__name__} takes ({', '.join(defaults)}), got {unknown[0]}; correct "
            "the name."
        )
    steps = defaults["num_inference_steps"] if num_inference_steps is None else num_inference_steps
    guidance = defaults["guidance_scale"] if guidance_scale is None else guidance_scale
    drawn = generators if isinstance(generators, torch.Generator) else list(generators)
    return kind(pipe, list(prompts), negatives, drawn, steps, guidance, height, width, pipe_arguments, each)


def prompt_tokens(run: Run, image: int) -> int:
    """How many of the text's first tokens are those of an image's prompt, with the begin before it; behind them come the
    end and padding."""
    tokenizer, prompt = run.tokenizer, run.prompts[image]
    convert = getattr(run.pipe, "maybe_convert_prompt", None)
    given = convert(prompt, tokenizer) if convert is not None else prompt
    ids = tokenizer(given, truncation=True, max_length=run.text_length, verbose=False).input_ids
    return len(ids) - (bool(ids) and ids[-1] == tokenizer.eos_token_id)


def token_positions(run: Run, image: int, span: tuple[int, int]) -> list[int]:
    """Token positions of the words at these characters of an image's prompt, in the text its model attends to.

    A concept of several vectors (textual inversion) is several tokens of the model's text, as the pipeline writes them in.

    Raises SteeringError as `locate_by_offsets` does.
    """
    tokenizer, prompt, length = run.tokenizer, run.prompts[image], run.text_length
    plain = strip_weighting(prompt)
    if not plain[slice(*span)].strip():
        plain = prompt  # the object is a concept such as "<cat-toy>" itself
    convert = getattr(run.pipe, "maybe_convert_prompt", None)
    given = convert(prompt, tokenizer) if convert is not None else prompt
    exact = given == prompt and getattr(tokenizer, "is_fast", False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoded = tokenizer(
            given, truncation=True, max_length=length, return_offsets_mapping=exact, verbose=False
        )
    offsets = (
        encoded["offset_mapping"]
        if exact
        else aligned(pieces_of(tokenizer)(encoded["input_ids"]), Text.of(prompt), len(prompt), whole=False)
    )
    if offsets is not None:
        return locate_by_offsets(offsets, plain, span, length)
    ids = list(tokenizer(given, truncation=False, verbose=False).input_ids)
    return locate(encoder_of(tokenizer), plain, span, length, ids)
