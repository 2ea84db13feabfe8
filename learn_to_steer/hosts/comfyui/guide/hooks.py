"""Where the bias is put into a pass of a host model: the attentions that are read, reached in the same ways (`read/`).

UNets: `patches_replace["attn2"]`, joint attention: `optimized_attention_override`, each chained to what is there already.

What is hung in are the same functions in every pass, which ask what the present pass is: a compiled model is compiled anew
for every function that it has not met. The compiler leaves them out of its graphs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..gradients.kernels import attention_function
from ..read import joint, unet
from ..read.host_classes import is_a
from ..read.layouts import Arrangement, arrangement, layout_of
from ..read.located import LocatedLayer
from .kernel import by_head, with_bias, with_difference
from .layers import GuidedPass


class Hooks(threading.local):
    """Functions that stand in for attention. present: the pass of this thread that they guide, None for none; what else
    they know of it is kept beside it."""

    present: GuidedPass | None = None
    joint: _Joint | None = None

    def __init__(self) -> None:
        self._made: dict[tuple[str, Any], Callable[..., Tensor]] = {}

    def cross(self, there: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
        """A replacement of a UNet's cross-attention. there: the one that was there."""
        return self._made.setdefault(("cross", there), _cross(self, there))

    def override(self, there: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
        """An `optimized_attention_override`, chained to the one that was there."""
        return self._made.setdefault(("override", there), _override(self, there))


_SHARED = Hooks()
"""For passes in which no other pack stands in for attention: their functions outlast a run."""


class _Joint:
    """How the tokens of the present pass are arranged, and how many of its joint attentions have been."""

    def __init__(self, network: Any, located: Sequence[LocatedLayer], given: dict[str, Any]) -> None:
        text = given["context"].shape[1]
        self.located = located
        self.padded = layout_of(network).padded_in_front(network)
        self.place = arrangement(network, text, given["x"], given.get("ref_latents") or ())
        self.by_place = {one.block[:2]: one.layer for one in located}
        self.calls = 0


@contextmanager
def hung(
    guided: GuidedPass,
    own: Hooks,
    located: Sequence[LocatedLayer],
    network: Any,
    given: dict[str, Any],
    options: dict[str, Any],
) -> Iterator[None]:
    """Inside, the bias hangs in the transformer options of one pass, which are changed in place.

    own: of the run, for a pass in which others stand in for attention. given: `x` (B, c, h, w), `context` (B, T, width) and
    `ref_latents` of the pass.
    """
    crossing = is_a(network, unet.NETWORKS)
    attn2 = dict(options.get("patches_replace", {}).get("attn2", {})) if crossing else {}
    wanted = [one for one in located if guided.wants(one.layer)]
    there = {one.block: attn2.get(one.block, attn2.get(one.block[:2])) for one in wanted}
    others = any(there.values()) if crossing else "optimized_attention_override" in options
    hooks = own if others or _SHARED.present is not None else _SHARED
    if crossing:
        attn2 |= {block: hooks.cross(patch) for block, patch in there.items()}
        options["patches_replace"] = {**options.get("patches_replace", {}), "attn2": attn2}
    else:
        before = options.get("optimized_attention_override")
        options["optimized_attention_override"] = hooks.override(before)
    previous = hooks.present, hooks.joint
    hooks.present, hooks.joint = guided, None if crossing else _Joint(network, located, given)
    try:
        yield
    finally:
        hooks.present, hooks.joint = previous


def _cross(hooks: Hooks, there: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    @torch.compiler.disable
    def patch(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        guided, heads, grid = hooks.present, extra["n_heads"], tuple(extra["activations_shape"][-2:])
        host = attention_function("optimized_attention")
        more = {"attn_precision": extra.get("attn_precision"), "transformer_options": extra}
        if guided is None or not guided.fits(q, q.shape[1], grid):
            return there(q, k, v, extra) if there is not None else host(q, k, v, heads, **more)
        query, key = (by_head(t, heads, False) for t in (q, k))
        whole = Arrangement(slice(0, k.shape[1]), slice(0, q.shape[1]), 0, (0, 0), grid)
        bias = guided.bias(query, key, query.shape[-1] ** -0.5, whole)
        if there is not None:
            return with_difference(there(q, k, v, extra), q, k, v, heads, bias, **more)
        others = (lambda _, *a, **kw: host(*a, **kw)) if "optimized_attention_override" in extra else None
        return with_bias(others, host, q, k, v, heads, bias, **more)

    return patch


def _override(hooks: Hooks, there: Callable[..., Tensor] | None) -> Callable[..., Tensor]:
    @torch.compiler.disable
    def override(func: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *args: Any, **kw: Any) -> Tensor:
        guided, now = hooks.present, hooks.joint
        is_by_head = bool(kw.get("skip_reshape"))
        layer = None
        if guided is not None and now is not None:
            place, tokens = now.place, q.shape[2 if is_by_head else 1]
            if tokens == place.total or tokens not in place.streams:
                said = kw.get("transformer_options") or {}
                layer = joint.block_calling(now.by_place, now.located, said, now.calls)
                now.calls += 1
            images = tokens - place.total + place.grid[0] * place.grid[1]
            if layer is not None and guided.wants(layer) and guided.fits(q, images, place.grid):
                query = by_head(q, heads, is_by_head)
                key = k if is_by_head else k.unflatten(-1, (-1, query.shape[-1])).transpose(1, 2)
                scale = kw.get("scale") or query.shape[-1] ** -0.5
                bias = guided.bias(query, key, scale, place, now.padded)
                return with_bias(there, func, q, k, v, heads, bias, *args, **kw)
        return there(func, q, k, v, heads, *args, **kw) if there else func(q, k, v, heads, *args, **kw)

    return override
