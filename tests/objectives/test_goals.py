"""Presence, separation and single places, by maps whose values are worked out by hand."""

import math

import pytest
import torch

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.errors import SteeringError
from learn_to_steer.objectives import (
    PresenceObjective,
    PresenceTarget,
    RelationTarget,
    SeparationObjective,
    SeparationTarget,
    SingleObjective,
    SingleTarget,
    StepInfo,
)
from learn_to_steer.objectives.places import object_places
from learn_to_steer.objectives.presence import presences
from learn_to_steer.objectives.separation import overlap
from learn_to_steer.objectives.single import second_places

STEP = StepInfo(0, 20, 10.0)
LAYER = AttentionLayer("mid.0", "mid", 0, 1)


def stack(*objects, size=16, scale=1.0):
    """One image of one head: each object is {(row, column): attention}."""
    maps = torch.zeros(1, len(objects), 1, size, size)
    for o, cells in enumerate(objects):
        for (row, column), value in cells.items():
            maps[0, o, 0, row, column] = value * scale
    return MapStack((LAYER,), (maps,))


def blobs(*centres, size, spread=0.08):
    """One image of one head: each object is a Gaussian blob around (x, y), in shares of the picture."""
    at = (torch.arange(size) + 0.5) / size
    maps = [torch.exp(-((at[None] - x) ** 2 + (at[:, None] - y) ** 2) / (2 * spread**2)) for x, y in centres]
    return MapStack((LAYER,), (torch.stack(maps)[None, :, None],))


FAR, NEAR = {(3, 3): 0.2}, {(12, 12): 0.4}


def test_an_object_with_a_place_of_its_own_is_there():
    """All of its attention is in one place (1), where the other has none: windows reach 6 cells, the places are 9 apart."""
    assert torch.allclose(presences(object_places(stack(FAR, NEAR), None)), torch.ones(1, 2))


def test_objects_in_one_place_are_not_there():
    assert presences(object_places(stack(NEAR, NEAR), None)).abs().max() < 1e-6


def test_the_others_count_by_their_mean():
    """Two of three share a place: 1 - (1 + 0) / 2."""
    found = presences(object_places(stack(NEAR, NEAR, FAR), None))
    assert torch.allclose(found, torch.tensor([[0.5, 0.5, 1.0]]))


def test_a_flat_map_has_no_place():
    """An object alone: of 256 equal cells a window holds the sum of its own heights, a Gaussian of 2 cells."""
    flat = {(row, column): 1.0 for row in range(16) for column in range(16)}
    window = sum(math.exp(-(x**2) / 8) for x in range(-6, 7)) ** 2
    found = presences(object_places(stack(flat), None))
    assert torch.allclose(found, torch.tensor([[window / 256]]))


def test_a_slot_without_a_map_is_no_other_object():
    """Padding of images with fewer objects: the mean over the others is that over one."""
    assert torch.allclose(
        presences(object_places(stack(NEAR, NEAR, {}), None))[0, :2], torch.zeros(2), atol=1e-6
    )
    assert torch.allclose(presences(object_places(stack(NEAR, FAR, {}), None))[0, :2], torch.ones(2))


@pytest.mark.parametrize("size", [32, 64])
def test_values_do_not_depend_on_the_size_of_the_maps(size):
    places, small = (object_places(blobs((0.3, 0.4), (0.6, 0.5), size=s), None) for s in (size, 16))
    assert torch.allclose(presences(places), presences(small), atol=0.02)
    assert torch.allclose(second_places(places), second_places(small), atol=0.01)
    assert torch.allclose(overlap(places[:, 0], places[:, 1]), overlap(small[:, 0], small[:, 1]), atol=0.02)


def test_values_do_not_depend_on_the_number_of_tokens():
    """With twice as many tokens, each has half of the attention."""
    whole, halved = (object_places(stack(FAR, NEAR, FAR, scale=s), None) for s in (1.0, 0.5))
    assert torch.allclose(presences(whole), presences(halved))
    assert torch.allclose(second_places(whole), second_places(halved))


def test_the_overlap_of_regions_is_their_intersection_over_their_union():
    a, b = torch.zeros(2, 1, 4, 8)
    a[0, 0, 0:4], b[0, 0, 2:6] = 1, 1
    assert torch.allclose(overlap(a, b), torch.tensor([2 / 6]))
    assert torch.allclose(overlap(0.3 * a, 0.3 * a), torch.tensor([1.0]))
    assert overlap(a, torch.zeros_like(a)).tolist() == [0.0]


