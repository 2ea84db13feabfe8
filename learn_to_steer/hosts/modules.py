"""Modules for a moment: ready for a gradient, or watched by hooks that are gone at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Inside, no parameter of `model` asks for a gradient, and a backward pass can go through all of them; afterwards
    each is as it was.

    Weights that were made under `torch.inference_mode` cannot be saved for a backward pass: ordinary tensors over the same
    memory stand in for them.
    """
    asking: list[Tensor] = []
    replaced: list[tuple[dict[str, Any], str, Tensor, Tensor]] = []
    try:
        for module in model.modules():
            stores: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for store in stores:
                for name, tensor in store.items():
                    if tensor is None:
                        continue
                    if tensor.is_inference():
                        replaced.append((store, name, tensor, _stand_in(tensor)))
                        store[name] = replaced[-1][3]
                    elif tensor.requires_grad and tensor.is_leaf:
                        asking.append(tensor.requires_grad_(False))
        yield
    finally:
        for store, name, tensor, stand_in in replaced:
            if store.get(name) is stand_in:  # offloading may have put another tensor in the place
                store[name] = tensor
        for tensor in asking:
            tensor.requires_grad_(True)


def _stand_in(tensor: Tensor) -> Tensor:
    with torch.inference_mode(False):
        other: Tensor = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        other.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())
    return nn.Parameter(other, requires_grad=False) if isinstance(tensor, nn.Parameter) else other


def for_autograd(value: Any) -> Any:
    """The same tensors, dicts, lists and tuples, with clones instead of tensors that were made under
    `torch.inference_mode`, which a backward pass refuses. Call it outside inference mode."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, dict):
        return {k: for_autograd(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(for_autograd(v) for v in value)
    return value


@contextmanager
def hooked(handles: list[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    """Remove these hooks at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def digest(module: nn.Module | None) -> str:
    """SHA-256 of all weights in order; of nothing for None."""
    state = module.state_dict() if module is not None else {}
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
