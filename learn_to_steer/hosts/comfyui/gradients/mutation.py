"""In-place operations on tensors that a backward pass has saved: the host's blocks add into their own inputs.

PyTorch has a context for this, `torch.autograd.graph.allow_mutation_on_saved_tensors`, which knows saved tensors by the
address of their Python object. Once it has copied one and let go of it, another may be made at that address and be taken
for the first, and the gradient is wrong, now and then (seen in 2.11 with a ControlNet). Here a saved tensor is known by a
handle that keeps it, memory and all, until it is copied.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class _Saved:
    """A tensor as it was when it was saved."""

    def __init__(self, tensor: Tensor) -> None:
        self.value: Tensor | None = tensor
        self.version = tensor._version


class _CopyBeforeWriting(TorchDispatchMode):
    """Before an operation writes into memory that a saved tensor uses, the saved tensor becomes a copy."""

    def __init__(self) -> None:
        super().__init__()
        self._by_memory: dict[int, weakref.WeakSet[_Saved]] = {}
        self._all: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def save(self, tensor: Tensor) -> _Saved:
        """The handle of a tensor that is being saved, the same one if it is saved again unchanged."""
        there = self._by_memory.setdefault(_memory(tensor), weakref.WeakSet())
        for saved in there:
            if saved.value is tensor and saved.version == tensor._version:
                return saved
        saved = _Saved(tensor)
        there.add(saved)
        self._all.add(saved)
        return saved

    def let_go(self) -> None:
        """Forget every tensor: one that was written into may hold the graph that holds its handle."""
        for saved in self._all:
            saved.value = None
        self._by_memory.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for place, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[place] if place < len(args) else kwargs.get(argument.name)
                for tensor in given if isinstance(given, (list, tuple)) else [given]:
                    if isinstance(tensor, Tensor):
                        self._copy_what_uses(tensor)
        return func(*args, **kwargs)

    def _copy_what_uses(self, tensor: Tensor) -> None:
        # A handle that is not a copy yet keeps its memory, so no other tensor can be found under the same number.
        for saved in self._by_memory.pop(_memory(tensor), ()):
            if saved.value is not None:
                saved.value = saved.value.clone()


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


@contextmanager
def mutation_of_saved_tensors() -> Iterator[None]:
    """Inside, forward and backward passes may be run through blocks that write into saved tensors; gradients are those
    of the values at the time of saving."""
    mode = _CopyBeforeWriting()
    try:
        with mode, torch.autograd.graph.saved_tensors_hooks(mode.save, lambda saved: saved.value):
            yield
    finally:
        mode.let_go()
