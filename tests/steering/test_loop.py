"""The update loop, on a toy world whose answer is known: the relation holds where the mean
exceeds 1."""

import json

import pytest
import torch

from learn_to_steer.objectives import (
    PresenceTarget,
    Reading,
    RelationTarget,
    SeparationTarget,
    SingleTarget,
)
from learn_to_steer.steering import SteeringLoop, SteeringPlan, SteeringTrace


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


def steer(start, toy, plan, record, steps=(0,)):
    """What comes of the steps of one run, each beginning where the one before ended."""
    loop = SteeringLoop(plan, record, steps)
    for step in steps:
        start = loop.steer(start, toy, step)
    return start


def test_each_image_is_moved_until_its_relation_holds():
    toy, record, start = Toy(), trace(1, 1, 1), latents(-1.0, 3.0, 0.5)
    moved = steer(start, toy, PLAN, record)
    assert torch.equal(moved[1], start[1])
    assert toy.asked[0] == (0, 1, 2) and all(1 not in asked for asked in toy.asked[1:])
    assert moved[0].mean() > start[0].mean() and moved[2].mean() > start[2].mean()
    assert record.evaluations[1] == 1 and record.last(1)[0].note == "reached"
    assert record.image(0)[0].probability < record.last(0)[0].probability


ONCE = SteeringPlan(evaluations_per_step=1)


def test_where_a_relation_held_the_next_step_asks_for_no_gradient():
    """Images 1 and 2 hold at step 0 and are evaluated without a gradient at step 1, which counts; image 2 is lost by
    then and is moved, which is a second evaluation."""
    toy, record = Toy(), trace(1, 1, 1)
    loop = SteeringLoop(ONCE, record, [0, 1])
    first = loop.steer(latents(-1.0, 3.0, 3.0), toy, 0)
    assert toy.asked == [(0, 1, 2)] and toy.graded == [True]
    first[2] -= 5
    second = loop.steer(first, toy, 1)
    assert toy.asked[1:] == [(1, 2), (0, 2)] and toy.graded[1:] == [False, True]
    assert torch.equal(second[1], first[1]) and second[2].mean() > first[2].mean()
    assert record.evaluations == [2, 2, 3] and record.gradients == [2, 0, 1] and record.forwards == 3
    assert [r.note for r in record.image(2)] == ["reached", "lost", ""]


def test_the_samplers_own_pass_stands_in_for_evaluations():
    """Image 1 held by the sampler's own pass at step 0, image 0 did not: step 1 evaluates image 0 alone, with a
    gradient."""
    toy, record = Toy(), trace(1, 1)
    loop = SteeringLoop(ONCE, record, [0, 1])
    start = loop.steer(latents(-1.0, 3.0), toy, 0)
    with torch.no_grad():
        loop.observe(Toy()(start, (0, 1)), (0, 1), 0)
    loop.steer(start, toy, 1)
    assert toy.asked == [(0, 1), (0,)] and toy.graded == [True, True]
    assert record.evaluations == [2, 1] and [r.evaluation for r in record.image(1)] == [0, -1]


def test_where_steps_are_far_apart_each_is_evaluated():
    """Image 1 held by the own passes, and is evaluated at steps 3 and 6 all the same; 3 is no power of 2 after step 0."""
    toy, record = Toy(), trace(1, 1)
    loop = SteeringLoop(ONCE, record, [0, 3, 6], coarse=True)
    start = loop.steer(latents(-1.0, 3.0), toy, 0)
    for step in (0, 3):
        with torch.no_grad():
            loop.observe(Toy()(start, (0, 1)), (0, 1), step)
        loop.steer(start, toy, step + 3)
    assert toy.asked == [(0, 1), (1,), (0,), (1,), (0,)] and toy.graded == [True, False, True, False, True]


def test_a_relation_that_the_own_pass_finds_lost_is_moved_again():
    toy, record = Toy(), trace(1)
    loop = SteeringLoop(ONCE, record, [0, 1])
    start = loop.steer(latents(3.0), toy, 0)
    lost = start - 5
    with torch.no_grad():
        loop.observe(Toy()(lost, (0,)), (0,), 0)
    assert loop.steer(lost, toy, 1).mean() > lost.mean() and record.gradients == [1]


