"""Several kinds of targets at once: what each part says, in its place, with its weight behind its gate."""

import pytest
import torch

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.errors import SteeringError
from learn_to_steer.objectives import (
    AttendAndExciteObjective,
    CentroidObjective,
    CombinedObjective,
    LearnedObjective,
    PresenceObjective,
    PresenceTarget,
    RelationTarget,
    RtdObjective,
    SeparationObjective,
    SeparationTarget,
    SingleObjective,
    SingleTarget,
    StepInfo,
    goals_of,
    learned_part,
    with_goals,
)

STEP = StepInfo(0, 20, 10.0)
LAYERS = (AttentionLayer("down.0.0", "down", 0, 2), AttentionLayer("mid.0", "mid", 1, 2))
ABOVE, THERE, APART, ONCE = (
    RelationTarget(0, 1, "above"),
    PresenceTarget(1),
    SeparationTarget(0, 2),
    SingleTarget(2),
)
TARGETS = [[ABOVE, THERE, APART, ONCE], [PresenceTarget(0), RelationTarget(2, 0, "left of")], []]


def maps(batch=3):
    torch.manual_seed(0)
    return MapStack(LAYERS, tuple(torch.rand(batch, 3, 2, s, s) for s in (16, 8)))


def test_every_target_gets_what_its_own_objective_says():
    read = CombinedObjective(CentroidObjective())(maps(), TARGETS, STEP)
    parts = {
        (0, 0): CentroidObjective()(maps(), [[ABOVE], [], []], STEP).loss[0, 0],
        (0, 1): PresenceObjective()(maps(), [[THERE], [], []], STEP).loss[0, 0],
        (0, 2): SeparationObjective()(maps(), [[APART], [], []], STEP).loss[0, 0],
        (0, 3): SingleObjective()(maps(), [[ONCE], [], []], STEP).loss[0, 0],
        (1, 0): PresenceObjective()(maps(), [[], [PresenceTarget(0)], []], STEP).loss[1, 0],
        (1, 1): CentroidObjective()(maps(), [[], [TARGETS[1][1]], []], STEP).loss[1, 0],
    }
    assert read.mask.tolist() == [[True] * 4, [True, True, False, False], [False] * 4]
    for place, expected in parts.items():
        assert torch.allclose(read.loss[place], expected)
        assert read.loss[place] > 0
    assert read.loss[~read.mask].abs().sum() == 0 and (read.probability[~read.mask] == 1).all()
    assert torch.allclose((-read.loss).exp(), read.probability)


def reading(gate, presence, weights=None):
    """Of an image whose two presence targets have these probabilities, and one without any."""
    objective = CombinedObjective(CentroidObjective(), gate=gate, weights=weights)

    class Known(PresenceObjective):
        def __call__(self, *arguments):
            read = super().__call__(*arguments)
            read.probability[0] = torch.tensor(presence)
            return read

    objective._parts[PresenceTarget] = ("presence", Known())
    return objective(maps(2), [[ABOVE, THERE, PresenceTarget(0)], [ABOVE]], STEP)


@pytest.mark.parametrize(
    "gate, presence, expected",
    [
        ("none", (0.1, 0.2), 1.0),
        ("hard", (0.99, 0.97), 0.0),
        ("hard", (0.99, 0.98), 1.0),
        ("smooth", (0.5, 0.8), 0.4),
    ],
)
def test_a_relation_waits_for_its_objects(gate, presence, expected):
    weight = reading(gate, presence).weight
    assert weight[0].tolist() == pytest.approx([expected, 1.0, 1.0])
    assert weight[1, 0] == 1.0  # no presence target: no gate


def test_weights_are_by_kind():
    weight = reading("smooth", (0.5, 0.8), {"relation": 3.0, "presence": 0.5}).weight
    assert weight[0].tolist() == pytest.approx([1.2, 0.5, 0.5]) and weight[1, 0] == 3.0


def test_padding_weighs_nothing():
    weights = reading("smooth", (0.5, 0.8)).weights
    assert weights[1].tolist() == [1.0, 0.0, 0.0]


