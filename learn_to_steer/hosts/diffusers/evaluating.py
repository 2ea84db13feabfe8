"""A denoiser of diffusers as an evaluation needs it, for a moment.

An evaluation asks what the model attends to at this latent, and where the latent must go. Features of diffusers that make
the pipeline's own calls cheaper stand in its way: caches would answer with what an earlier call saw, and take the
evaluation for a call of the pipeline; layerwise casting swaps the weights that a backward pass holds; `torch.autocast` is
meant for forward passes only. Each is set aside here and put back, whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..modules import frozen

T = TypeVar("T")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, forward passes of `model` and the backward passes through them are evaluations; afterwards it is as before.

    May be entered again inside: a forward pass alone needs it as well.
    """
    with ExitStack() as stack:
        stack.enter_context(frozen(model))
        stack.enter_context(_without_caches(model))
        stack.enter_context(_casting_copies(model))
        yield


class Autocast:
    """The state of `torch.autocast` on a device at the moment this is made."""

    def __init__(self, device: torch.device) -> None:
        self._kind = device.type
        self._enabled = torch.is_autocast_enabled(self._kind)
        self._dtype = torch.get_autocast_dtype(self._kind)

    def on(self) -> AbstractContextManager[Any]:
        """Inside, it is as it was: for forward passes of the model."""
        return torch.autocast(self._kind, dtype=self._dtype, enabled=self._enabled)

    def off(self) -> AbstractContextManager[Any]:
        """Inside, there is none: for everything that keeps its own precision."""
        return torch.autocast(self._kind, enabled=False)


@contextmanager
def checkpointed(model: nn.Module, but: nn.Module | None) -> Iterator[None]:
    """Inside, modules whose gradient checkpointing is enabled do it for every block but one: a pass that is ended inside a
    checkpointed block would leave its bookkeeping behind."""

    def run(block: nn.Module, *arguments: Any) -> Any:
        if block is but:
            return block(*arguments)
        return checkpoint(block, *arguments, use_reentrant=False)

    before: list[tuple[Any, Any]] = []
    try:
        for module in model.modules():
            if getattr(module, "gradient_checkpointing", False):
                before.append((module, module._gradient_checkpointing_func))
                module._gradient_checkpointing_func = run  # type: ignore[assignment]
        yield
    finally:
        for module, function in before:
            module._gradient_checkpointing_func = function


def unchecked() -> AbstractContextManager[Any]:
    """Inside, what a backward pass needs is kept: for maps that are taken inside a checkpointed block but are no part of
    it, and so not of what is dropped and computed again."""
    return torch.autograd.graph.saved_tensors_hooks(_kept, _kept)


def _kept(tensor: Tensor) -> Tensor:
    return tensor


@contextmanager
def _without_caches(model: nn.Module) -> Iterator[None]:
    """Inside, diffusers' caches (`enable_cache`, `apply_pyramid_attention_broadcast` and their like) and DeepCache neither
    answer nor listen. Hooks that keep no state, such as offloading, go on working."""
    hooks: list[tuple[Any, tuple[Any, Any, Any]]] = []
    overridden: list[tuple[nn.Module, Any]] = []
    try:
        for module in model.modules():
            for hook in _hooks(module):
                if _remembers(hook):
                    way = hook.fn_ref
                    hooks.append((way, (way.pre_forward, way.forward, way.post_forward)))
                    way.pre_forward, way.post_forward = _as_it_comes, _as_it_goes
                    way.forward = way.original_forward or way.forward
            forward = vars(module).get("forward")
            if getattr(forward, "__module__", "").split(".")[0] == "DeepCache":
                overridden.append((module, forward))
                del module.forward
        yield
    finally:
        for way, parts in hooks:
            way.pre_forward, way.forward, way.post_forward = parts
        for module, forward in overridden:
            module.forward = forward


def _remembers(hook: Any) -> bool:
    """Whether a hook keeps something from one call for the next: its own word for it is not always right."""
    shared = any(type(value).__name__ == "StateManager" for value in vars(hook).values())
    return bool(shared or getattr(hook, "_is_stateful", False))


def _as_it_comes(module: nn.Module, *arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return arguments, keywords


def _as_it_goes(module: nn.Module, output: T) -> T:
    return output


@contextmanager
def _casting_copies(model: nn.Module) -> Iterator[None]:
    """Inside, layerwise casting (`enable_layerwise_casting`) computes with copies of the weights. As a rule it casts the
    weights themselves, there and back, and a backward pass then finds them in the dtype they are stored in.

    Raises nothing of its own. The copies live as long as a backward pass may need them; gradient checkpointing drops them
    with everything else.
    """
    before: list[tuple[Any, tuple[Any, Any]]] = []
    originals: dict[nn.Module, dict[str, Any]] = {}

    def restore(module: nn.Module, output: T | None = None) -> T | None:
        module._parameters.update(originals.pop(module, {}))
        return output

    def copying(dtype: torch.dtype) -> Callable[..., tuple[Any, Any]]:
        def cast(module: nn.Module, *arguments: Any, **keywords: Any) -> tuple[Any, Any]:
            originals[module] = dict(module._parameters)
            for name, weight in originals[module].items():
                if weight is not None and weight.is_floating_point():
                    module._parameters[name] = nn.Parameter(weight.detach().to(dtype), requires_grad=False)
            return arguments, keywords

        return cast

    try:
        for module in model.modules():
            for hook in _hooks(module):
                if hasattr(hook, "storage_dtype") and hasattr(hook, "compute_dtype"):
                    way = hook.fn_ref
                    before.append((way, (way.pre_forward, way.post_forward)))
                    way.pre_forward, way.post_forward = copying(hook.compute_dtype), restore
        yield
    finally:
        for module in list(originals):  # of passes that ended by an exception
            restore(module)
        for way, parts in before:
            way.pre_forward, way.post_forward = parts


def _hooks(module: nn.Module) -> list[Any]:
    """What diffusers has wrapped around this module's forward."""
    registry = getattr(module, "_diffusers_hook", None)
    return list(registry.hooks.values()) if registry is not None else []