class Valley(Toy):
    """loss = (mean - 1.1) ** 2, so that a move across the valley raises the loss again."""

    def __call__(self, z, images):
        self.asked.append(tuple(images))
        loss = (z.flatten(1).mean(1, keepdim=True) - 1.1) ** 2
        return Reading(loss, (-loss.detach()).exp(), torch.ones_like(loss, dtype=torch.bool))


def test_a_move_after_which_the_loss_did_not_fall_is_half_taken_back():
    """All elements 1: rms 1, 1,024 elements, so a move of 5 rms is 5 / 32 = 0.15625 an element. 1 -> 1.15625: the loss
    fell from 0.01 to 0.00316. Back by 1.15625 * 0.15625 = 0.18066 to 0.97559: the loss rose to 0.01548, so half of that
    move is taken back, to 1.06592, and the step is halved: the next move is 2.5 / 32 * 1.06592 = 0.08328."""
    start, record = torch.ones(1, 4, 16, 16), trace(1)
    end = steer(start, Valley(), SteeringPlan(evaluations_per_step=3, reached=None), record)
    assert [r.note for r in record.records[:2]] == ["", ""] and "taken back" in record.records[2].note
    assert [r.length for r in record.records[:2]] == pytest.approx([5.0, 5.0], rel=1e-4)
    assert float(end.mean()) == pytest.approx(1.06592, rel=1e-4)
    one_more = steer(start, Valley(), SteeringPlan(evaluations_per_step=4, reached=None), trace(1))
    assert float((one_more - end).mean()) == pytest.approx(0.08328, rel=1e-3)


def test_what_is_taken_back_is_not_counted_as_displacement():
    """The moves of the test above, in units of the latent's rms at the time: 5 forth, 5 back, and half of the latter
    taken back, 0.09033 * 32 / 0.97559 = 2.963: no more than that lies between the latent and the plain one."""
    loop = SteeringLoop(SteeringPlan(evaluations_per_step=3, reached=None), trace(1), [0])
    loop.steer(torch.ones(1, 4, 16, 16), Valley(), 0)
    assert float(loop._displacement[0].norm()) == pytest.approx(2.963, rel=1e-3)


class Flat(Toy):
    """A loss that no longer depends on the latent as far as its type can tell."""

    def __call__(self, z, images):
        self.asked.append(tuple(images))
        loss = (z * 0).flatten(1).sum(1, keepdim=True) + 1.0
        return Reading(loss, (-loss.detach()).exp(), torch.ones_like(loss, dtype=torch.bool))


@pytest.mark.parametrize("plan", [SteeringPlan(), SteeringPlan.preset("paper")])
def test_a_vanished_gradient_is_said_and_ends_the_step(plan):
    start, record, toy = latents(0.0), trace(1), Flat()
    assert steer(start, toy, plan, record) is start
    assert len(toy.asked) == 1 and "vanished" in record.last(0)[0].note


class Away(Toy):
    """A relation that is never reached, however far the latent goes."""

    def __call__(self, z, images):
        self.asked.append(tuple(images))
        loss = 100 - z.flatten(1).mean(1, keepdim=True)
        return Reading(loss, torch.zeros_like(loss), torch.ones_like(loss, dtype=torch.bool))


def test_what_leads_too_far_from_the_plain_latent_is_given_up():
    """5 rms a move in one direction: at most 30 rms is six moves; the seventh is refused, and no evaluation follows."""
    start, record, toy = latents(0.0).repeat(1, 1, 4, 4), trace(1), Away()
    steer(start, toy, SteeringPlan(evaluations_per_step=20), record, steps=(0, 1))
    assert len(toy.asked) == 7 and record.last(0)[0].note.startswith("out of range")
    assert [r.length > 0 for r in record.records] == [True] * 6 + [False]


def test_batch_equals_each_alone():
    start = latents(-1.0, 3.0, 0.5)
    together = steer(start, Toy(), PLAN, trace(1, 1, 1))
    for i in range(3):
        assert torch.allclose(together[i : i + 1], steer(start[i : i + 1], Toy(), PLAN, trace(1)))


@pytest.mark.parametrize(
    "plan, counts, steps",
    [(SteeringPlan(), (0, 0), (0,)), (SteeringPlan(), (1, 1), ()), (SteeringPlan(budget=0), (1, 1), (0,))],
)
def test_nothing_to_do_costs_nothing(plan, counts, steps):
    toy, start = Toy(), latents(-1.0, 0.0)
    assert SteeringLoop(plan, trace(*counts), steps).steer(start, toy, 0) is start
    assert toy.asked == []