def test_layers_are_those_of_all_parts():
    class Reads(CentroidObjective):
        layers = ("down.0.0",)

    assert CombinedObjective(Reads()).layers == ("down.0.0",)
    assert CombinedObjective(Reads(), layers=("mid.0", "down.0.0")).layers == ("down.0.0", "mid.0")
    assert CombinedObjective(CentroidObjective()).layers is None
    assert CombinedObjective(CentroidObjective()).reading(("mid.0",)).layers == ("mid.0",)
    assert CombinedObjective(None, ("presence",), layers=("mid.0",)).layers == ("mid.0",)


def test_goals_are_what_is_asked_for():
    assert goals_of(CentroidObjective()) == ("relation",)
    assert goals_of(with_goals(CentroidObjective(), ["relation", "single"])) == ("relation", "single")
    weighed = CombinedObjective(CentroidObjective(), weights={"single": 2.0}, gate="hard")
    again = with_goals(weighed, ["single"])
    assert again.goals == ("single",) and again.gate == "hard" and again.weights["single"] == 2.0


def test_the_classifier_is_found_inside():
    assert learned_part(CombinedObjective(CentroidObjective())) is None
    assert CombinedObjective(CentroidObjective()).card is None
    from learn_to_steer.classifiers import SYMMETRIC_RELATIONS, ClassifierCard, SymmetricRelationClassifier

    card = ClassifierCard(relations=SYMMETRIC_RELATIONS, channels=4, map_size=8)
    learned = LearnedObjective(SymmetricRelationClassifier(card))
    assert learned_part(CombinedObjective(learned)) is learned and learned_part(learned) is learned
    assert CombinedObjective(learned).card is learned.card


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"relation": None, "goals": ("relation",)}, "Expected an objective for the goal relation"),
        ({"relation": None, "goals": ("implied", "presence")}, "Expected an objective for the goal relation"),
        ({"goals": ("presence", "colour")}, "Expected goals among .*'colour'"),
        ({"goals": ()}, "Expected goals among .*none"),
        ({"goals": "presence"}, "Expected goals among .*'presence'; give a list"),
        ({"gate": "soft"}, "Expected a gate among none, hard, smooth"),
        ({"weights": {"presence": -1.0}}, "Expected weights of 0 or more"),
        ({"weights": {"colour": 1.0}}, "Expected weights of 0 or more"),
    ],
)
def test_what_there_is_not_is_refused(arguments, message):
    with pytest.raises(SteeringError, match=message):
        CombinedObjective(**{"relation": CentroidObjective(), **arguments})


def test_relations_without_an_objective_for_them_are_refused():
    with pytest.raises(SteeringError, match="Expected an objective for relations"):
        CombinedObjective(None, ("presence",)).check([[ABOVE]])
    with pytest.raises(SteeringError, match="next to"):
        CombinedObjective(CentroidObjective()).check([[RelationTarget(0, 1, "next to")]])
    CombinedObjective(None, ("presence",)).check([[THERE, APART, ONCE]])


# Losses of others


def shares(*objects):
    return MapStack((AttentionLayer("mid.0", "mid", 0, 1),), (torch.stack(objects)[None, :, None],))


def test_attend_and_excite_serves_the_most_neglected_object():
    """Flat maps of .6 and .2: shares of .75 and .25 everywhere; enough is .8."""
    maps = shares(torch.full((16, 16), 0.6), torch.full((16, 16), 0.2))
    read = AttendAndExciteObjective()(maps, [[PresenceTarget(0), PresenceTarget(1)]], STEP)
    assert read.loss[0].tolist() == pytest.approx([0.25, 0.75], abs=1e-5)
    assert read.probability[0].tolist() == pytest.approx([0.75 / 0.8, 0.25 / 0.8], abs=1e-5)
    assert read.weight.tolist() == [[0.0, 1.0]]
    assert AttendAndExciteObjective.goals == ("presence",)


def test_rtd_is_the_overlap_of_maps_up_to_one():
    """Halves that share a quarter of the picture: 64 / (128 + 128 - 64); heights do not count."""
    left, middle = torch.zeros(2, 16, 16)
    left[:, :8], middle[:, 4:12] = 0.1, 0.7
    read = RtdObjective()(shares(left, middle), [[SeparationTarget(0, 1)]], STEP)
    assert read.loss.item() == pytest.approx(64 / 192) and read.probability.item() == pytest.approx(128 / 192)
    assert RtdObjective()(shares(left, middle), [[]], STEP).loss.shape == (1, 0)
