"""One pass of a ComfyUI model on its conditional branch, read: what UNets and joint-attention transformers share.

The pass goes through the host's own `calc_cond_batch`, so areas, masks, ControlNet, LoRA hooks and whatever other packs
have hung into the model take part. What is recorded, and where it is taken, is the reader's business
(`unet.py`, `joint.py`); it is put in place by a wrapper around this one pass only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
import comfy.samplers
import torch
from torch import Tensor

from ....attention import AttentionRecorder, MapStack, StopForward
from ....errors import UnreadableModel
from ...families import FLUX_LAYOUT, JOINT_FAMILIES, UNET_FAMILIES
from ...modules import for_autograd
from ..gradients import checkpointing as comfyui_checkpointing
from ..gradients.weights import weights_for_autograd
from . import joint as comfyui_mmdit
from . import unet as comfyui_unet
from .host_classes import is_a
from .located import LocatedLayer

_KEY = "learn_to_steer_reading"


def located_layers(network: Any) -> list[LocatedLayer]:
    """The attentions of a host model (its `diffusion_model`) that can be read, in execution order.

    Raises UnreadableModel for a model that is neither a UNet nor one of the transformers of `layouts.py`.
    """
    return reader_of(network).located_layers(network)


def reader_of(network: Any) -> Any:
    """The module that reads this kind of model."""
    for reader in (comfyui_unet, comfyui_mmdit):
        if is_a(network, reader.NETWORKS):
            return reader
    raise UnreadableModel(
        "Expected a UNet (Stable Diffusion 1.x, 2.x, XL) or a transformer with joint attention (Stable Diffusion 3, Flux, "
        f"Flux.2, Chroma, Qwen-Image, Z-Image, Lumina 2, AuraFlow, OmniGen2), got {type(network).__name__}; models of this "
        "kind cannot be steered by these nodes, give the sampler the plain model."
    )


def model_family(model: Any) -> str:
    """The family of a host model: its own word for it (EmojiWorld), else by its layout."""
    config = model.model_config
    if named := type(config).__dict__.get("learn_to_steer_family"):
        return named
    layout = config.unet_config
    if layout.get("image_model") == "flux":
        sizes = tuple(layout.get(k) for k in ("depth", "depth_single_blocks", "num_heads"))
        return "flux" if sizes == FLUX_LAYOUT else "custom"
    if layout.get("z_image_modulation"):
        return "z-image"
    if "context_embedder_config" in layout:
        return "sd3"
    if "cond_seq_dim" in layout:
        return "auraflow"
    if (family := JOINT_FAMILIES.get(layout.get("image_model"))) is not None:
        return family
    return UNET_FAMILIES.get(layout.get("context_dim"), "custom")


def holding_now(conds: Sequence[dict[str, Any]], timestep: Tensor) -> list[dict[str, Any]]:
    """The entries of a conditioning that hold at this noise level (prompt scheduling). timestep: (B,) sigmas."""
    return [
        c
        for c in conds
        if not ("timestep_start" in c and timestep[0] > c["timestep_start"])
        and not ("timestep_end" in c and timestep[0] < c["timestep_end"])
    ]


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
        with torch.no_grad():
            return for_autograd(self._control.get_control(x.detach(), *args, **kwargs))


def conditional_maps(
    model: Any,
    entry: dict[str, Any],
    x: Tensor,
    timestep: Tensor,
    options: dict[str, Any],
    recorder: AttentionRecorder,
    located: Sequence[LocatedLayer],
    checkpointing: bool | None = None,
) -> MapStack:
    """The maps of one pass of the conditional branch, ended after the last layer the recorder wants.

    model: the host's BaseModel, loaded. entry: one entry of its prepared conditioning. x (b, c, h, w), in some models
    (b, c, 1, h, w): the sampler's latent, may require a gradient. timestep: (b,) sigmas. options: the run's model options;
    they are not changed.
    checkpointing: see `gradients/checkpointing.py`; None: where memory might not do otherwise.
    Raises SteeringError when the model did not run the wanted layers; the model is left as it was, whatever happens.
    """
    options = options_of_evaluation(options)
    if checkpointing is None:
        checkpointing = x.requires_grad and comfyui_checkpointing.needed(model, x, located, recorder)
    watch = watching(recorder, located, checkpointing)
    if "control" in entry:
        entry = {**entry, "control": _ConstantControl(entry["control"])}
    with _in_place(watch, model.diffusion_model, options):
        try:
            comfy.samplers.calc_cond_batch(model, [[entry]], x, timestep, options)
        except StopForward:
            pass
    return recorder.maps()


def options_of_evaluation(options: dict[str, Any]) -> dict[str, Any]:
    """A copy of a run's model options for one pass outside of its steps: on one device, and without wrappers that answer
    from a cache instead of running the model (the host's EasyCache, and what calls itself a cache too): an evaluation
    needs the model itself, and is no step that a cache should count."""
    options = comfy.model_patcher.create_model_options_clone(options)
    options.pop("multigpu_clones", None)
    for holder in (options, options.get("transformer_options", {})):
        for by_key in holder.get("wrappers", {}).values():
            for key in [key for key in by_key if "cache" in str(key).lower()]:
                del by_key[key]
    return options


@contextmanager
def _in_place(watch: Callable[..., Any], network: Any, options: dict[str, Any]) -> Iterator[None]:
    """Inside, every call of the network goes through `watch`: as a wrapper of these model options, and where the network
    calls no wrappers (Stable Diffusion 3, OmniGen2) in the place of its `forward`."""
    patching = comfy.patcher_extension
    if reader_of(network).calls_wrappers(network):
        patching.add_wrapper_with_key(
            patching.WrappersMP.DIFFUSION_MODEL, _KEY, watch, options, is_model_options=True
        )
        yield
        return
    before = network.__dict__.get("forward")
    network.forward = patching.WrapperExecutor.new_class_executor(network.forward, network, [watch]).execute
    try:
        yield
    finally:
        if before is None:
            del network.forward
        else:
            network.forward = before


def watching(
    recorder: AttentionRecorder, located: Sequence[LocatedLayer], checkpointing: bool = False
) -> Callable[..., Any]:
    """A wrapper of the diffusion model that listens to the layers the recorder wants, around one call of it."""

    def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
        network = executor.class_obj
        # Models differ in the order of their arguments, not in the names; some take options among further keywords.
        signature = inspect.signature(executor.original)
        call = signature.bind(*args, **kwargs)
        further = next((n for n, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), "")
        given = {**call.arguments, **call.arguments.get(further, {})}
        given.pop(further, None)
        options = dict(given.pop("transformer_options", None) or {})
        given = for_autograd(given)
        reader_of(network).listen(recorder, located, network, given, options)
        if checkpointing:
            comfyui_checkpointing.checkpoint_blocks(recorder, located, network, options)
        given["transformer_options"] = options
        if further:
            call.arguments[further] = {n: given.pop(n) for n in list(given) if n not in signature.parameters}
        call.arguments.update(given)
        with weights_for_autograd(network):
            return executor(*call.args, **call.kwargs)

    return wrapper