def test_already_right_is_left_alone():
    toy, start, record = Toy(), latents(5.0), trace(1)
    assert steer(start, toy, PLAN, record) is start
    assert record.forwards == 1 and record.backwards == 0


def test_images_without_relation_are_never_evaluated():
    toy, start = Toy(), latents(-1.0, -1.0)
    moved = steer(start, toy, PLAN, trace(0, 1))
    assert torch.equal(moved[0], start[0]) and set(toy.asked) == {(1,)}


def test_the_trace_tells_the_length_of_each_move_and_its_largest_element():
    """rms of 0.15 of the norm is the norm over sqrt(144), 12: 0.15 * 12 = 1.8 units."""
    start, record = latents(-1.0, 0.0), trace(1, 1)
    plan = SteeringPlan(evaluations_per_step=1, step_rule="relative", step_size=0.3, strength=0.5)
    moved = steer(start, Toy(), plan, record)
    length = (moved - start).flatten(1).norm(dim=1)
    assert torch.allclose(length, 0.15 * start.flatten(1).norm(dim=1))
    assert torch.allclose(length, torch.tensor([r.move for r in record.records]))
    assert [r.length for r in record.records] == pytest.approx([1.8, 1.8], rel=1e-4)
    rms = start.square().mean((1, 2, 3)).sqrt()
    largest = (moved - start).abs().amax((1, 2, 3)) / rms
    assert [r.largest for r in record.records] == pytest.approx(largest.tolist(), rel=1e-4)
    for row, r in enumerate(record.records):
        for spread, z in ((r.spread_before, start[row]), (r.spread_after, moved[row])):
            assert spread == pytest.approx(float(((z - z.mean()).square().sum() / 143) ** 0.5), rel=1e-4)


def test_the_trace_has_no_spread_where_nothing_moved():
    record = trace(1)
    steer(latents(5.0), Toy(), PLAN, record)
    assert record.records[0].spread_before == record.records[0].spread_after == 0


def test_the_published_step_is_the_plain_gradient():
    start = latents(-1.0, 0.0)
    z = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Toy()(z, (0, 1)).loss.sum(), z)
    plan = SteeringPlan(evaluations_per_step=1, step_rule="gradient", step_size=5.0)
    assert torch.allclose(steer(start, Toy(), plan, trace(1, 1)), start - 5 * gradient)


def test_broken_gradient_leaves_that_image_alone_and_says_so():
    start, record = latents(-1.0, -1.0), trace(1, 1)
    moved = steer(start, Toy(broken=(0,)), PLAN, record)
    assert torch.equal(moved[0], start[0]) and not torch.equal(moved[1], start[1])
    assert "not finite" in record.last(0)[0].note and record.evaluations[0] == 1
    json.dumps(record.to_dict(), allow_nan=False)


def test_budget_is_kept_over_steps():
    plan, record = SteeringPlan(end=1.0, evaluations_per_step=2, budget=3, step_size=1e-4), trace(1)
    steer(latents(-1.0), Toy(), plan, record, steps=range(4))
    assert record.evaluations == [3]


def test_evaluations_without_a_gradient_count_in_the_budget():
    """Reached at once at each of four steps: one evaluation each, of which the budget allows two."""
    plan, record = SteeringPlan(budget=2), trace(1)
    steer(latents(5.0), Toy(), plan, record, steps=range(4))
    assert record.evaluations == [2] and record.gradients == [0]


def test_round_robin_serves_one_relation_after_another():
    start = latents(-1.0)
    plan = SteeringPlan(evaluations_per_step=1, combine="round_robin", reached=None, stop_loss=1e-9)
    moved = steer(start, Toy(relations=2), plan, trace(2))
    assert torch.equal(moved[0, 2:], start[0, 2:]) and not torch.equal(moved[0, :2], start[0, :2])
    plan = SteeringPlan(evaluations_per_step=1, combine="sum", reached=None, stop_loss=1e-9)
    assert not torch.equal(steer(start, Toy(relations=2), plan, trace(2))[0, 2:], start[0, 2:])


def test_half_precision_latents_keep_their_type():
    start = latents(-1.0).half()
    moved = steer(start, Toy(), PLAN, trace(1))
    assert moved.dtype == torch.float16 and not torch.equal(moved, start)


