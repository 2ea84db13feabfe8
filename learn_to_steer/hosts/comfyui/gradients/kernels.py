"""Gradients through a model of ComfyUI, which runs everything under `torch.inference_mode`.

Four things stand in the way, and each is met without a copy of the weights and without a lasting change: weights made
under inference mode cannot be saved for a backward pass (`weights.py`), blocks add into saved tensors in place
(`mutation.py`), some paths use kernels without a derivative unless the host believes it is training (`gradients`), and so
do some attention kernels (`differentiable_attention`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ....errors import SteeringError
from .mutation import mutation_of_saved_tensors


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
    # A model that uses it has imported it.
    fused = sys.modules.get("comfy.ldm.flux.math") if wanted else None
    kernels = {name: getattr(fused, name) for name in stand_ins if hasattr(fused, name)}
    try:
        for module in [
            m for name, m in sys.modules.items() if kernels and m and name.startswith("comfy.ldm.")
        ]:
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


def attention_function(name: str) -> Callable[..., Tensor]:
    """The host's attention of this name. Raises SteeringError where the host has it no longer."""
    try:
        return getattr(import_module("comfy.ldm.modules.attention"), name)
    except (ImportError, AttributeError) as error:
        raise SteeringError(
            f"Expected ComfyUI's attention function {name}, which this version does not have ({error}); update this pack."
        ) from error


def differentiable_attention(previous: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    """An `optimized_attention_override` whose result has a gradient.

    previous: the override that is there already; it is called, and given PyTorch's attention as the function to use.
    Where its own kernel drops the gradient, PyTorch's attention is used in its place for this pass.
    """
    kernel = attention_function("attention_pytorch")
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
