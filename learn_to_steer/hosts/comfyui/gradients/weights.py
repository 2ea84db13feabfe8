"""Weights made under `torch.inference_mode` cannot be saved for a backward pass: stand-ins over the same memory can."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


def for_autograd(value: Any) -> Any:
    """The same tensors, dicts, lists and tuples, with clones instead of inference tensors. Call it outside inference
    mode."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, dict):
        return {k: for_autograd(v) for k, v in value.items()}
    if isinstance(value, list):
        return [for_autograd(v) for v in value]
    if type(value) is tuple:
        return tuple(for_autograd(v) for v in value)
    return value


@contextmanager
def weights_for_autograd(model: nn.Module) -> Iterator[None]:
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