def test_works_inside_no_grad_and_inference_mode():
    start = latents(-1.0)
    expected = steer(start, Toy(), PLAN, trace(1))
    with torch.no_grad():
        assert torch.equal(steer(start, Toy(), PLAN, trace(1)), expected)
    with torch.inference_mode():
        assert torch.equal(steer(latents(-1.0), Toy(), PLAN, trace(1)), expected)


def test_labels_name_the_objects():
    target = RelationTarget(1, 0, "above")
    assert SteeringTrace.of([[target]], [["dog", "cat"]]).labels == [["cat above dog"]]
    assert SteeringTrace.of([[target], []]).labels == [["object 1 above object 0"], []]


class Gated:
    """Two targets, the first of which is reached where the mean exceeds 1; the second, of which the loss grows with the
    mean, counts from then on."""

    def __init__(self):
        self.weights = []

    def __call__(self, z, images):
        mean = z.flatten(1).mean(1)
        first = torch.nn.functional.softplus(20 * (1 - mean))
        loss = torch.stack([first, 5 + mean], 1)
        probability = torch.stack([(-first.detach()).exp(), torch.zeros(len(z))], 1)
        weight = torch.stack([torch.ones(len(z)), (probability[:, 0] >= 0.98).float()], 1)
        self.weights.append(weight[:, 1].tolist())
        return Reading(loss, probability, torch.ones_like(loss, dtype=torch.bool), weight)


def test_a_loss_that_begins_to_count_does_not_undo_the_move_that_let_it():
    """The sum of the losses that count rises from the first evaluation to the second, but the one that the move was for
    falls: the move stays. From then on the second loss, which the move raised, counts and is lowered."""
    toy, record, start = Gated(), trace(2), latents(0.95)
    plan = SteeringPlan(evaluations_per_step=3)
    first = steer(start, Gated(), SteeringPlan(evaluations_per_step=1), trace(2))
    assert first.mean() > 1.2  # one move reaches the first target and raises the second loss
    steer(start, toy, plan, record)
    assert toy.weights[:2] == [[0.0], [1.0]]
    notes = [r.note for r in record.image(0) if r.relation == 0]
    assert notes[:2] == ["", ""]


def test_only_what_weighs_is_moved_for():
    """With weight 0 the second loss has no gradient: the move is that for the first alone."""

    class Alone(Gated):
        def __call__(self, z, images):
            read = super().__call__(z, images)
            return Reading(read.loss[:, :1], read.probability[:, :1], read.mask[:, :1])

    once = SteeringPlan(evaluations_per_step=1)
    start = latents(0.9)
    assert torch.equal(steer(start, Gated(), once, trace(2)), steer(start, Alone(), once, trace(1)))


def test_in_turns_a_target_of_weight_zero_is_passed_over():
    """Turn 0 serves the first target, turn 1 the second: its weight is 1 by then and the mean falls."""
    plan = SteeringPlan(evaluations_per_step=2, combine="round_robin", step_rule="relative", step_size=0.3)
    after = [
        steer(
            latents(0.9), Gated(), SteeringPlan(**{**vars(plan), "evaluations_per_step": n}), trace(2)
        ).mean()
        for n in (1, 2)
    ]
    assert after[0] > 1.0 and after[1] < after[0]


def test_evaluations_of_first_noises_are_not_the_plans():
    record = trace(1)
    record.evaluations[0] = 8
    loop = SteeringLoop(SteeringPlan(budget=1), record, [0])
    loop.steer(latents(-1.0), Toy(), 0)
    assert record.evaluations == [9]


def test_labels_are_the_words_of_targets_of_any_kind():
    targets = [[RelationTarget(1, 0, "above"), PresenceTarget(0), SeparationTarget(0, 1), SingleTarget(1)]]
    assert SteeringTrace.of(targets, [["dog", "red car"]]).labels == [
        ["red car above dog", "dog is there", "dog apart from red car", "red car only once"]
    ]
    assert SteeringTrace.of([[PresenceTarget(2)]]).labels == [["object 2 is there"]]


def test_a_score_is_the_product_of_what_was_read_last():
    record, toy = trace(1), Toy()
    assert record.score(0) == 0.0
    steer(latents(0.9), toy, SteeringPlan(evaluations_per_step=2, reached=None), record)
    assert record.score(0) == record.last(0)[0].probability
    assert record.last(0)[0].evaluation == 1
