"""The official architecture, our symmetric one, and the card."""

from dataclasses import replace

import pytest
import torch

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    SymmetricConfig,
    SymmetricRelationClassifier,
    check_classifier,
)
from learn_to_steer.errors import SteeringError

CARD = ClassifierCard(
    SYMMETRIC_RELATIONS, channels=6, map_size=8, timesteps=(5, 10, 49), num_timesteps=50, family="sd1"
)
SMALL = OfficialConfig(
    d_model=16, extractor_feedforward=16, head_feedforward=16, extractor_heads=2, head_heads=2, positions=4
)


def maps(channels=6, size=8, batch=3):
    torch.manual_seed(1)
    return torch.rand(batch, 2, channels, size, size)


TIME = torch.tensor([5, 10, 49])


@pytest.mark.parametrize("mode", ["pre", "mid", "off"])
def test_official_forward_and_parameter_names(mode):
    model = RelationClassifier(CARD, replace(SMALL, timestep_mode=mode)).eval()
    assert model(maps(), TIME).shape == (3, 4)
    names = set(model.state_dict())
    assert {"object_extractor.query_vector", "relation_classifier.fc.8.weight"} <= names
    assert ("object_extractor.timestep_embedding.weight" in names) == (mode != "off")


def test_official_position_code_is_cut_for_fewer_channels_and_refuses_more():
    model = RelationClassifier(CARD, SMALL).eval()
    assert model(maps(4), TIME).shape == (3, 4)
    with pytest.raises(SteeringError, match="6 channels"):
        model(maps(7), TIME)
    with pytest.raises(SteeringError, match="shape"):
        model(maps(6, size=9), TIME)


def test_a_card_says_up_to_where_in_a_schedule_it_can_be_believed():
    assert CARD.last_share == 1.0 and replace(CARD, last_share=0.5).last_share == 0.5
    for wrong in (0.0, 1.5, -0.1, float("nan")):
        with pytest.raises(SteeringError, match="last_share"):
            replace(CARD, last_share=wrong)


def test_mean_variant_takes_any_number_of_channels():
    model = RelationClassifier(CARD, replace(SMALL, use_mean=True)).eval()
    assert not any(name.startswith("object_extractor.") for name in model.state_dict())
    once = model(maps(4), TIME)
    assert torch.allclose(once, model(maps(4).repeat(1, 1, 5, 1, 1), TIME), atol=1e-6)


@pytest.mark.parametrize(
    "config", [SymmetricConfig(), SymmetricConfig(mix="mean"), SymmetricConfig(timestep_dim=4)]
)
def test_symmetric_classifier_is_exactly_symmetric(config):
    model = SymmetricRelationClassifier(CARD, config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = maps()
    left, right, above, below = model(x, TIME).unbind(1)
    for changed, expected in [
        (x.flip(1), (right, left, below, above)),  # swap the objects
        (x.flip(-1), (right, left, above, below)),  # mirror left and right
        (x.flip(-2), (left, right, below, above)),  # mirror top and bottom
        (x.mT, (above, below, left, right)),  # transpose
    ]:
        assert torch.allclose(model(changed, TIME), torch.stack(expected, 1), rtol=1e-4, atol=1e-4)


def test_symmetric_classifier_learns_left_and_transfers_to_above():
    """Trained on left and right only, it knows above and below."""
    torch.manual_seed(0)
    model = SymmetricRelationClassifier(replace(CARD, channels=1), SymmetricConfig(dropout=0.0))

    def scene(first, second):
        x = torch.full((1, 2, 1, 8, 8), 1e-3)
        x[0, 0, 0][first], x[0, 1, 0][second] = 1.0, 1.0
        return x

    at = [
        ((int(r), int(c)), (int(s), int(d))) for r, c, s, d in torch.randint(0, 8, (100, 4)) if abs(c - d) > 1
    ]
    x = torch.cat([scene(*pair) for pair in at])
    y = torch.tensor([0 if a[1] < b[1] else 1 for a, b in at])
    time = torch.zeros(len(x), dtype=torch.long)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x, time)[:, :2], y).backward()
        optimiser.step()
    logits = model.eval()(scene((1, 4), (6, 4)), torch.zeros(1, dtype=torch.long))
    assert logits[0, 2] > logits[0, 3] + 1


def test_symmetric_classifier_is_small_and_knows_four_relations():
    card = ClassifierCard(SYMMETRIC_RELATIONS, channels=16, map_size=8)
    assert 25_000 < sum(p.numel() for p in SymmetricRelationClassifier(card).parameters()) < 29_000
    with pytest.raises(SteeringError, match="four"):
        SymmetricRelationClassifier(replace(card, relations=("above", "inside")))
    turned = SymmetricRelationClassifier(replace(CARD, relations=SYMMETRIC_RELATIONS[::-1])).eval()
    straight = SymmetricRelationClassifier(CARD).eval()
    straight.load_state_dict(turned.state_dict())
    assert torch.allclose(turned(maps(), TIME).flip(1), straight(maps(), TIME))


def test_timestep_index_follows_the_official_rule_by_step_and_by_noise():
    for step, expected in [(0, 5), (5, 5), (6, 10), (10, 10), (11, 49), (49, 49)]:
        assert CARD.timestep_index(step, 50) == expected
    assert CARD.timestep_index(2, 20) == 5 and CARD.timestep_index(3, 20) == 10
    levels = [14.0 - 0.28 * i for i in range(50)]
    card = replace(CARD, sigmas=tuple(levels[i] for i in CARD.timesteps))
    for step, expected in [(0, 5), (5, 5), (6, 10), (10, 10), (11, 49), (49, 49)]:
        assert card.timestep_index(0, 7, levels[step]) == expected
    assert card.timestep_index(0, 7, 1e-3) == 49


@pytest.mark.parametrize(
    "change",
    [
        {"relations": ("above",)},
        {"relations": ("above", "above")},
        {"channels": 0},
        {"timesteps": ()},
        {"timesteps": (10, 5)},
        {"timesteps": (50,)},
        {"sigmas": (1.0,)},
        {"renormalise": "never"},
    ],
)
def test_impossible_cards_are_refused(change):
    with pytest.raises(SteeringError, match="Expected"):
        replace(CARD, **change)


MODEL = [AttentionLayer("down.0.0", "down", 0, 2), AttentionLayer("mid.0", "mid", 1, 4)]


def test_classifier_is_checked_against_the_model():
    check_classifier(SymmetricRelationClassifier(CARD), MODEL, "sd1")
    check_classifier(SymmetricRelationClassifier(CARD), MODEL, "custom")
    with pytest.raises(SteeringError, match="family flux.*sd1"):
        check_classifier(SymmetricRelationClassifier(CARD), MODEL, "flux")
    with pytest.raises(SteeringError, match="6 channels.*got 4"):
        check_classifier(SymmetricRelationClassifier(CARD), MODEL[1:], "sd1")
    with pytest.raises(SteeringError, match="up.1.0"):
        check_classifier(SymmetricRelationClassifier(replace(CARD, layers=("up.1.0",))), MODEL, "sd1")
    mean = SymmetricRelationClassifier(replace(CARD, family="custom"), SymmetricConfig(mix="mean"))
    check_classifier(mean, MODEL[1:], "flux")
