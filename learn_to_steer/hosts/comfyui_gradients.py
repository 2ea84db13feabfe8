"""Gradients through a model of ComfyUI, which runs everything under `torch.inference_mode`.

Four things stand in the way, and each is met here without a copy of the weights and without a lasting change:
weights made under inference mode cannot be saved for a backward pass (`ordinary_weights`), blocks add into saved tensors
in place (`comfyui_mutation.py`), some paths use kernels without a derivative unless the host believes it is training
(`gradients`), and so do some attention kernels (`differentiable_attention`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import comfy.ldm.flux.math as flux_math
import comfy.ldm.modules.attention
import comfy.model_management
import torch
from torch import Tensor, nn

from ..errors import SteeringError
from .comfyui_mutation import mutation_of_saved_tensors


def ordinary(value: Any) -> Any:
    """The same tensors, dicts, lists and tuples, with clones instead of inference tensors. Call it outside inference
    mode."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, dict):
        return {k: ordinary(v) for k, v in value.items()}
    if isinstance(value, list):
        return [ordinary(v) for v in value]
    if type(value) is tuple:
        return tuple(ordinary(v) for v in value)
    return value


@contextmanager
def ordinary_weights(model: nn.Module) -> Iterator[None]:
    """Inside, no parameter and no buffer of `model` is an inference tensor or asks for a gradient.

    Each is replaced by an ordinary tensor over the same memory - nothing is copied - and the original object is put back
    at the end. A backward pass may follow after that: it holds the stand-ins itself. Where the host has meanwhile put
    another tensor in the place (a LoRA hook), that one stays.
    """
    replaced: list[tuple[dict[str, Any], str, Any, Any]] = []
    asking: list[Tensor] = []
    plain_results: AbstractContextManager[Any] = nullcontext()
    try:
        for module in model.modules():
            stores: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for store in stores:
                for name, tensor in store.items():
                    if tensor is None:
                        continue
                    if _holds_bytes(tensor):
                        plain_results = torch._C.DisableTorchFunctionSubclass()
                    if not tensor.is_inference():
                        if tensor.requires_grad and tensor.is_leaf:
                            asking.append(tensor.requires_grad_(False))
                        continue
                    if unpacked_when_used(tensor):
                        continue
                    stand_in: Tensor = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(
                        tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride()
                    )
                    if store is module._parameters:
                        stand_in = nn.Parameter(stand_in, requires_grad=False)
                        # The host keeps facts about a weight as attributes on it.
                        stand_in.__dict__.update(tensor.__dict__)
                    replaced.append((store, name, tensor, stand_in))
                    store[name] = stand_in
        with plain_results:
            yield
    finally:
        for store, name, tensor, stand_in in replaced:
            if store.get(name) is stand_in:
                store[name] = tensor
        for tensor in asking:
            tensor.requires_grad_(True)


def unpacked_when_used(tensor: Tensor) -> bool:
    """Whether a weight is packed - the host's quantised tensors, the bytes of GGUF files - and becomes an ordinary tensor
    anew at each use."""
    return type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or _holds_bytes(tensor)


def _holds_bytes(tensor: Tensor) -> bool:
    """Whether a weight is a class of its own over bytes, as packs that load GGUF files make. What is computed of one
    would be of that class too, and such packs undo it by means that a look does not allow."""
    return type(tensor) not in (Tensor, nn.Parameter) and not tensor.is_floating_point()


@contextmanager
def gradients() -> Iterator[None]:
    """Inside, gradients can be taken through the host's blocks, forward and backward.

    The host's own flag for "training" chooses differentiable code paths (rotary embeddings, quantised matrices) and is
    put back. Raises SteeringError where a model's kernels have no derivative; other errors pass.
    """
    management = comfy.model_management
    before = getattr(management, "in_training", None)
    with torch.inference_mode(False), torch.enable_grad(), _plain_rotation(before is None):
        try:
            if before is not None:
                management.in_training = True
            with mutation_of_saved_tensors():
                yield
        except RuntimeError as error:
            if any(sign in str(error) for sign in _NO_DERIVATIVE):
                raise SteeringError(
                    "Expected a model whose operations all have a derivative, but this one's do not "
                    f"({str(error).splitlines()[0][:120]}); load it unquantised (fp16, bf16 or fp32) or without the "
                    "node that replaces its kernels."
                ) from error
            raise
        finally:
            if before is not None:
                management.in_training = before


@contextmanager
def _plain_rotation(wanted: bool) -> Iterator[None]:
    """Inside, where wanted, the host's rotary embedding is made of plain operations, which have a derivative.

    Hosts that know no training (0.8) always call a fused kernel without one. Models hold it under its name in their own
    modules.
    """
    replaced: list[tuple[Any, str, Any]] = []
    stand_ins: dict[str, Any] = {"apply_rope1": _rotated, "apply_rope": _both_rotated}
    kernels = {name: getattr(flux_math, name) for name in stand_ins if wanted and hasattr(flux_math, name)}
    try:
        for module in [m for name, m in sys.modules.items() if kernels and name.startswith("comfy.ldm.")]:
            for name, kernel in kernels.items():
                if module.__dict__.get(name) is kernel:
                    replaced.append((module, name, kernel))
                    setattr(module, name, stand_ins[name])
        yield
    finally:
        for module, name, kernel in replaced:
            setattr(module, name, kernel)


def _rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """Each pair of neighbours of x (..., d) turned by a 2 x 2 matrix of rotation (..., d / 2, 2, 2) (RoFormer)."""
    pairs = x.to(rotation.dtype).reshape(*x.shape[:-1], -1, 1, 2)
    turned = rotation[..., 0] * pairs[..., 0] + rotation[..., 1] * pairs[..., 1]
    return turned.reshape(x.shape).type_as(x)


def _both_rotated(q: Tensor, k: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor]:
    return _rotated(q, rotation), _rotated(k, rotation)


_NO_DERIVATIVE = (
    "Inference tensors cannot be saved for backward",
    "does not require grad and does not have a grad_fn",
    "appears to not have been used in the graph",
    "derivative for",
    "Trying to backward through",
    "no autograd formula",
)


def differentiable_attention(previous: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """An `optimized_attention_override` whose result has a gradient.

    previous: the override that is there already; it is called, and given PyTorch's attention as the function to use.
    Where its own kernel drops the gradient, PyTorch's attention is used in its place for this pass.
    """
    kernel = comfy.ldm.modules.attention.attention_pytorch
    kernel = getattr(kernel, "__wrapped__", kernel)

    def override(
        func: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any
    ) -> Tensor:
        if previous is not None:
            result = previous(kernel, q, k, v, *args, **kw)
            wants = q.requires_grad or k.requires_grad or v.requires_grad
            if result.requires_grad or not wants or not torch.is_grad_enabled():
                return result
        return kernel(q, k, v, *args, **kw)

    return override
