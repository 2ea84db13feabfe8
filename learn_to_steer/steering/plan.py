"""The plan: when to evaluate, how often, how far to move, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import SteeringError

StepRule = Literal["rms", "gradient", "relative"]


@dataclass(frozen=True)
class SteeringPlan:
    """When, how often, how far, and when to stop.

    start, end: the part of the model's own schedule that is steered, as shares of it (see `schedule`): a step is
    steered where it
        begins in [start, end). A second pass at low noise therefore stays plain.
    every: steer each n-th of those steps.
    evaluations_per_step: at most so many at one step.
    budget: at most so many evaluations per image over the whole run (None: no limit).
    step_rule: "rms" = move along the gradient by step_size units of the latent's rms per element at most, the same for
    every model
        and size, with guards (see `step_rules`) and a line search; "gradient" = move by step_size * gradient, as published;
        "relative" = by step_size * the norm of the image's own latent, which is the longer the larger the picture.
    step_size: see step_rule.
    reached: probability from which a relation counts as reached (None: none does).
    stop_loss: loss under which it does (None: none does). Whichever of the two is met first counts. An image
        whose relations are all reached is left alone for this step.
    combine: "sum" = the gradient of all relations' losses together; "round_robin" = evaluation i serves
        relation i mod n, as published.
    strength: multiplies every move; 0 switches steering off at no cost.
    layers: names of the attention layers to read instead of the objective's own choice (None); the forward
    pass stops after the last of them. A classifier with a learnt mix of channels takes its own layers only.
    """

    start: float = 0.0
    end: float = 0.4
    every: int = 1
    evaluations_per_step: int = 3
    budget: int | None = None
    step_rule: StepRule = "rms"
    step_size: float = 5.0
    reached: float | None = 0.98
    stop_loss: float | None = None
    combine: Literal["sum", "round_robin"] = "sum"
    strength: float = 1.0
    layers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "step_size", "strength"):
            value = getattr(self, name)
            if not _number(value) or value < 0:
                raise SteeringError(
                    f"Expected {name} to be a number of 0 or more, got {value!r}; correct the plan."
                )
        if not self.start <= self.end <= 1:
            raise SteeringError(
                f"Expected 0 <= start <= end <= 1 (shares of the schedule), got {self.start} and "
                f"{self.end}; correct the plan."
            )
        for name in ("every", "evaluations_per_step"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SteeringError(
                    f"Expected {name} to be a whole number of 1 or more, got {value!r}; correct the plan."
                )
        if self.budget is not None and (not isinstance(self.budget, int) or self.budget < 0):
            raise SteeringError(
                f"Expected budget to be a whole number of 0 or more, or none, got {self.budget!r}; correct "
                "the plan."
            )
        if self.layers is not None and not self.layers:
            raise SteeringError(
                "Expected names of attention layers or none, got an empty list; correct the plan."
            )
        if self.step_rule not in get_args(StepRule):
            raise SteeringError(
                f'Expected step_rule "rms", "gradient" or "relative", got {self.step_rule!r}; choose one of them.'
            )
        if self.combine not in ("sum", "round_robin"):
            raise SteeringError(
                f'Expected combine "sum" or "round_robin", got {self.combine!r}; choose one of them.'
            )
        if self.reached is not None and (not _number(self.reached) or not 0 < self.reached <= 1):
            raise SteeringError(
                f"Expected reached in (0, 1] or none, got {self.reached!r}; 0.98 is a good value."
            )
        if self.stop_loss is not None and (not _number(self.stop_loss) or self.stop_loss < 0):
            raise SteeringError(
                f"Expected stop_loss of 0 or more, or none, got {self.stop_loss!r}; 5e-5 is as published."
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SteeringPlan:
        """A named plan, with fields changed at will: `SteeringPlan.preset("fast", strength=0.5)`.

        "paper": as published - up to 16 evaluations at each step of the first half, step size 5 (SD 1.4:
        7.5), stop at a loss of 5e-5, round robin. "paper-schnell": the same on the first step of four only.
        "fast": up to three evaluations at a step of the first 40%, moves of 5 rms, stop at p >= 0.98; the same as
        `SteeringPlan()`. "thorough": the same; more of them kept no more relations. It differs behind attention
        guidance, where both are shorter: `guidance.plan_for`.

        Raises SteeringError for an unknown name or field.
        """
        if name not in _PRESETS:
            raise SteeringError(
                f'Expected one of the plans {", ".join(_PRESETS)}, got "{name}"; choose one of them.'
            )
        known = {f.name for f in fields(cls)}
        if wrong := [key for key in changes if key not in known]:
            raise SteeringError(
                f"Expected plan settings among {', '.join(sorted(known))}, got {', '.join(wrong)}; correct "
                "the name."
            )
        return replace(_PRESETS[name], **changes)

    @property
    def searches(self) -> bool:
        """Whether moves are searched along and bounded, as those of the step rule "rms" are; the published rule knows
        neither."""
        return self.step_rule == "rms"

    def warnings(self) -> list[str]:
        """Sentences about settings that are likely to spoil pictures."""
        if self.step_rule == "rms" and self.strength * self.step_size > SENSIBLE_LENGTH:
            return [
                f"Strength {self.strength:g} and step size {self.step_size:g} move by "
                f"{self.strength * self.step_size:g} rms at a time; "
                f"beyond {SENSIBLE_LENGTH:g} pictures are likely to suffer."
            ]
        if self.step_rule == "relative" and self.strength * self.step_size > SENSIBLE_SHARE:
            return [
                f"Strength {self.strength:g} and step size {self.step_size:g} move by "
                f"{self.strength * self.step_size:g} of the latent's "
                f"norm at a time, which spoils large pictures; the step rule rms does not depend on the size."
            ]
        return []


SENSIBLE_LENGTH = 10.0
"""Longest move, in rms, that is not warned of: what one move can do is done at 2 to 8."""

SENSIBLE_SHARE = 0.2
"""The same for moves in shares of the norm, at the 1,024 elements of EmojiWorld."""


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_PRESETS = {
    "fast": SteeringPlan(),
    "thorough": SteeringPlan(),
    "paper": SteeringPlan(
        end=0.5,
        evaluations_per_step=16,
        step_rule="gradient",
        step_size=5.0,
        reached=None,
        stop_loss=5e-5,
        combine="round_robin",
    ),
}


_PRESETS["paper-schnell"] = replace(_PRESETS["paper"], end=0.25)