def test_a_second_peak_is_measured_by_the_first():
    """.25 beside .75, nine cells apart: smoothing reaches 4, another place begins beyond 5."""
    found = second_places(object_places(stack({(3, 3): 0.75, (3, 12): 0.25}), None))
    assert torch.allclose(found, torch.tensor([[1 / 3]]))


def test_one_peak_has_no_second():
    """What is left of a peak four cells away in both directions, the first beyond a distance of five."""
    found = second_places(object_places(stack({(3, 3): 0.4}), None))
    assert torch.allclose(found, torch.tensor([[math.exp(-32 / (2 * 1.5**2))]]))
    assert second_places(object_places(stack({}), None)).tolist() == [[0.0]]


SHIFTED = {"level": 0.5, "softness": 0.5}


@pytest.mark.parametrize(
    "objective, maps, target, z",
    [
        (PresenceObjective(**SHIFTED), stack(FAR, NEAR), PresenceTarget(1), 1.0),
        (PresenceObjective(**SHIFTED), stack(NEAR, NEAR), PresenceTarget(1), -1.0),
        (SeparationObjective(**SHIFTED), stack(FAR, NEAR), SeparationTarget(0, 1), 1.0),
        (SeparationObjective(**SHIFTED), stack(NEAR, NEAR), SeparationTarget(1, 0), -1.0),
        (SingleObjective(**SHIFTED), stack({(3, 3): 0.5, (3, 12): 0.5}), SingleTarget(0), -1.0),
    ],
)
def test_loss_and_probability_are_a_logistic_of_the_distance_from_the_level(objective, maps, target, z):
    """Values of 1 and 0 are one softness from a level of a half: loss log(1 + e^-z), probability 1 / (1 + e^-z)."""
    reading = objective(maps, [[target]], STEP)
    assert reading.loss.item() == pytest.approx(math.log(1 + math.exp(-z)), abs=1e-5)
    assert reading.probability.item() == pytest.approx(1 / (1 + math.exp(-z)), abs=1e-5)
    assert not reading.probability.requires_grad


KINDS = [
    (PresenceObjective(), PresenceTarget(1)),
    (SeparationObjective(), SeparationTarget(0, 2)),
    (SingleObjective(), SingleTarget(2)),
]


@pytest.mark.parametrize("objective, target", KINDS)
def test_gradients_are_those_of_the_loss(objective, target):
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    layer = AttentionLayer("mid.0", "mid", 0, 2)

    def loss(m):
        return objective(MapStack((layer,), (m,)), [[], [target]], STEP).loss

    assert torch.autograd.gradcheck(loss, maps, fast_mode=True)
    (gradient,) = torch.autograd.grad(loss(maps).sum(), maps)
    assert not gradient[0].any() and gradient[1].abs().max() > 0


@pytest.mark.parametrize("objective, target", KINDS)
def test_following_the_gradient_reaches_the_target(objective, target):
    """By small steps on the logits of maps that begin flat but for noise."""
    torch.manual_seed(1)
    logits = 0.3 * torch.randn(1, 3, 1, 16, 16)
    for _ in range(400):
        logits.requires_grad_(True)
        maps = logits.softmax(1)  # what one object gains the others lose
        reading = objective(MapStack((LAYER,), (maps,)), [[target]], STEP)
        (gradient,) = torch.autograd.grad(reading.loss.sum(), logits)
        logits = (logits - 0.5 * gradient / gradient.norm().clamp(min=1e-9)).detach()
    assert reading.probability.item() > 0.98


@pytest.mark.parametrize("objective, target", KINDS)
def test_only_the_layers_asked_for_are_read(objective, target):
    layers = (LAYER, AttentionLayer("up.0", "up", 1, 1))
    other = objective.reading(("mid.0",))
    assert other.layers == ("mid.0",) and objective.layers is None
    read = stack(FAR, NEAR, FAR).maps[0]
    values = [
        other(MapStack(layers, (read, torch.rand(1, 3, 1, 8, 8))), [[target]], STEP).loss for _ in range(2)
    ]
    assert torch.equal(*values)


@pytest.mark.parametrize("objective, target", KINDS)
def test_targets_of_another_kind_are_refused(objective, target):
    with pytest.raises(SteeringError, match="Expected targets of the kind .*'object 0 above object 1'"):
        objective.check([[target, RelationTarget(0, 1, "above")]])
