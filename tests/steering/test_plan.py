"""The plan, and which steps of a run it steers. Expected values are worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn_to_steer.errors import SteeringError
from learn_to_steer.steering import SteeringPlan, steered_steps


def shares(steps, begin=0.0):
    """Shares of a run of equal steps that begins at `begin` of the schedule and goes to its end."""
    return [begin + (1 - begin) * i / steps for i in range(steps)]


def test_a_full_run_is_steered_in_the_plans_part_of_it():
    """8 of 20 steps begin before 0.4, the ninth at 0.4 exactly; 25 of 50 before one half; 1 of 4 before a quarter."""
    assert steered_steps(SteeringPlan(), shares(20)) == (list(range(8)), "")
    assert steered_steps(SteeringPlan.preset("paper"), shares(50)) == (list(range(25)), "")
    assert steered_steps(SteeringPlan.preset("paper-schnell"), shares(4)) == ([0], "")
    assert steered_steps(SteeringPlan(every=3), shares(20)) == ([0, 3, 6], "")
    assert steered_steps(SteeringPlan(start=0.1, end=0.3), shares(10)) == ([1, 2], "")


@pytest.mark.parametrize(("begin", "steered"), [(0.0, 8), (0.15, 6), (0.3, 3), (0.4, 0), (0.5, 0), (0.85, 0)])
def test_a_second_pass_is_steered_only_where_it_lies_in_the_plans_part(begin, steered):
    """20 steps from 0.15 are 0.0425 each: 0.15 + 5 * 0.0425 = 0.3625 < 0.4 <= 0.405. From 0.3: 0.37 < 0.4 <= 0.405."""
    steps, why = steered_steps(SteeringPlan(), shares(20, begin))
    assert len(steps) == steered
    assert bool(why) == (steered == 0) and why.count("\n") == 0
    if not steered:
        assert "Left plain" in why and f"{begin:.0%}" in why


def test_no_step_has_less_noise_than_the_classifier_knows():
    """Levels 1, 0.9, ... of a flow model; trained down to 0.85, so the first two."""
    levels = [1 - i / 10 for i in range(10)]
    assert steered_steps(SteeringPlan(), shares(10), levels, 0.85)[0] == [0, 1]
    steps, why = steered_steps(SteeringPlan(), shares(10), levels, 2.0)
    assert steps == [] and "trained" in why
    assert steered_steps(SteeringPlan(), shares(10), [None] * 10, 0.85)[0] == [0, 1, 2, 3]


def test_switched_off_is_no_step():
    for off in (SteeringPlan(strength=0.0), SteeringPlan(step_size=0.0)):
        steps, why = steered_steps(off, shares(20))
        assert steps == [] and "0" in why


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 5), st.integers(1, 60), st.floats(0, 0.99))
def test_steered_steps_lie_within_the_plan(a, b, every, total, begin):
    plan = SteeringPlan(start=min(a, b), end=max(a, b), every=every)
    run = shares(total, begin)
    steps, _ = steered_steps(plan, run)
    assert steps == sorted(set(steps)) and all(plan.start - 1e-3 <= run[i] < plan.end for i in steps)
    assert all(late - early >= every for early, late in zip(steps, steps[1:], strict=False))


def test_steps_beyond_the_part_of_the_schedule_that_the_classifier_knows():
    """Ten steps begin at 0, 0.1, ... 0.9: of [0.3, 0.8) those up to 0.5 stay."""
    plan = SteeringPlan(start=0.3, end=0.8)
    assert steered_steps(plan, shares(10), last_share=0.5) == ([3, 4, 5], "")
    assert steered_steps(plan, shares(10), last_share=1.0) == ([3, 4, 5, 6, 7], "")
    steps, why = steered_steps(SteeringPlan(start=0.6, end=0.8), shares(10), last_share=0.5)
    assert steps == [] and why.startswith("Left plain:") and "50%" in why
    levels = [1.0 - i / 10 for i in range(10)]
    assert steered_steps(plan, shares(10), levels, 0.55, 0.9)[0] == [3, 4]


def test_presets():
    paper = SteeringPlan.preset("paper")
    assert (paper.step_rule, paper.step_size, paper.evaluations_per_step) == ("gradient", 5.0, 16)
    assert (paper.stop_loss, paper.reached, paper.combine) == (5e-5, None, "round_robin")
    assert SteeringPlan.preset("fast") == SteeringPlan()
    assert SteeringPlan.preset("fast", strength=0.5).strength == 0.5
    for name, changes in [("slow", {}), ("fast", {"speed": 1})]:
        with pytest.raises(SteeringError):
            SteeringPlan.preset(name, **changes)


def test_settings_that_spoil_pictures_are_warned_of():
    """5 rms is the default; 10 times that is 50. A share of the norm of 0.15 is 4.8 rms at 1,024 elements, 5 is 160."""
    assert SteeringPlan().warnings() == [] and SteeringPlan.preset("paper").warnings() == []
    assert "50" in SteeringPlan(strength=10.0).warnings()[0]
    assert SteeringPlan(step_rule="relative", step_size=0.15).warnings() == []
    assert SteeringPlan(step_rule="relative", step_size=5.0).warnings()


@pytest.mark.parametrize(
    "change",
    [
        {"start": 0.6, "end": 0.5},
        {"end": 1.5},
        {"start": -0.1},
        {"every": 0},
        {"evaluations_per_step": 0},
        {"budget": -1},
        {"budget": 1.5},
        {"step_rule": "newton"},
        {"step_size": math.inf},
        {"step_size": "big"},
        {"combine": "product"},
        {"reached": 0.0},
        {"reached": 1.1},
        {"stop_loss": -1.0},
        {"strength": math.nan},
        {"layers": ()},
    ],
)
def test_impossible_plans_are_refused(change):
    with pytest.raises(SteeringError, match="Expected") as caught:
        SteeringPlan(**change)
    assert str(caught.value).count("\n") == 0
