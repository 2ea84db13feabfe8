"""Attention guidance of a pipeline's call: where the bias enters the denoiser, and when.

Every guided attention has its processor wrapped for the time of the call; what was there still does the attention, whatever
it is. Where its way of attending is known it is shown an attention with wider heads, whose further channels hold the bias
(`guidance.bias`): its kernel stays the fast one. Others are given the bias as a mask. A wrapped processor is an
ordinary part of the model, so it is compiled with it; nothing is computed backwards.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...attention import AttentionLayer
from ...errors import SteeringError
from ...guidance import AttentionGuidance, ModelSpread, guided_layers, logit_spread
from ..modules import hooked


@dataclass
class Guiding:
    """What the wrapped attentions of one call share. on: whether the present pass is guided. columns (B, K, T): see
    `AttentionGuidance.guided_columns`; tokens (B, T): see there; strength: in units of `spread`. All on the device that
    computes."""

    columns: Tensor
    tokens: Tensor
    strength: float
    spread: ModelSpread
    on: bool = False


class GuidedProcessor(nn.Module):
    """An attention processor with the bias put in front of it. A subclass knows the kind of attention.

    plain: the processor that was there. fields (B, K, N): for the grid of this layer, changed in place between passes.
    index: of this layer among the guided ones.
    """

    folds: tuple[str, ...] = ()
    """Names of processors that can be shown wider heads."""

    def __init__(
        self, plain: Any, layer: AttentionLayer, guiding: Guiding, fields: Tensor, index: int
    ) -> None:
        super().__init__()
        self.plain, self.layer, self.guiding, self.index = plain, layer, guiding, index
        self.fields: Tensor = fields
        self.folding = type(plain).__name__ in self.folds

    def called(self, attention: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the processor gives: under guidance in a pass that is guided, else as it was."""
        if not self.guiding.on or hidden_states.shape[0] < self.fields.shape[0]:
            return self.plain(attention, hidden_states, *args, **kwargs)
        return self.guided(attention, hidden_states, *args, **kwargs)

    @abstractmethod
    def guided(self, attention: Any, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """What the processor gives under guidance."""

    def strong_columns(self, query: Tensor, key: Tensor, scale: float) -> Tensor:
        """(b, 1, K, T): the columns times the strength, for every head. query, key (b, heads, n, d): image rows and text
        columns as the logits have them, see `guidance.logit_spread`."""
        batch, images = len(key), len(self.guiding.columns)
        spread = logit_spread(query[-images:], key[-images:], scale, self.guiding.tokens)
        unit = self.guiding.spread.measured(self.index, spread)
        strong = self.guiding.columns * (self.guiding.strength * unit)[:, None, None]
        return self.rows(strong, batch)[:, None]

    def rows(self, tensor: Tensor, batch: int) -> Tensor:
        """One row an image -> one row for each of the pass, of which the images' conditional ones are the last."""
        return F.pad(tensor, (0, 0) * (tensor.ndim - 1) + (batch - len(tensor), 0))


@lru_cache(maxsize=64)
def _with_signature(kind: Any, plain: Any) -> Any:
    """The kind, called with the same arguments as `plain`: attentions pass on only what a processor's signature names."""
    if plain.__name__ in kind.folds:
        return kind  # which has that signature

    def call(self: GuidedProcessor, attention: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self.called(attention, hidden_states, *args, **kwargs)

    call.__signature__ = inspect.signature(plain.__call__)  # type: ignore[attr-defined]
    return type(f"Guided{plain.__name__}", (kind,), {"__call__": call})


@dataclass(frozen=True)
class Place:
    """One attention that can be guided. height, width: of the grid that it sees."""

    layer: AttentionLayer
    attention: Any
    height: int
    width: int


@dataclass
class Guide:
    """The guidance of one call of a pipeline: put in place by `installed`, told by `begin` which turn comes.

    control: what is guided when. places: every attention of the model. kind: how its processors are wrapped. steps:
    {turn of the pipeline's loop: step}. objects: per image, the words of its slots.
    """

    control: AttentionGuidance
    model: nn.Module
    places: Sequence[Place]
    kind: type[GuidedProcessor]
    steps: dict[int, int]
    device: torch.device
    family: str
    objects: Sequence[Sequence[str]]
    turn: int = -1
    _armed: bool = False
    _wrapped: list[tuple[Place, GuidedProcessor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        control = self.control
        tokens = control.tokens if control.tokens is not None else torch.ones_like(control.columns[:, 0])
        names = guided_layers([place.layer for place in self.places], control.plan.layers)
        self.chosen = [place for place in self.places if place.layer.name in names]
        columns = control.guided_columns.to(self.device)
        spread = ModelSpread(len(columns), len(self.chosen), self.device)
        self.guiding = Guiding(columns, tokens.to(self.device), control.strength, spread)
        for place in self.chosen:
            _check(place)

        self._gates = torch.zeros(0)

    @property
    def layers(self) -> list[str]:
        """Names of the guided attentions."""
        return [place.layer.name for place in self.chosen]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside, the attentions are wrapped; afterwards each is as it was."""
        made: dict[tuple[int, int], Tensor] = {}
        try:
            with hooked(
                [
                    self.model.register_forward_pre_hook(self._before),
                    self.model.register_forward_hook(self._after, always_call=True),
                ]
            ):
                for index, place in enumerate(self.chosen):
                    grid = place.height, place.width
                    if grid not in made:
                        made[grid] = self.control.fields(*grid).to(self.device)
                    plain: Any = place.attention.processor
                    kinds: Any = (self.kind, type(plain))
                    kind = _with_signature(*kinds)
                    wrapper = kind(plain, place.layer, self.guiding, made[grid], index)
                    self._wrapped.append((place, wrapper))
                    _put(place.attention, wrapper)
                yield
        finally:
            self.guiding.on = self._armed = False
            while self._wrapped:
                place, wrapper = self._wrapped.pop()
                if place.attention.processor is wrapper:  # else somebody has put another one there meanwhile
                    _put(place.attention, wrapper.plain)

    def begin(self, turn: int) -> None:
        """The next pass is the conditional one of this turn."""
        starts = [one for one in self.steps if one <= turn]
        step = self.steps[max(starts)] if starts else 0
        self._armed = self.control.active(step)
        if turn in self.steps or not starts:
            self.control.note(step)
        gates = self.control.gates()
        if not self._armed or torch.equal(gates, self._gates):
            return
        self._gates = gates
        done: set[int] = set()
        for place, wrapper in self._wrapped:
            fields: Any = wrapper.fields
            if id(fields) not in done:
                done.add(id(fields))
                fields.copy_(self.control.fields(place.height, place.width))

    def to_dict(self) -> dict[str, Any]:
        """What was done, ready for JSON."""
        return {"layers": self.layers, **self.control.to_dict(self.objects)}

    def _before(self, module: nn.Module, args: object) -> None:
        self.guiding.on, self._armed = self._armed, False

    def _after(self, module: nn.Module, args: object, output: object) -> None:
        self.guiding.on = False


def _check(place: Place) -> None:
    """Raises SteeringError for a processor that cannot be given a bias."""
    processor = place.attention.processor
    named = inspect.signature(type(processor).__call__).parameters
    if "attention_mask" not in named:
        raise SteeringError(
            f"Expected attention processors that take an attention mask, got {type(processor).__name__} in layer "
            f'{place.layer.name}; remove it or use method "gradient".'
        )


def _put(attention: Any, processor: Any) -> None:
    """Make this the attention's processor; one that is a module is registered as one."""
    attention._modules.pop("processor", None)
    attention.processor = processor


def wide_heads(x: Tensor, heads: int, wide: int) -> Tensor:
    """(..., heads * d) -> (..., heads * wide), zeros behind the channels of each head."""
    return F.pad(x.unflatten(-1, (heads, -1)), (0, wide - x.shape[-1] // heads)).flatten(-2)


def narrow_heads(x: Tensor, heads: int, width: int) -> Tensor:
    """The inverse of :func:`wide_heads`."""
    return x.unflatten(-1, (heads, -1))[..., :width].flatten(-2)


class WideHeads:
    """An attention as its processor sees it, with heads that are wide enough for the bias. Everything else is the
    attention's own. guided: its processor. width: channels of a head; wide: with those of the bias. some: queries that are
    sampled, once there are any."""

    def __init__(self, attention: Any, guided: GuidedProcessor) -> None:
        self.own, self.guided, self.heads = attention, guided, attention.heads
        self.width = self.wide = 0
        self.some: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def to_v(self, x: Tensor, *args: Any) -> Tensor:
        return wide_heads(self.own.to_v(x, *args), self.heads, self.wide)

    @property
    def to_out(self) -> list[Any]:
        return [self._out, self.own.to_out[1]]

    def _out(self, x: Tensor, *args: Any) -> Tensor:
        return self.own.to_out[0](narrow_heads(x, self.heads, self.width), *args)

    def _longer(self, query: Tensor) -> Tensor:
        """The kernel takes its scale from the width that it sees."""
        return query * (self.wide / self.width) ** 0.5


def unwatched(module: Any, *arguments: Any) -> Any:
    """A call of a module past its hooks: what is computed on the side must not be read as the model's own pass."""
    return module.forward(*arguments)
