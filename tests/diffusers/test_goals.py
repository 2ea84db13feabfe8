"""Goals beside relations through diffusers: which targets a prompt makes, and that without them nothing changes."""

import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import generate
from learn_to_steer.hosts.targets import batch_targets
from learn_to_steer.language import Relation, RelationTriplet, read_prompt, understandings
from learn_to_steer.objectives import (
    CentroidObjective,
    CombinedObjective,
    PresenceTarget,
    RelationTarget,
    SeparationTarget,
    SingleTarget,
)
from learn_to_steer.steering import SteeringPlan

GOALS = ("presence", "separation", "single")
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, reached=None)
RUN = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "pt", "height": 32, "width": 32}
KINDS = ["pipe", "xl_pipe", "flux_pipe"]


def drawn(pipe, prompt, **changes):
    if hasattr(pipe, "transformer"):
        changes = {"max_sequence_length": 24, **changes}
    return generate(
        pipe, prompt, **{"objective": CentroidObjective(), "plan": PLAN, "seed": 3, **RUN, **changes}
    )


@pytest.mark.parametrize("kind", KINDS)
def test_things_without_a_relation_are_left_alone_unless_there_are_goals(request, kind):
    pipe, prompt = request.getfixturevalue(kind), "a dog and a cat"
    plain = drawn(pipe, prompt, objective=None)
    off = drawn(pipe, prompt)
    assert torch.equal(off.images, plain.images) and off.model_calls == plain.model_calls == 4
    on = drawn(pipe, prompt, goals=GOALS)
    labels = ["dog is there", "cat is there", "dog apart from cat", "dog only once", "cat only once"]
    assert on.trace.labels == [labels]
    assert {record.label for record in on.trace.records} == set(labels)
    assert on.trace.evaluations == [4] and on.model_calls == 8
    assert not torch.equal(on.images, plain.images)


def test_goals_need_no_objective_of_relations(pipe):
    on = drawn(pipe, "a dog above a cat", objective=None, goals=("separation",))
    assert on.trace.labels == [["dog apart from cat"]] and on.trace.records[0].move > 0
    with pytest.raises(SteeringError, match="Expected an objective for the goal relation"):
        drawn(pipe, "a dog above a cat", objective=None, goals=("relation", "presence"))


def test_the_default_objective_takes_goals(pipe):
    """Also where no prompt states a relation; where none names a thing, nothing is asked for."""
    goals = ("relation", "presence")
    run = {"plan": PLAN, "seed": 3, **RUN}
    named = generate(pipe, "a dog and a cat", goals=goals, **run)
    assert named.trace.labels == [["dog is there", "cat is there"]] and named.trace.records[0].move > 0
    plain = drawn(pipe, "the right", objective=None)
    assert torch.equal(generate(pipe, "the right", goals=goals, **run).images, plain.images)


@pytest.mark.parametrize("kind", KINDS)
def test_the_goal_relation_is_what_there_is_without_goals(request, kind):
    pipe = request.getfixturevalue(kind)
    prompts = ["a dog above a cat", "a dog and a cat"]
    once, again = drawn(pipe, prompts), drawn(pipe, prompts, goals=("relation",))
    assert torch.equal(once.images, again.images)
    assert once.trace.to_dict() == again.trace.to_dict() and once.trace.labels[1] == []


def test_each_image_of_a_batch_has_its_own_targets(pipe):
    out = drawn(pipe, ["a dog above a cat", "a fox", "the right"], goals=("relation", "presence"))
    assert out.trace.labels == [["dog above cat", "dog is there", "cat is there"], ["fox is there"], []]
    assert out.trace.evaluations[2] == 0
    alone = drawn(pipe, "the right", objective=None, seed=5)
    assert torch.allclose(out.images[2], alone.images[0], atol=1e-5)


def test_things_out_of_reach_are_noted_and_the_others_are_not_lost(pipe):
    far = ", very" * 80
    with pytest.warns(UserWarning, match='"fox" is not read: .*tokens'):
        out = drawn(pipe, f"a dog and a cat{far}, and a fox", goals=("presence",))
    assert out.trace.labels == [["dog is there", "cat is there"]]
    assert any('"fox" is not read' in note for note in out.trace.notes)


def test_unknown_goals_are_refused(pipe):
    with pytest.raises(SteeringError, match="Expected goals among relation, implied, presence"):
        drawn(pipe, "a dog above a cat", goals=("colour",))


# Targets


def targets(prompt, goals, given=None):
    (read,) = understandings([prompt], given)
    objective = CombinedObjective(CentroidObjective(), goals)
    wanted = batch_targets(
        [list(read.relations)], objective, lambda image, span: [span[0]], len(prompt) + 1, [read.objects]
    )
    return wanted


def test_relations_come_first_then_what_follows_then_the_rest():
    wanted = targets(
        "a dog above a cat above a fox", ("single", "separation", "presence", "implied", "relation")
    )
    assert wanted.objects == [["dog", "cat", "fox"]]
    assert wanted.targets[0] == [
        RelationTarget(0, 1, "above"), RelationTarget(1, 2, "above"), RelationTarget(0, 2, "above"),
        *map(PresenceTarget, range(3)),
        SeparationTarget(0, 1), SeparationTarget(0, 2), SeparationTarget(1, 2),
        *map(SingleTarget, range(3)),
    ]  # fmt: skip
    assert [(t.subject, t.object) for t in wanted.kept[0]] == [("dog", "cat"), ("cat", "fox")]


def test_an_object_has_one_slot_however_it_is_meant():
    wanted = targets("a dog above a cat, and a fox", ("relation", "presence"))
    assert wanted.objects == [["dog", "cat", "fox"]] and wanted.weights.shape[1] == 3
    assert [t for t in wanted.targets[0] if isinstance(t, PresenceTarget)] == [*map(PresenceTarget, range(3))]


@pytest.mark.parametrize("relation", ["inside", "in front of", "behind"])
def test_what_may_lie_on_each_other_is_not_kept_apart(relation):
    wanted = targets("a dog, a cat and a fox", ("separation",), [[("dog", relation, "cat")]])
    assert wanted.targets[0] == [SeparationTarget(0, 2), SeparationTarget(1, 2)]


def test_several_of_a_kind_are_not_wanted_once():
    wanted = targets("two dogs and a cat", ("single",))
    names = wanted.objects[0]
    assert [names[t.object] for t in wanted.targets[0]] == ["cat"]


def test_a_relation_that_nobody_knows_costs_its_objects_nothing():
    wanted = targets("a dog and a cat", ("relation", "presence"), [[("dog", "behind", "cat")]])
    assert len(wanted.left_out[0]) == 1 and wanted.kept == [[]]
    assert len(wanted.targets[0]) == 2


def test_without_the_goal_relation_none_is_checked():
    dog, cat = read_prompt("a dog and a cat").objects
    triplet = RelationTriplet("dog", Relation.BEHIND, "cat", dog.noun, cat.noun, dog.noun, cat.noun)
    objective = CombinedObjective(None, ("presence",))
    wanted = batch_targets([[triplet]], objective, lambda image, span: [span[0]], 20)
    assert wanted.targets == [[PresenceTarget(0), PresenceTarget(1)]] and wanted.left_out == [[]]
