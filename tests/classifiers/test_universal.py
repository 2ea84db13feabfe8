"""The shipped classifier for every model: what it reads, and what it does not care about."""

import torch

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import (
    OWN,
    SYMMETRIC_RELATIONS,
    UNIVERSAL,
    check_classifier,
    default_classifier,
    load_classifier,
    shipped_classifier,
)


def universal():
    return load_classifier(shipped_classifier(UNIVERSAL)).eval()


def spots(first, second, size=8, channels=1, floor=0.0, width=1.5):
    """(1, 2, channels, size, size): a soft spot each, at (x, y) in fractions of the picture."""
    at = (torch.arange(size) + 0.5) / size

    def spot(x, y):
        return torch.exp(-((at.view(1, -1) - x) ** 2 + (at.view(-1, 1) - y) ** 2) / (2 * (width / 8) ** 2))

    maps = torch.stack([spot(*first), spot(*second)]) + floor
    return maps[None, :, None].repeat(1, 1, channels, 1, 1)


def read(maps):
    probabilities = universal()(maps, torch.zeros(len(maps), dtype=torch.long)).softmax(-1)
    return SYMMETRIC_RELATIONS[int(probabilities[0].argmax())], float(probabilities[0].max().detach())


def test_its_card_fits_every_family_and_number_of_channels():
    classifier = universal()
    assert classifier.card.family == "any" and classifier.card.layers is None
    assert classifier.card.sigmas is None and classifier.card.last_share == 0.5
    for family, heads in (("sd1", 8), ("sdxl", 20), ("flux", 24), ("custom", 3)):
        check_classifier(classifier, [AttentionLayer(f"mid.{i}", "mid", i, heads) for i in range(7)], family)


def test_it_reads_the_four_relations():
    for offset, relation in zip(
        ((-0.25, 0), (0.25, 0), (0, -0.25), (0, 0.25)), SYMMETRIC_RELATIONS, strict=True
    ):
        x, y = offset
        name, probability = read(spots((0.5 + x, 0.5 + y), (0.5 - x, 0.5 - y)))
        assert name == relation and probability > 0.9


def test_background_contrast_width_and_heads_do_not_matter():
    for changes in ({"floor": 1.0}, {"floor": 3.0}, {"channels": 40}, {"width": 0.8}, {"width": 2.5}):
        name, probability = read(spots((0.2, 0.55), (0.75, 0.45), **changes))
        assert name == "to the left of" and probability > 0.5
    once, scaled = spots((0.2, 0.5), (0.8, 0.5)), spots((0.2, 0.5), (0.8, 0.5)) * 1e-3
    step = torch.zeros(1, dtype=torch.long)
    assert torch.allclose(universal()(once, step), universal()(scaled, step), atol=1e-2)


def test_it_does_not_know_where_nothing_can_be_known():
    """Two equal maps: every relation is as probable as its opposite."""
    logits = universal()(spots((0.4, 0.6), (0.4, 0.6)), torch.zeros(1, dtype=torch.long))[0]
    assert torch.allclose(logits[0], logits[1], atol=1e-5) and torch.allclose(logits[2], logits[3], atol=1e-5)


def test_which_ships_for_which_family():
    assert default_classifier("sdxl").stem == UNIVERSAL
    for family, name in OWN.items():
        assert default_classifier(family).stem == name
        assert load_classifier(default_classifier(family)).card.family == family
