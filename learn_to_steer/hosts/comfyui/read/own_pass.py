"""The maps of the sampler's own pass, which cost nothing more than reading them.

The sampler's call of its model goes through the same attentions as an evaluation, its conditional rows among others:
the host says which in `cond_or_uncond`. They are read there, by the kernels that the host would have used anyway.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
import torch
from torch import Tensor

from ....attention import AttentionRecorder, MapStack
from ....errors import SteeringError
from .evaluation import reader_of
from .located import LocatedLayer

_KEY = "learn_to_steer_own_pass"


def reading_along(
    options: dict[str, Any],
    weights: Tensor,
    located: Sequence[LocatedLayer],
    layers: tuple[str, ...] | None,
    take: Callable[[MapStack], None],
) -> dict[str, Any]:
    """Model options under which the next pass of the conditional branch is read: a copy of `options` with one more wrapper.

    weights (B, O, T): tokens of the objects, one row an image. layers: names to read. take: is given the maps, once. A
    pass in which the conditional branch has other rows than the images, as with areas or several prompts, is left
    unread.
    """
    options = comfy.model_patcher.create_model_options_clone(options)
    patching = comfy.patcher_extension
    done = False

    def wrapper(executor: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        network = executor.class_obj
        signature = inspect.signature(executor.original)
        call = signature.bind(*args, **kwargs)
        further = next((n for n, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), "")
        given = {**call.arguments, **call.arguments.get(further, {})}
        said = dict(given.get("transformer_options") or {})
        rows = _conditional_rows(said.get("cond_or_uncond"), given["x"].shape[0], len(weights))
        if done or rows is None:
            return executor(*args, **kwargs)
        recorder = AttentionRecorder(weights, [one.layer for one in located], layers, stop=False, rows=rows)
        try:
            reader_of(network).listen(recorder, located, network, given, said, gradients=False)
            if "transformer_options" in signature.parameters:
                call.arguments["transformer_options"] = said
            else:
                call.arguments[further] = {**call.arguments.get(further, {}), "transformer_options": said}
            result = executor(*call.args, **call.kwargs)
        except SteeringError:
            # What an evaluation can read may stand otherwise among the rows of both branches: the picture comes first.
            done = True
            return executor(*args, **kwargs)
        if recorder.done:
            done = True
            with torch.no_grad():
                take(recorder.maps())
        return result

    patching.add_wrapper_with_key(
        patching.WrappersMP.DIFFUSION_MODEL, _KEY, wrapper, options, is_model_options=True
    )
    return options


def _conditional_rows(chunks: Sequence[int] | None, rows: int, images: int) -> slice | None:
    """The rows of a pass that are the images' conditional ones; None where that cannot be told. chunks: the host's
    `cond_or_uncond`, 0 for a conditional chunk of rows."""
    if not chunks or list(chunks).count(0) != 1 or rows != len(chunks) * images:
        return None
    begin = list(chunks).index(0) * images
    return slice(begin, begin + images)
