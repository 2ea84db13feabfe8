"""The guidance plan: when, how strongly and in which layers attention is guided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import SteeringError
from ..steering import SteeringPlan

Method = Literal["gradient", "attention", "both"]
"""How to steer: moves of the latent, a bias on the attention, or the bias first and moves where they are still needed."""

SETTLED = 0.2
"""Share of a model's schedule at which the objects have their places."""

_EDGE = 1e-4
"""Shares are compared with this tolerance: 6 / 20 is not before 0.3."""

METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class GuidancePlan:
    """When, how strongly and in which layers.

    start, end: the part of the model's own schedule that is guided, as shares of it (as `SteeringPlan` has them): a step is
    guided where it begins in [start, end). A second pass that begins behind `SETTLED` is not guided at all: the objects of
    its picture have their places, which a new layout would only disturb.
    strength: of the bias, in standard deviations of the model's own image-to-text logits (see `strength`). None = what was
        found for the model's family; 0 switches guidance off at no cost.
    width: standard deviation of an object's peak, in widths of its place. None = what was found for the model's family.
    background: strength of the background's field by that of the objects' (see `bias`). None = what was found for the
        model's family; 0 leaves the background alone.
    reached: probability from which the classifier switches a relation off, until it is lost again (None: guidance is on
        until `end`). Without a classifier nothing is switched.
    layers: names of the attention layers to guide (None: those found for the model's family).
    hard: an object's place is a mask, without a peak: outside it a strength so much is taken from its words, inside
        nothing is added. With a large strength that is a box written as a hard mask, which is here to compare.
    """

    start: float = 0.0
    end: float = 0.6
    strength: float | None = None
    width: float | None = None
    background: float | None = None
    reached: float | None = None
    layers: tuple[str, ...] | None = None
    hard: bool = False

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if not _number(value) or value < 0:
                raise SteeringError(
                    f"Expected {name} to be a number of 0 or more, got {value!r}; correct the guidance plan."
                )
        if not self.start <= self.end <= 1:
            raise SteeringError(
                f"Expected 0 <= start <= end <= 1 (shares of the schedule), got {self.start} and {self.end}; correct the "
                "guidance plan."
            )
        for name in ("strength", "background"):
            value = getattr(self, name)
            if value is not None and (not _number(value) or value < 0):
                raise SteeringError(
                    f"Expected {name} to be a number of 0 or more, or none, got {value!r}; none is what was found for the "
                    "model."
                )
        if self.width is not None and (not _number(self.width) or not self.width > 0):
            raise SteeringError(
                f"Expected a width above 0, or none, got {self.width!r}; none is what was found for the model."
            )
        if self.reached is not None and (not _number(self.reached) or not 0 < self.reached <= 1):
            raise SteeringError(
                f"Expected reached in (0, 1] or none, got {self.reached!r}; 0.98 is a good value."
            )
        if self.layers is not None and not self.layers:
            raise SteeringError(
                "Expected names of attention layers or none, got an empty list; correct the guidance plan."
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> GuidancePlan:
        """A named plan, with fields changed at will: "attention" = guidance alone; "both" = in front of the gradient.

        Raises SteeringError for an unknown name or field.
        """
        if name not in _PRESETS:
            raise SteeringError(
                f'Expected one of the guidance plans {", ".join(_PRESETS)}, got "{name}"; choose one of them.'
            )
        known = {f.name for f in fields(cls)}
        if wrong := [key for key in changes if key not in known]:
            raise SteeringError(
                f"Expected settings of a guidance plan among {', '.join(sorted(known))}, got "
                f"{', '.join(wrong)}; correct the "
                "name."
            )
        return replace(_PRESETS[name], **changes)

    def steps(self, shares: Sequence[float]) -> tuple[list[int], str]:
        """The steps of a run that are guided, and one sentence on why there are none ("" where there are). shares: of each
        step, where in the model's own schedule it begins."""
        if self.strength == 0:
            return [], "Attention not guided: the strength is 0."
        inside = [i for i, share in enumerate(shares) if self.start - _EDGE <= share < self.end - _EDGE]
        begin, *later = sorted(set(shares)) or [1.0]
        # A whole run of few steps may begin one step into the schedule and end on its last level ("leading" timesteps:
        # 25, 50, 75, 100%). A second pass of as few begins there too and ends one step before it (33, 67%).
        step = later[0] - begin if later else 0.0
        whole = bool(later) and begin <= step + _EDGE and later[-1] > 1 - step / 2
        if inside and not whole and begin > max(self.start, SETTLED) + _EDGE:
            return [], (
                f"Attention not guided: this run begins at {begin:.0%} of the model's schedule, where the objects have "
                "their places already."
            )
        if inside:
            return inside, ""
        return [], (
            f"Attention not guided: this run begins at {begin:.0%} of the model's "
            "schedule and has no step "
            f"between {self.start:.0%} and {self.end:.0%}."
        )


def check_method(name: str) -> Method:
    """Raises SteeringError for a name that is no method."""
    if name not in METHODS:
        raise SteeringError(
            f'Expected one of the methods {", ".join(METHODS)}, got "{name}"; choose one of them.'
        )
    return name  # type: ignore[return-value]


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_PRESETS = {"attention": GuidancePlan(), "both": GuidancePlan()}


AFTER_GUIDANCE = SteeringPlan(start=0.1, end=0.3, evaluations_per_step=2)
"""The plan "fast" behind guidance: few moves, and only where a relation does not hold."""

_BEHIND = {"fast": AFTER_GUIDANCE, "thorough": replace(AFTER_GUIDANCE, evaluations_per_step=4)}


def plan_for(name: str, method: str, **changes: Any) -> SteeringPlan:
    """The named plan of moves as this method wants it, with fields changed at will: "fast" and "thorough" spend less behind
    guidance. Raises SteeringError for an unknown name or field."""
    if method == "both" and name in _BEHIND:
        return replace(_BEHIND[name], **changes)
    return SteeringPlan.preset(name, **changes)
