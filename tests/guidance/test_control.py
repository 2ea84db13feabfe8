"""When guidance is on, and for which objects."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.errors import SteeringError
from learn_to_steer.guidance import (
    STRENGTHS,
    AttentionGuidance,
    GuidancePlan,
    Layout,
    background_field,
    calibrated,
    check_method,
    guided_layers,
    hard_fields,
    object_fields,
    plan_for,
    token_columns,
)
from learn_to_steer.objectives import RelationTarget
from learn_to_steer.steering import SteeringPlan

THREE = Layout(np.array([[0.2, 0.5], [0.8, 0.5], [0.5, 0.2]]), np.full((3, 2), 0.5))
ONE = Layout(np.array([[0.5, 0.5]]), np.full((1, 2), 0.5))
CHAIN = [RelationTarget(0, 1, "to the left of"), RelationTarget(2, 1, "above")]


def guidance(plan=None, **changes):
    """Three images: two relations in three objects, none, and a box alone."""
    settings = {
        "targets": [CHAIN, [], []],
        "layouts": [THREE, None, ONE],
        "columns": token_columns([[[1], [2], [3]], [], [[4]]], 8),
        "steps": [0, 1, 2],
        "strength": 2.0,
    }
    return AttentionGuidance(plan or GuidancePlan(reached=0.9), **{**settings, **changes})


def test_all_objects_are_guided_until_something_is_read():
    one = guidance()
    assert one.images == [0, 2]
    assert one.gates().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]
    fields = one.fields(4, 6)
    assert fields.shape == (3, 3, 24)
    assert torch.equal(fields[0], object_fields(THREE, 4, 6, 0.35))
    assert not fields[1].any()


def test_peaks_are_as_wide_as_they_are_said_to_be():
    """A place is 0.5 wide: one standard deviation of 0.25 places from its middle at 0.5 is at 0.375 and 0.625."""
    row = guidance(width=0.25).fields(1, 4)[2, 0]
    assert row.tolist() == pytest.approx(
        [2 * np.exp(-4.5) - 1, 2 * np.exp(-0.5) - 1] + row[:2].flip(0).tolist()
    )
    assert (guidance(width=0.4).fields(4, 6)[0] >= guidance(width=0.3).fields(4, 6)[0]).all()


def test_a_plan_may_ask_for_hard_boxes():
    fields = guidance(GuidancePlan(hard=True)).fields(4, 6)
    assert torch.equal(fields[0], hard_fields(THREE, 4, 6))
    assert torch.equal(fields[2, :1], hard_fields(ONE, 4, 6))


def test_a_relation_that_holds_is_switched_off_and_on_again_when_it_is_lost():
    one = guidance()
    one.observe(torch.tensor([[0.95, 0.2]]), [0])
    assert one.gates()[0].tolist() == [0, 1, 1]  # the second relation still needs its objects
    one.observe(torch.tensor([[0.95, 0.9]]), [0])
    assert one.gates()[0].tolist() == [0, 0, 0]
    assert one.active(1)  # the box of the third picture
    one.observe(torch.tensor([[0.5, 0.95]]), [0])
    assert one.gates()[0].tolist() == [1, 1, 0]


def test_columns_of_a_reading_may_be_about_some_relations_only():
    one = guidance()
    one.observe(torch.tensor([[0.95, 1.0]]), [0], [[1]])
    assert one.gates()[0].tolist() == [1, 1, 0]


def test_without_a_threshold_nothing_is_switched():
    one = guidance(GuidancePlan())
    one.observe(torch.ones(1, 2), [0])
    assert one.gates()[0].tolist() == [1, 1, 1]
    assert not one.switches


def test_it_is_active_at_its_steps_only_and_never_at_strength_0():
    assert [guidance().active(step) for step in range(4)] == [True, True, True, False]
    assert not guidance(strength=0.0).active(0)
    nothing = guidance(targets=[[], [], []], layouts=[None, None, None])
    assert not nothing.active(0)


def test_what_was_on_is_put_down():
    one = guidance()
    one.note(0)
    one.observe(torch.tensor([[0.95, 0.2]]), [0])
    one.note(1)
    one.note(3)
    told = one.to_dict([["dog", "cat", "fox"], [], ["owl"]])
    assert [s["step"] for s in told["steps"]] == [0, 1, 3]
    assert told["steps"][0]["on"] == [[True, True], [], [True]]
    assert told["steps"][1]["on"] == [[False, True], [], [True]]
    assert told["steps"][2]["on"] == [[False, False], [], [False]]
    assert told["layouts"][0]["objects"] == ["dog", "cat", "fox"]
    assert told["layouts"][1] is None
    assert told["strength"] == 2.0


SHARES = [i / 20 for i in range(20)]


def test_steps_begin_inside_the_plans_share():
    assert GuidancePlan(end=0.3).steps(SHARES) == (list(range(6)), "")
    assert GuidancePlan(start=0.1, end=0.2).steps(SHARES) == ([2, 3], "")
    for begin, guided in ((0.15, True), (0.2, True), (0.25, False), (0.35, False)):
        steps, why = GuidancePlan(end=0.4).steps([begin + i / 20 for i in range(10)])
        assert bool(steps) == guided
        assert guided or f"begins at {begin:.0%} of the model's schedule, where the objects have" in why
    # A whole run of four steps with "leading" timesteps (751, 501, 251, 1; Heun's come twice), and its second pass.
    assert GuidancePlan(end=0.4).steps([0.248, 0.498, 0.748, 0.998])[0] == [0]
    assert GuidancePlan(end=0.5).steps([0.248, 0.498, 0.498, 0.748, 0.748, 0.998])[0] == [0, 1, 2]
    assert GuidancePlan(end=0.5).steps([0.498, 0.748, 0.998])[0] == []
    assert GuidancePlan(end=0.6).steps([0.498, 0.748, 0.998])[0] == []
    # The last two of three even steps, and the last three of four.
    for second_pass in ([1 / 3, 2 / 3], [0.25, 0.5, 0.75]):
        assert "have their places already" in GuidancePlan(end=0.4).steps(second_pass)[1]
    # From a fifth of the schedule on a second pass is left alone, however much of a first one is guided.
    for begin, guided in ((0.2, True), (0.25, False)):
        assert bool(GuidancePlan(end=0.9).steps([begin + i / 20 for i in range(10)])[0]) == guided
    assert GuidancePlan(start=0.4, end=0.6).steps([0.4 + i / 20 for i in range(12)])[0] == [0, 1, 2, 3]
    late = [0.5 + i / 20 for i in range(10)]
    steps, why = GuidancePlan(end=0.3).steps(late)
    assert steps == []
    assert "begins at 50%" in why
    assert GuidancePlan(strength=0).steps(SHARES) == ([], "Attention not guided: the strength is 0.")


@pytest.mark.parametrize(
    "wrong",
    [{"end": 1.2}, {"start": 0.5, "end": 0.3}, {"strength": -1}, {"width": 0}, {"background": -1}, {"reached": 0},
     {"layers": ()}, {"strength": float("nan")}, {"background": True}],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(SteeringError):
        GuidancePlan(**wrong)


def test_moves_behind_guidance_are_fewer():
    fast, behind = SteeringPlan.preset("fast"), plan_for("fast", "both")
    assert plan_for("fast", "gradient") == plan_for("fast", "attention") == fast
    assert (fast.evaluations_per_step, behind.evaluations_per_step) == (3, 2)
    assert behind.start > 0 and behind.end < fast.end
    assert plan_for("thorough", "gradient") == fast
    assert plan_for("thorough", "both") == replace(behind, evaluations_per_step=4)
    assert plan_for("paper", "both") == SteeringPlan.preset("paper")
    assert plan_for("thorough", "both", strength=0.5).strength == 0.5
    with pytest.raises(SteeringError, match="thorough"):
        plan_for("slow", "both")


def test_presets_are_changed_by_name():
    assert GuidancePlan.preset("attention", width=0.3).width == 0.3
    with pytest.raises(SteeringError, match='got "fast"'):
        GuidancePlan.preset("fast")
    with pytest.raises(SteeringError, match="got widht"):
        GuidancePlan.preset("both", widht=0.3)


def test_methods_have_names():
    assert check_method("both") == "both"
    with pytest.raises(SteeringError, match='gradient, attention, both, got "bias"'):
        check_method("bias")


UNET = [
    AttentionLayer(n, n.split(".")[0], i, 4)
    for i, n in enumerate(["down.0.0", "down.1.0", "mid.0", "up.0.0"])
]
JOINT = [AttentionLayer(n, n.split(".")[0], i, 4) for i, n in enumerate(["double.0", "single.0"])]


def test_all_layers_are_guided_or_those_that_are_chosen():
    assert guided_layers(UNET) == ["down.0.0", "down.1.0", "mid.0", "up.0.0"]
    assert guided_layers(JOINT) == ["double.0", "single.0"]
    assert guided_layers(UNET, ("up.0.0",)) == ["up.0.0"]
    with pytest.raises(SteeringError, match=r"got up\.7"):
        guided_layers(UNET, ("up.7",))


def test_a_family_without_a_number_has_that_of_models_built_alike():
    assert calibrated("sdxl", UNET) == STRENGTHS["sdxl"]
    assert calibrated("never seen", UNET) == STRENGTHS["sd1"]
    assert calibrated("never seen", JOINT) == STRENGTHS["flux"]


# "a photo of a dog left of a cat at night": the begin, words 1 to 10, the end at 11, padding behind.
PHOTO = {
    "targets": [[RelationTarget(0, 1, "to the left of")]],
    "layouts": [Layout(np.array([[0.25, 0.5], [0.75, 0.5]]), np.full((2, 2), 0.5))],
    "columns": token_columns([[[5], [9]]], 14),
    "tokens": torch.tensor([[1.0] * 11 + [0.0] * 3]),
}


def test_the_background_is_given_to_the_words_around_the_objects():
    one = guidance(GuidancePlan(), **PHOTO, background=0.3)
    columns = one.guided_columns
    assert torch.equal(columns[:, :2], PHOTO["columns"])
    assert columns[0, 2].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    fields = one.fields(1, 2)
    assert fields.shape == (1, 3, 2)
    assert torch.equal(fields[:, :2], guidance(GuidancePlan(), **PHOTO).fields(1, 2))
    assert fields[0, 2] == pytest.approx(0.3 * background_field(PHOTO["layouts"][0], 1, 2, 0.35))


def test_without_a_background_there_is_no_further_column():
    one = guidance(GuidancePlan(), **PHOTO)
    assert torch.equal(one.guided_columns, PHOTO["columns"])


def test_the_background_is_left_alone_with_the_last_object():
    one = guidance(GuidancePlan(reached=0.9), **PHOTO, background=0.3)
    one.observe(torch.tensor([[0.95]]), [0])
    assert not one.fields(2, 2).any()
