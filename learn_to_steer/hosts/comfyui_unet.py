"""Reading a UNet of ComfyUI: the maps of its cross-attentions on the conditional branch, layer by layer.

The pass goes through the host's own `calc_cond_batch`, so areas, masks, ControlNet, LoRA hooks and whatever other packs
have hung into the model take part. Q and K are taken where the host offers them: in `patches_replace["attn2"]`, chained
to a patch that is already there, and put in place by a wrapper around this one pass of the diffusion model only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.ldm.modules.attention
import comfy.model_patcher
import comfy.patcher_extension
import comfy.samplers
import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, UNetModel, Upsample
from einops import rearrange
from torch import Tensor

from ..attention import AttentionLayer, AttentionRecorder, MapStack, StopForward
from ..errors import SteeringError
from . import UNET_FAMILIES
from .comfyui_gradients import differentiable_attention, ordinary, ordinary_weights

_KEY = "learn_to_steer_reading"

Block = tuple[str, int, int]
"""("input" | "middle" | "output", number of the block, number of the transformer block inside)."""


@dataclass(frozen=True)
class Site:
    """One cross-attention and its key in `patches_replace["attn2"]`."""

    layer: AttentionLayer
    block: Block


def attention_sites(unet: Any) -> list[Site]:
    """The cross-attentions of a host UNet in execution order, under the names they have in diffusers' layout
    ("down.1.0", "mid.0", "up.2.1", with ".<transformer block>" behind where there is more than one).

    Raises SteeringError for anything but a UNet with cross-attentions over images.
    """
    if not isinstance(unet, UNetModel):
        raise SteeringError(
            f"Expected a UNet (Stable Diffusion 1.x, 2.x, XL), got {type(unet).__name__}; models of this kind cannot be "
            "steered by these nodes."
        )
    found: list[Site] = []
    level = 0
    for number, block in enumerate(unet.input_blocks):
        if any(isinstance(part, Downsample) or getattr(part, "updown", False) for part in block):
            level += 1
        _collect(found, block, ("input", number), "down", f"down.{level}")
    if unet.middle_block is not None:
        _collect(found, unet.middle_block, ("middle", 0), "mid", "mid")
    level = 0
    for number, block in enumerate(unet.output_blocks):
        _collect(found, block, ("output", number), "up", f"up.{level}")
        if any(isinstance(part, Upsample) or (isinstance(part, ResBlock) and part.updown) for part in block):
            level += 1
    if not found:
        raise SteeringError(
            "Expected a UNet that attends to text, got one without cross-attention; choose another model."
        )
    return found


def _collect(found: list[Site], block: Any, place: tuple[str, int], stage: Any, prefix: str) -> None:
    for part in block:
        if type(part) is not SpatialTransformer:
            continue
        earlier = {s.layer.name.removeprefix(f"{prefix}.").split(".")[0] for s in found if _of(s, prefix)}
        inner = part.transformer_blocks
        for k, transformer in enumerate(inner):
            if transformer.attn2 is None:
                continue
            name = f"{prefix}.{len(earlier)}" + (f".{k}" if len(inner) > 1 else "")
            layer = AttentionLayer(name, stage, len(found), transformer.attn2.heads)
            found.append(Site(layer, (*place, k)))


def _of(site: Site, prefix: str) -> bool:
    return site.layer.name.startswith(f"{prefix}.")


def model_family(model: Any) -> str:
    """The family of a host model: its own word for it (EmojiWorld), else by the width of its text states."""
    config = model.model_config
    named = type(config).__dict__.get("learn_to_steer_family")
    return named or UNET_FAMILIES.get(config.unet_config.get("context_dim"), "custom")


def active_entry(
    conds: Sequence[dict[str, Any]], timestep: Tensor, mark: str, length: int
) -> dict[str, Any] | None:
    """The entry of a conditioning that is read at this noise level: of those that hold now (prompt scheduling), the first
    that carries the prompt's mark, else - a conditioning from another node - the first whose text is as long.

    timestep: (B,) sigmas. length: text tokens. None where no entry holds now.
    """
    now = [
        c
        for c in conds
        if not ("timestep_start" in c and timestep[0] > c["timestep_start"])
        and not ("timestep_end" in c and timestep[0] < c["timestep_end"])
    ]
    marked = [c for c in now if c.get("learn_to_steer") == mark]
    if not marked and any(c.get("learn_to_steer") == mark for c in conds):
        return None  # the prompt has its turn at other noise levels
    fitting = marked or [c for c in now if text_length(c) in (None, length)]
    return fitting[0] if fitting else None


def text_length(entry: dict[str, Any]) -> int | None:
    """Number of text tokens of a conditioning entry, None where it has none of its own."""
    states = entry.get("cross_attn")
    return int(states.shape[1]) if isinstance(states, Tensor) else None


def depends_on_row(entry: dict[str, Any]) -> bool:
    """Whether an entry treats the images of a batch differently, so that rows cannot be left out."""
    many = [c.cond for c in entry["model_conds"].values() if isinstance(getattr(c, "cond", None), Tensor)]
    mask = entry.get("mask")
    return (
        "control" in entry
        or any(t.shape[0] > 1 for t in many)
        or (isinstance(mask, Tensor) and mask.shape[0] > 1)
    )


class _ConstantControl:
    """A ControlNet whose residuals are taken as they are: computed as the host does, and without a gradient, which
    would cost as much again and is no part of the method."""

    def __init__(self, control: Any) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def get_control(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode():
            residuals = self._control.get_control(x.detach(), *args, **kwargs)
        return ordinary(residuals)


def conditional_maps(
    model: Any,
    entry: dict[str, Any],
    x: Tensor,
    timestep: Tensor,
    options: dict[str, Any],
    recorder: AttentionRecorder,
    sites: Sequence[Site],
) -> MapStack:
    """The maps of one pass of the conditional branch, ended after the last layer the recorder wants.

    model: the host's BaseModel, loaded. entry: one entry of its prepared conditioning. x (b, c, h, w): the sampler's
    latent, may require a gradient. timestep: (b,) sigmas. options: the run's model options; they are not changed.
    Raises SteeringError when the model did not run the wanted layers; the model is left as it was, whatever happens.
    """
    options = comfy.model_patcher.create_model_options_clone(options)
    options.pop("multigpu_clones", None)
    watch = _watch(recorder, sites)
    comfy.patcher_extension.add_wrapper_with_key(
        comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, _KEY, watch, options, is_model_options=True
    )
    if "control" in entry:
        entry = {**entry, "control": _ConstantControl(entry["control"])}
    try:
        comfy.samplers.calc_cond_batch(model, [[entry]], x, timestep, options)
    except StopForward:
        pass
    return recorder.maps()


def _watch(recorder: AttentionRecorder, sites: Sequence[Site]) -> Callable[..., Any]:
    """A wrapper of the diffusion model that listens to the layers the recorder wants, around one call of it."""

    def wrapper(executor: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        # (timesteps, context, y, control, transformer_options), by place in all hosts of today
        given = dict(zip(("timesteps", "context", "y", "control", "transformer_options"), args, strict=False))
        given.update(kwargs)
        given = {k: v if k == "transformer_options" else ordinary(v) for k, v in given.items()}
        options = dict(given.pop("transformer_options"))
        override = options.get("optimized_attention_override")
        options["optimized_attention_override"] = differentiable_attention(override)
        replace = dict(options.get("patches_replace", {}))
        attn2 = dict(replace.get("attn2", {}))
        for site in sites:
            if recorder.wants(site.layer):
                there = attn2.get(site.block, attn2.get(site.block[:2]))
                attn2[site.block] = _listen(site.layer, recorder, there)
        replace["attn2"] = attn2
        options["patches_replace"] = replace
        order = [given.pop(k, None) for k in ("timesteps", "context", "y", "control")]
        with ordinary_weights(executor.class_obj):
            return executor(ordinary(x), *order, options, **given)

    return wrapper


def _listen(
    layer: AttentionLayer, recorder: AttentionRecorder, there: Callable[..., Tensor] | None
) -> Callable[..., Tensor]:
    """An attn2 replacement that records and then does what would have been done without it."""

    def patch(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        heads = extra["n_heads"]
        query, key = (rearrange(t, "b n (heads d) -> b heads n d", heads=heads) for t in (q, k))
        height, width = extra["activations_shape"][-2:]
        _check_text(recorder, key)
        recorder.record(layer, query, key, query.shape[-1] ** -0.5, height, width)
        if there is not None:
            return there(q, k, v, extra)
        return comfy.ldm.modules.attention.optimized_attention(
            q, k, v, heads, attn_precision=extra.get("attn_precision"), transformer_options=extra
        )

    return patch


def _check_text(recorder: AttentionRecorder, key: Tensor) -> None:
    """Fit the recorder's weights to the text the model is really given.

    Where prompts of different lengths meet, the host repeats the shorter one; a word's tokens then stand in each of the
    repetitions, and its share of the attention is their sum.
    """
    weights, tokens = recorder.weights, key.shape[2]
    if tokens != weights.shape[2] and tokens % weights.shape[2] == 0:
        recorder.weights = weights.repeat(1, 1, tokens // weights.shape[2])
    elif tokens != weights.shape[2]:
        raise SteeringError(
            f"Expected a conditioning of {weights.shape[2]} text tokens, as the relations were found in, got {tokens}; "
            "connect the conditioning of the same Relation Prompt node, with nothing appended to it."
        )
