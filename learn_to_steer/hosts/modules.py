"""Modules for a moment: ready for a gradient, or watched by hooks that are gone at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


def stored(model: nn.Module) -> Iterator[tuple[dict[str, Tensor | None], str, Tensor]]:
    """Every parameter and buffer of a model: where it is stored, under which name, and the tensor."""
    for module in model.modules():
        stores: tuple[Any, ...] = (module._parameters, module._buffers)
        for store in stores:
            for name, tensor in list(store.items()):
                if tensor is not None:
                    yield store, name, tensor


@contextmanager
def frozen(model: nn.Module, leave: Callable[[Tensor], bool] = lambda tensor: False) -> Iterator[None]:
    """Inside, no parameter of `model` asks for a gradient, and a backward pass can go through all of them; afterwards
    each is as it was.

    Weights that were made under `torch.inference_mode` cannot be saved for a backward pass: ordinary tensors over the same
    memory - nothing is copied - stand in for them, except for those that `leave` names. A backward pass may follow after
    the end: it holds the stand-ins itself. Where another tensor has meanwhile come into the place (offloading, a LoRA
    hook), that one stays.
    """
    asking: list[Tensor] = []
    replaced: list[tuple[dict[str, Tensor | None], str, Tensor, Tensor]] = []
    try:
        for store, name, tensor in stored(model):
            if not tensor.is_inference():
                if tensor.requires_grad and tensor.is_leaf:
                    asking.append(tensor.requires_grad_(False))
            elif not leave(tensor):
                replaced.append((store, name, tensor, _stand_in(tensor)))
                store[name] = replaced[-1][3]
        yield
    finally:
        for store, name, tensor, stand_in in replaced:
            if store.get(name) is stand_in:
                store[name] = tensor
        for tensor in asking:
            tensor.requires_grad_(True)


def _stand_in(tensor: Tensor) -> Tensor:
    with torch.inference_mode(False):
        other: Tensor = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        other.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())
        if not isinstance(tensor, nn.Parameter):
            return other
        weight = nn.Parameter(other, requires_grad=False)
    # Hosts keep facts about a weight as attributes on it.
    weight.__dict__.update(tensor.__dict__)
    return weight


def for_autograd(value: T) -> T:
    """The same tensors, dicts, lists and tuples, with clones instead of tensors that were made under
    `torch.inference_mode`, which a backward pass refuses. Call it outside inference mode."""
    given: Any = value  # no checker can tell that each branch gives back what it was given
    if isinstance(given, Tensor):
        given = given.clone() if given.is_inference() else given
    elif isinstance(given, dict):
        given = {k: for_autograd(v) for k, v in given.items()}
    elif isinstance(given, list):
        given = [for_autograd(v) for v in given]
    elif type(given) is tuple:
        given = tuple(for_autograd(v) for v in given)
    return given


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
