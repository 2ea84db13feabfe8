"""Fitting on small synthetic maps in which a spot stands where the object is - and, where wanted, a trace of the word."""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    SymmetricRelationClassifier,
)
from learn_to_steer.dataset import RecordedMaps
from learn_to_steer.training import FitOptions, accuracy, as_json, errors_in_words, fit, leakage

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
    validation = synthetic(200, 1)
    report = fit(classifier, synthetic(400, 0), validation, FitOptions(epochs=40), progress=False)
    assert report.validation_accuracy == accuracy(classifier, validation) > 0.9
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


def contrary(data: RecordedMaps) -> RecordedMaps:
    """The same maps under the opposite label: the better the training samples are learnt, the worse these are read."""
    return replace(data, holds=torch.tensor([1, 0, 3, 2])[data.holds])


def watched_fit(
    validation: RecordedMaps, **options
) -> tuple[SymmetricRelationClassifier, object, list[float]]:
    """Fit in batches of everything, so that an epoch is one step, and note the rate of each."""
    torch.manual_seed(0)
    classifier, rates = SymmetricRelationClassifier(card()), []
    hook = register_optimizer_step_post_hook(
        lambda optimizer, args, kwargs: rates.append(optimizer.param_groups[0]["lr"])
    )
    try:
        options = FitOptions(batch=64, **{"learning_rate": 0.01, **options})
        return classifier, fit(classifier, synthetic(64, 0), validation, options, progress=False), rates
    finally:
        hook.remove()


def test_a_fit_without_progress_is_stopped_and_keeps_the_best_weights():
    """Epoch 1 is the best, and ten more without progress are the published patience."""
    validation = contrary(synthetic(64, 0))
    stopped, report, rates = watched_fit(validation)
    assert (report.epochs, report.best_epoch, len(rates)) == (11, 1, 11)
    assert (
        report.validation_accuracy
        == accuracy(stopped, validation)
        < 0.5
        < accuracy(stopped, synthetic(64, 0))
    )
    short, _, _ = watched_fit(validation, epochs=1)
    for name, weight in short.state_dict().items():
        assert torch.equal(stopped.state_dict()[name], weight), name
    assert watched_fit(validation, patience=3)[1].epochs == 4
    assert watched_fit(validation, epochs=6)[1].epochs == 6


def test_the_rate_is_halved_after_five_epochs_without_progress():
    """Epoch 1 is the best. Five without progress, 2 to 6, are forgiven; after a sixth, 7, the rate halves, and the
    count begins anew: 8 to 13 are six more."""
    _, report, rates = watched_fit(contrary(synthetic(64, 0)), patience=14)
    assert report.epochs == 15
    assert rates == [0.01] * 7 + [0.005] * 6 + [0.0025] * 2


def test_a_fit_that_gets_on_keeps_its_rate_and_goes_on():
    _, report, rates = watched_fit(synthetic(64, 0), epochs=15, learning_rate=0.001)
    assert rates == [0.001] * 15 and report.best_epoch == 15


def test_a_fit_depends_on_its_seed_alone():
    torch.manual_seed(0)
    begun, data, found = SymmetricRelationClassifier(card()), synthetic(64, 0), []
    for global_seed, seed in ((1, 0), (2, 0), (1, 3)):
        torch.manual_seed(global_seed)
        classifier = copy.deepcopy(begun)
        fit(classifier, data, data, FitOptions(epochs=1, batch=16, seed=seed), progress=False)
        found.append(torch.cat([p.detach().flatten() for p in classifier.parameters()]))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_leakage_counts_by_hand():
    """A classifier that reads the corner pixel in which the word is spelt, not the picture: right under right words,
    wrong and after the word under wrong ones. One of four samples spells a third relation."""

    class WordReader(torch.nn.Module):
        card, relations, training = card(), SYMMETRIC_RELATIONS, False

        def forward(self, maps, timestep):
            return maps[:, 0, :, 0, :4].mean(1)

    data = synthetic(8, 0, word_trace=50.0)
    data.stack.maps[0][1, :, :, 0, :4] = F.one_hot(third(data, 1), 4).float() * 50
    found = leakage(WordReader(), data)
    assert (found.right, found.wrong, found.follows_wrong_word) == (1.0, 0.0, 0.75)


def third(data: RecordedMaps, row: int) -> torch.Tensor:
    """A relation that is neither shown nor said."""
    taken = (int(data.holds[row]), int(data.worded[row]))
    return torch.tensor(next(r for r in range(4) if r not in taken))


def test_the_share_of_errors_that_follow_the_word_by_hand():
    """As above: of four samples under wrong words all are errors, three of them the wrong word. Wilson's interval of 3 in 4
    is (0.3006, 0.9544); a blind reader has a third. Of the relation that "to the left of" names there is one error at each
    of two steps, one of which follows."""

    class WordReader(torch.nn.Module):
        card, relations, training = card(), SYMMETRIC_RELATIONS, False

        def forward(self, maps, timestep):
            return maps[:, 0, :, 0, :4].mean(1)

    data = synthetic(8, 0, word_trace=50.0)
    data = replace(
        data,
        holds=torch.tensor([0, 0, 0, 0, 1, 2, 2, 3]),
        worded=torch.tensor([0, 1, 0, 3, 1, 3, 2, 1]),
        timestep=torch.tensor([5, 5, 7, 7, 5, 5, 7, 7]),
    )
    said = torch.tensor([0, 2, 0, 3, 1, 3, 2, 1])  # the second sample reads what is neither shown nor said
    data.stack.maps[0][:, :, :, 0, :4] = F.one_hot(said, 4).float()[:, None, None] * 50
    found = leakage(WordReader(), data)
    errors = found.errors
    assert (errors.samples, errors.errors, errors.followed, errors.share) == (4, 4, 3, 0.75)
    assert [round(edge, 4) for edge in errors.interval] == [0.3006, 0.9544] and errors.baseline == 1 / 3
    left = found.by_relation["to the left of"]
    assert (left.right, left.wrong, left.errors.errors, left.errors.followed) == (1.0, 0.0, 2, 1)
    assert (
        found.by_relation["to the right of"].errors is None
        and found.by_relation["to the right of"].wrong is None
    )
    assert {step: (one.errors.errors, one.errors.followed) for step, one in found.by_step.items()} == {
        5: (2, 1),
        7: (2, 2),
    }
    written = as_json(found)
    assert written["errors"] == {
        "errors": 4,
        "followed": 3,
        "share": 0.75,
        "interval": [0.3006, 0.9544],
        "blind": 0.3333,
    }
    assert errors_in_words(written["errors"]) == (
        "75% of 4 errors under wrong words are that word (30% - 95%; 33% for a reader blind to words)"
    )
    assert errors_in_words(None) == "no error under wrong words"
