"""The plan and the update loop, on a toy world whose answer is known: the relation holds where the mean
exceeds 1."""

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learn_to_steer.errors import SteeringError
from learn_to_steer.objectives import Reading, RelationTarget
from learn_to_steer.steering import SteeringPlan, SteeringTrace, steer


class Toy:
    """loss = softplus(4 (1 - mean)) per relation; remembers which images it was asked about."""

    def __init__(self, relations=1, broken=()):
        self.relations, self.broken, self.asked, self.graded = relations, broken, [], []

    def __call__(self, z, images):
        self.asked.append(tuple(images))
        self.graded.append(z.requires_grad)
        assert z.is_leaf and len(z) == len(images)
        mean = z.unflatten(1, (self.relations, -1)).flatten(2).mean(2)
        loss = torch.nn.functional.softplus(4 * (1 - mean))
        loss = torch.stack(
            [row * float("nan") if i in self.broken else row for i, row in zip(images, loss, strict=True)]
        )
        mask = torch.ones_like(loss, dtype=torch.bool)
        return Reading(loss, (-loss.detach()).exp(), mask)


def trace(*counts):
    return SteeringTrace([[f"relation {i}" for i in range(n)] for n in counts])


def latents(*means):
    torch.manual_seed(0)
    noise = torch.randn(len(means), 4, 6, 6)
    return noise - noise.mean((1, 2, 3), keepdim=True) + torch.tensor(means).view(-1, 1, 1, 1)


PLAN = SteeringPlan(evaluations_per_step=5)


def test_each_image_is_moved_until_its_relation_holds():
    toy, record, start = Toy(), trace(1, 1, 1), latents(-1.0, 3.0, 0.5)
    moved = steer(start, toy, PLAN, record, 0, 4)
    assert torch.equal(moved[1], start[1])
    assert toy.asked[0] == (0, 1, 2) and all(1 not in asked for asked in toy.asked[1:])
    assert moved[0].mean() > start[0].mean() and moved[2].mean() > start[2].mean()
    assert record.evaluations[1] == 1 and record.last(1)[0].note == "reached"
    assert record.image(0)[0].probability < record.last(0)[0].probability


def test_where_a_relation_held_the_next_step_asks_for_no_gradient():
    toy, record = Toy(), trace(1, 1, 1)
    first = steer(latents(-1.0, 3.0, 3.0), toy, SteeringPlan(), record, 0, 4)
    assert toy.asked == [(0, 1, 2)] and toy.graded == [True]
    first[2] -= 5
    second = steer(first, toy, SteeringPlan(), record, 1, 4)
    assert toy.asked[1:] == [(1, 2), (0, 2)] and toy.graded[1:] == [False, True]
    assert torch.equal(second[1], first[1]) and second[2].mean() > first[2].mean()
    assert record.evaluations == [2, 2, 2] and record.forwards == 3
    assert [r.note for r in record.image(1)] == ["reached"] * 2 and [r.step for r in record.image(1)] == [
        0,
        1,
    ]


def test_batch_equals_each_alone():
    start = latents(-1.0, 3.0, 0.5)
    together = steer(start, Toy(), PLAN, trace(1, 1, 1), 0, 4)
    for i in range(3):
        assert torch.allclose(together[i : i + 1], steer(start[i : i + 1], Toy(), PLAN, trace(1), 0, 4))


@pytest.mark.parametrize(
    "plan, counts, step",
    [
        (SteeringPlan(strength=0.0), (1, 1), 0),
        (SteeringPlan(step_size=0.0), (1, 1), 0),
        (SteeringPlan(), (0, 0), 0),
        (SteeringPlan(), (1, 1), 3),
        (SteeringPlan(budget=0), (1, 1), 0),
    ],
)
def test_nothing_to_do_costs_nothing(plan, counts, step):
    toy, start = Toy(), latents(-1.0, 0.0)
    assert steer(start, toy, plan, trace(*counts), step, 4) is start
    assert toy.asked == []


def test_already_right_is_left_alone():
    toy, start, record = Toy(), latents(5.0), trace(1)
    assert steer(start, toy, PLAN, record, 0, 4) is start
    assert record.forwards == 1 and record.backwards == 0


def test_images_without_relation_are_never_evaluated():
    toy, start = Toy(), latents(-1.0, -1.0)
    moved = steer(start, toy, PLAN, trace(0, 1), 0, 4)
    assert torch.equal(moved[0], start[0]) and set(toy.asked) == {(1,)}


