"""Fitting on small synthetic maps in which a spot stands where the object is - and, where wanted, a trace of the word."""

import pytest
import torch

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    SymmetricRelationClassifier,
)
from learn_to_steer.dataset import RecordedMaps, concatenate
from learn_to_steer.errors import SteeringError
from learn_to_steer.training import FitOptions, accuracy, fit, leakage

SIZE, HEADS = 8, 2
LAYER = AttentionLayer("mid.0", "mid", 0, HEADS)
OFFSETS = torch.tensor([[-3, 0], [3, 0], [0, -3], [0, 3]])  # left, right, above, below as (x, y)


def synthetic(count: int, seed: int, word_trace: float = 0.0, noise: float = 0.2) -> RecordedMaps:
    """Half of the samples under the right word. word_trace: strength of a corner pixel that spells the word."""
    generator = torch.Generator().manual_seed(seed)
    holds = torch.randint(4, (count,), generator=generator)
    wrong = (holds + torch.randint(1, 4, (count,), generator=generator)) % 4
    worded = torch.where(torch.arange(count) % 2 == 0, holds, wrong)
    maps = noise * torch.rand(count, 2, HEADS, SIZE, SIZE, generator=generator)
    for i in range(count):
        at = torch.randint(3, SIZE - 3, (2,), generator=generator)
        x, y = (at + OFFSETS[holds[i]]).tolist()
        maps[i, 0, :, y, x] += 1
        maps[i, 1, :, at[1], at[0]] += 1
        maps[i, :, :, 0, worded[i]] += word_trace
    return RecordedMaps(
        MapStack((LAYER,), (maps,)), SYMMETRIC_RELATIONS, holds, worded, torch.zeros(count, dtype=torch.long)
    )


def card() -> ClassifierCard:
    return ClassifierCard(SYMMETRIC_RELATIONS, channels=HEADS, map_size=SIZE)


def test_the_symmetric_classifier_learns_and_generalises():
    torch.manual_seed(0)
    classifier = SymmetricRelationClassifier(card())
    report = fit(classifier, synthetic(400, 0), synthetic(200, 1), FitOptions(epochs=40), progress=False)
    assert report.validation_accuracy > 0.9
    assert accuracy(classifier, synthetic(200, 2)) > 0.9
    assert not classifier.training


def test_leakage_is_seen_where_it_is_and_cured_by_wrong_words():
    """The published head, trained under right words only, follows a trace of the word; wrong words cure it."""
    data, validation, test = (synthetic(600, s, word_trace=2.0) for s in (0, 1, 2))
    options = FitOptions(epochs=60, learning_rate=1e-3, batch=32, patience=60)
    sizes = OfficialConfig(d_model=64, head_layers=1, dropout=0.0, head_dropout=0.0, use_mean=True)

    def fitted(train, held_out):
        torch.manual_seed(0)
        classifier = RelationClassifier(card(), sizes)
        fit(classifier, train, held_out, options, progress=False)
        return leakage(classifier, test)

    right_only = fitted(data.where(data.right_words), validation.where(validation.right_words))
    assert right_only.right > 0.95
    assert right_only.follows_wrong_word > 0.8
    both = fitted(data, validation)
    assert both.wrong > 0.8
    assert both.follows_wrong_word < 0.15


def test_recorded_maps_survive_the_disk(tmp_path):
    data = concatenate([synthetic(5, 0), synthetic(7, 1)])
    data.save(tmp_path / "maps.safetensors")
    again = RecordedMaps.load(tmp_path / "maps.safetensors")
    assert len(again) == 12
    assert again.stack.layers == data.stack.layers
    assert torch.equal(again.holds, data.holds)
    assert torch.allclose(again.stack.maps[0].float(), data.stack.maps[0], atol=1e-3)


def test_a_foreign_or_broken_file_is_refused_in_one_sentence(tmp_path):
    file = tmp_path / "maps.safetensors"
    file.write_bytes(b"not a safetensors file")
    with pytest.raises(SteeringError, match="record the maps again"):
        RecordedMaps.load(file)
