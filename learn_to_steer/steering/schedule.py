"""Which steps of a run are steered: the plan's share of the model's own schedule, cut to what the classifier knows.

A share says how far a noise level lies along the schedule that the model was trained on, 0 where everything is noise
and 1 at the picture, as the start and end percent of a host's own nodes do. It does not depend on the run: a second
pass that begins at half of the noise begins at 0.5, whatever its number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SteeringPlan

_EDGE = 1e-4
"""Shares are compared with this tolerance: 8 / 20 is not before 0.4."""


_COARSE = 0.1
"""Mean distance of a run's steps, as a share of the schedule, beyond which its steps are far apart."""


def coarse(shares: Sequence[float]) -> bool:
    """Whether a run's steps are so far apart that a relation which held at one need not hold at the next: those of a run of
    4 or 8 steps are, those of one of 20 are not. shares: of each step, where in the model's schedule it begins."""
    return len(shares) > 1 and (shares[-1] - shares[0]) / (len(shares) - 1) > _COARSE + _EDGE


def steered_steps(
    plan: SteeringPlan,
    shares: Sequence[float],
    sigmas: Sequence[float | None] = (),
    lowest: float | None = None,
    last_share: float = 1.0,
) -> tuple[list[int], str]:
    """The steps of a run at which it is steered, ascending, and one sentence on why there are none ("" where there are).

    shares: of each step, where in the model's schedule it begins. sigmas: noise level of each step, in the unit of
    `lowest`, the lowest noise level that the classifier was trained at (None: it does not say). last_share: where in a
    model's schedule the classifier's training ended, for one of many schedules.
    """
    if plan.strength == 0 or plan.step_size == 0:
        return [], "Left plain: the strength is 0."
    inside = [i for i, share in enumerate(shares) if plan.start - _EDGE <= share < plan.end - _EDGE]
    if not inside:
        begins = min(shares, default=1.0)
        return [], (
            f"Left plain: this run begins at {begins:.0%} of the model's schedule and has no step between "
            f"{plan.start:.0%} and "
            f"{plan.end:.0%}, where the plan steers."
        )
    if last_share < 1:
        inside = [i for i in inside if shares[i] <= last_share + _EDGE]
        if not inside:
            return [], (
                "Left plain: every step that the plan steers lies beyond the part of the schedule that the classifier was "
                f"trained on ({last_share:.0%})."
            )
    if lowest is not None:
        known = [
            i for i in inside if i >= len(sigmas) or (s := sigmas[i]) is None or s >= lowest * (1 - 1e-3)
        ]
        if not known:
            return [], (
                "Left plain: every step that the plan steers has less noise than the classifier was trained at "
                f"(noise level {lowest:.3g})."
            )
        inside = known
    return inside[:: plan.every], ""
