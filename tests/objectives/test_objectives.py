"""Maps -> loss and probability per wanted relation."""

import pytest
import torch
import torch.nn.functional as F

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.classifiers import SYMMETRIC_RELATIONS, ClassifierCard, SymmetricRelationClassifier
from learn_to_steer.errors import SteeringError
from learn_to_steer.objectives import (
    CentroidObjective,
    LearnedObjective,
    RelationTarget,
    StepInfo,
    centroids,
)

LAYERS = (AttentionLayer("down.0.0", "down", 0, 2), AttentionLayer("mid.0", "mid", 1, 2))
STEP = StepInfo(0, 20, 10.0)


def random_maps(batch=2, objects=3):
    torch.manual_seed(0)
    return MapStack(LAYERS, tuple(torch.rand(batch, objects, 2, s, s, requires_grad=True) for s in (8, 4)))


def classifier(**changes):
    torch.manual_seed(0)
    card = {"relations": SYMMETRIC_RELATIONS, "channels": 4, "map_size": 8, **changes}
    return SymmetricRelationClassifier(ClassifierCard(**card))


def spots(*columns, size=8):
    """One image: each object is a spot in the middle row at its column."""
    maps = torch.full((1, len(columns), 1, size, size), 1e-6)
    for o, column in enumerate(columns):
        maps[0, o, 0, size // 2, column] = 1.0
    return MapStack((AttentionLayer("mid.0", "mid", 0, 1),), (maps,))


TARGETS = [[RelationTarget(0, 1, "left of"), RelationTarget(2, 1, "under")], [RelationTarget(1, 0, "above")]]


def test_learned_objective_is_the_cross_entropy_of_each_pair():
    model = classifier()
    maps = random_maps()
    reading = LearnedObjective(model)(maps, TARGETS, STEP)
    assert reading.mask.tolist() == [[True, True], [True, False]]
    stacked = maps.stacked(8, "always")
    logits = model.eval()(stacked[0, [2, 1]][None], torch.zeros(1, dtype=torch.long))
    expected = F.cross_entropy(logits, torch.tensor([3]))
    assert torch.allclose(reading.loss[0, 1], expected)
    assert torch.allclose(reading.probability[0, 1], (-expected).exp())
    assert reading.loss[1, 1] == 0 and reading.probability[1, 1] == 1
    assert not reading.probability.requires_grad
    for gradient in torch.autograd.grad(reading.loss.sum(), maps.maps):
        assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_learned_objective_resizes_as_the_card_says():
    """As `stacked` does, whose values are worked out in tests/attention."""
    torch.manual_seed(0)
    maps = MapStack((AttentionLayer("mid.0", "mid", 0, 4),), (torch.rand(1, 2, 4, 16, 16),))
    found = {}
    for resize in ("bilinear", "area"):
        objective = LearnedObjective(classifier(map_size=4, resize=resize))
        found[resize] = objective.logits(maps, [[RelationTarget(0, 1, "above")]], STEP)
        given = maps.stacked(4, "always", resize)
        assert torch.equal(found[resize], objective.classifier(given, torch.zeros(1, dtype=torch.long)))
    assert not torch.allclose(found["area"], found["bilinear"])


def test_learned_objective_leaves_the_classifier_alone():
    model = classifier().train()
    LearnedObjective(model)
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_learned_objective_reads_only_its_layers():
    model = classifier(layers=("mid.0",), channels=2)
    objective = LearnedObjective(model)
    assert objective.layers == ("mid.0",)
    assert objective(random_maps(), TARGETS, STEP).loss.shape == (2, 2)


def test_unknown_relations_are_refused():
    with pytest.raises(SteeringError, match='trained for.*"behind"'):
        LearnedObjective(classifier()).check([[RelationTarget(0, 1, "behind")]])
    with pytest.raises(SteeringError, match="wibble"):
        LearnedObjective(classifier()).check([[RelationTarget(0, 1, "wibble")]])
    with pytest.raises(SteeringError, match="next to"):
        CentroidObjective().check([[RelationTarget(0, 1, "next to")]])


def test_centroids_are_fractions_of_the_sides():
    assert torch.allclose(centroids(spots(1, 6))[0, :, 0], torch.tensor([1.5 / 8, 6.5 / 8]), atol=1e-4)


@pytest.mark.parametrize("relation, right", [("left of", True), ("right of", False), ("above-left of", True)])
def test_centroid_objective_tells_sides(relation, right):
    reading = CentroidObjective()(spots(1, 6), [[RelationTarget(0, 1, relation)]], STEP)
    assert (reading.probability.item() > 0.98) == right
    assert torch.allclose((-reading.loss).exp(), reading.probability)


def test_images_without_relations_are_masked():
    reading = CentroidObjective()(random_maps(), [[], [RelationTarget(0, 1, "left of")]], STEP)
    assert reading.mask.tolist() == [[False], [True]]
