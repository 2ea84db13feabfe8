"""Activation checkpointing in ComfyUI's joint-attention transformers (Chen et al., 2016: sublinear memory).

A gradient needs what every block computed on the way. For a large model at one megapixel that is more than its weights.
Here each block keeps its input only, and is run again when the backward pass reaches it: about a third more work. The
blocks are wrapped where the host offers it, in `patches_replace["dit"]`, chained to a patch that is already there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CellType, FunctionType
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ....attention import AttentionRecorder
from ..read.layouts import replaceable_block
from ..read.located import LocatedLayer
from .weights import unpacked_when_used, weights_for_autograd

_STATES = ("img", "txt")
"""What the host's blocks hand on to one another."""


def needed(model: Any, x: Tensor, located: Sequence[LocatedLayer], recorder: AttentionRecorder) -> bool:
    """Whether what a backward pass keeps might not fit into half of the free memory.

    model: the host's BaseModel. x (b, c, h, w): its input. Reckoned from the host's own figure for a call, which never
    holds more than one block's activations at a time, and from the weights that are made anew for each use: a gradient
    keeps these too.
    """
    if replaceable_block(model.diffusion_model, located[0]) is None:
        return False
    blocks = 1 + _last(located, recorder)
    free = comfy.model_management.get_free_memory(x.device)
    made = _made_when_used(model, x.device) * blocks / len(located)
    return blocks * model.memory_required(list(x.shape)) + made > free / 2


def _made_when_used(model: Any, device: torch.device) -> int:
    """Bytes of the weights that are unpacked, cast or brought to the device at each use."""
    compute = getattr(model, "manual_cast_dtype", None) or model.get_dtype()
    return sum(
        weight.numel() * compute.itemsize
        for weight in model.diffusion_model.parameters()
        if weight.device != device or weight.dtype != compute or unpacked_when_used(weight)
    )


def checkpoint_blocks(
    recorder: AttentionRecorder, located: Sequence[LocatedLayer], network: Any, options: dict[str, Any]
) -> None:
    """Hang checkpointing into the transformer options of one pass, for every block before the last that is read: the
    pass is ended inside that one. UNets, and transformers whose blocks the host lets nobody replace (Stable
    Diffusion 3, Z-Image, Lumina 2, OmniGen2), are left as they are.
    """
    replace = dict(options.get("patches_replace", {}))
    blocks = dict(replace.get("dit", {}))
    for one in located[: _last(located, recorder)]:
        stage, number, _ = one.block
        module = replaceable_block(network, one)
        if module is not None:
            key = (f"{stage}_block", number)
            blocks[key] = _checkpointed(one, module, recorder, blocks.get(key))
    replace["dit"] = blocks
    options["patches_replace"] = replace


def _last(located: Sequence[LocatedLayer], recorder: AttentionRecorder) -> int:
    """Number of the last block that is read; the pass is ended inside it."""
    return max(i for i, one in enumerate(located) if recorder.wants(one.layer))


def _checkpointed(
    one: LocatedLayer, module: Any, recorder: AttentionRecorder, there: Callable[..., Any] | None
) -> Callable[..., dict[str, Any]]:
    """A replacement of one block that does what would have been done, keeping the block's input only."""
    stage, number, _ = one.block

    def replacement(given: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        block = _of_now(extra["original_block"])
        names = [name for name in _STATES if name in given]
        wanted = recorder.wants(one.layer)
        # The host goes on writing into its options; a second run must see those of the first.
        named = {**given["transformer_options"], "block_type": stage, "block_index": number}

        def run(*states: Tensor) -> tuple[Tensor, ...]:
            # Blocks add into their input in place.
            clones = {name: state.clone() for name, state in zip(names, states, strict=True)}
            arguments = {**given, **clones, "transformer_options": named}
            out = block(arguments) if there is None else there(arguments, {**extra, "original_block": block})
            maps = (recorder.take(one.layer),) if wanted else ()
            return (*(out[name] for name in names), *maps)

        def run_again(*states: Tensor) -> tuple[Tensor, ...]:
            recorder.stop = False
            if wanted:
                recorder.take(one.layer)
            with weights_for_autograd(module):
                return run(*states)

        results = _InputOnly.apply(run, run_again, *(given[name] for name in names))
        if wanted:
            recorder.put(one.layer, results[-1])
        return dict(zip(names, results, strict=False))

    return replacement


def _of_now(function: Any) -> Any:
    """A function whose surrounding variables keep today's values: the host's loop goes on to another block."""
    cells = tuple(CellType(cell.cell_contents) for cell in function.__closure__ or ())
    return FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
    )


class _InputOnly(torch.autograd.Function):
    """A function of tensors whose backward pass begins with running it again."""

    @staticmethod
    def forward(
        ctx: Any,
        run: Callable[..., tuple[Tensor, ...]],
        run_again: Callable[..., tuple[Tensor, ...]],
        *states: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.run_again = run_again
        ctx.save_for_backward(*states)
        return run(*states)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        needs = ctx.needs_input_grad[2:]
        states = [s.detach().requires_grad_(n) for s, n in zip(ctx.saved_tensors, needs, strict=True)]
        with torch.enable_grad():
            results = ctx.run_again(*states)
        pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if g is not None and r.requires_grad]
        found = torch.autograd.grad(
            [result for result, _ in pairs],
            [state for state in states if state.requires_grad],
            [gradient for _, gradient in pairs],
            allow_unused=True,
        )
        slopes = iter(found)
        return (None, None, *(next(slopes) if need else None for need in needs))