def test_relative_step_has_the_planned_length_and_gradient_step_the_published_one():
    start, record = latents(-1.0, 0.0), trace(1, 1)
    moved = steer(start, Toy(), SteeringPlan(step_size=0.3, strength=0.5), record, 0, 4)
    length = (moved - start).flatten(1).norm(dim=1)
    assert torch.allclose(length, 0.15 * start.flatten(1).norm(dim=1))
    assert torch.allclose(length, torch.tensor([r.move for r in record.records]))

    z = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Toy()(z, (0, 1)).loss.sum(), z)
    plan = SteeringPlan(step_rule="gradient", step_size=5.0)
    assert torch.allclose(steer(start, Toy(), plan, trace(1, 1), 0, 4), start - 5 * gradient)


def test_broken_gradient_leaves_that_image_alone_and_says_so():
    start, record = latents(-1.0, -1.0), trace(1, 1)
    moved = steer(start, Toy(broken=(0,)), PLAN, record, 0, 4)
    assert torch.equal(moved[0], start[0]) and not torch.equal(moved[1], start[1])
    assert "not finite" in record.last(0)[0].note and record.evaluations[0] == 1
    json.dumps(record.to_dict(), allow_nan=False)


def test_budget_is_kept_over_steps():
    plan, record = SteeringPlan(end=1.0, evaluations_per_step=2, budget=3, step_size=1e-4), trace(1)
    start = latents(-1.0)
    for step in range(4):
        start = steer(start, Toy(), plan, record, step, 4)
    assert record.evaluations == [3]


def test_round_robin_serves_one_relation_after_another():
    start = latents(-1.0)
    plan = SteeringPlan(combine="round_robin", reached=None, stop_loss=1e-9)
    moved = steer(start, Toy(relations=2), plan, trace(2), 0, 4)
    assert torch.equal(moved[0, 2:], start[0, 2:]) and not torch.equal(moved[0, :2], start[0, :2])
    plan = SteeringPlan(combine="sum", reached=None, stop_loss=1e-9)
    assert not torch.equal(steer(start, Toy(relations=2), plan, trace(2), 0, 4)[0, 2:], start[0, 2:])


def test_half_precision_latents_keep_their_type():
    start = latents(-1.0).half()
    moved = steer(start, Toy(), PLAN, trace(1), 0, 4)
    assert moved.dtype == torch.float16 and not torch.equal(moved, start)


def test_works_inside_no_grad_and_inference_mode():
    start = latents(-1.0)
    expected = steer(start, Toy(), PLAN, trace(1), 0, 4)
    with torch.no_grad():
        assert torch.equal(steer(start, Toy(), PLAN, trace(1), 0, 4), expected)
    with torch.inference_mode():
        assert torch.equal(steer(latents(-1.0), Toy(), PLAN, trace(1), 0, 4), expected)


def test_presets():
    paper = SteeringPlan.preset("paper")
    assert list(paper.steps(50)) == list(range(25)) and paper.evaluations_per_step == 16
    assert list(SteeringPlan.preset("paper-schnell").steps(4)) == [0]
    fast = SteeringPlan.preset("fast")
    assert list(fast.steps(20)) == list(range(8)) and fast.evaluations_per_step == 3
    assert SteeringPlan.preset("fast", strength=0.5).strength == 0.5
    for name, changes in [("slow", {}), ("fast", {"speed": 1})]:
        with pytest.raises(SteeringError):
            SteeringPlan.preset(name, **changes)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 5), st.integers(1, 60))
def test_steered_steps_lie_within_the_plan(a, b, every, total):
    plan = SteeringPlan(start=min(a, b), end=max(a, b), every=every)
    active = [i for i in range(total) if plan.active(i, total)]
    assert active == list(plan.steps(total)) and all(0 <= i < total for i in active)


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
    ],
)
def test_impossible_plans_are_refused(change):
    with pytest.raises(SteeringError, match="Expected") as caught:
        SteeringPlan(**change)
    assert str(caught.value).count("\n") == 0


def test_labels_name_the_objects():
    target = RelationTarget(1, 0, "above")
    assert SteeringTrace.of([[target]], [["dog", "cat"]]).labels == [["cat above dog"]]
    assert SteeringTrace.of([[target], []]).labels == [["object 1 above object 0"], []]
