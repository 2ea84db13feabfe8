"""Several first noises: seeds, scores and the choice, worked out by hand."""

import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.objectives import PresenceTarget, Reading, RelationTarget, SeparationTarget
from learn_to_steer.steering import best_of, checked_count, scored, scores, seed_of

ABOVE, LEFT = RelationTarget(0, 1, "above"), RelationTarget(1, 2, "left of")
APART = SeparationTarget(0, 1)


def reading(*rows):
    probability = torch.tensor(rows)
    return Reading(-probability.log(), probability, torch.ones_like(probability, dtype=torch.bool))


def test_seeds_are_those_of_splitmix64():
    """The first outputs for the seeds 0 and 1234567, as published with the generator; the upper 32 bits of each."""
    assert seed_of(0, 1) == 0xE220A8397B1DCDAF >> 32
    assert [seed_of(1234567, a) for a in (1, 2, 3)] == [
        out >> 32 for out in (6457827717110365317, 3203168211198807973, 9817491932198370423)
    ]


def test_the_first_attempt_is_the_seed_itself():
    assert seed_of(2**63 + 5, 0) == 2**63 + 5


def test_neighbouring_seeds_share_no_attempt():
    tried = [seed_of(seed, attempt) for seed in range(64) for attempt in range(16)]
    assert len(set(tried)) == len(tried) and all(0 <= seed < 2**32 for seed in tried)


def test_a_score_is_the_relations_times_the_weakest_object():
    """.5 x .8 x min(.9, .25); what else is wanted does not count."""
    targets = [[ABOVE, LEFT, PresenceTarget(0), PresenceTarget(1), APART]]
    assert scores(reading([0.5, 0.8, 0.9, 0.25, 0.01]), targets).tolist() == pytest.approx([0.1])


def test_without_relations_or_objects_the_other_counts_alone():
    targets = [[PresenceTarget(0), PresenceTarget(1)], [ABOVE, LEFT], [APART]]
    found = scores(reading([0.9, 0.4], [0.5, 0.5], [0.3, 1.0]), targets)
    assert found.tolist() == pytest.approx([0.4, 0.25, 1.0])


class Means:
    """The probability of a noise is its mean; remembers what it was asked, in which order."""

    def __init__(self):
        self.asked, self.graded = [], []

    def __call__(self, latents, images):
        self.asked.append(list(images))
        self.graded.append(torch.is_grad_enabled())
        return reading(*[[float(x.mean())] for x in latents])


def noises(*means):
    """One (B, 1, 2, 2) tensor an attempt."""
    return [torch.tensor(of_attempt).view(-1, 1, 1, 1).expand(-1, 1, 2, 2) for of_attempt in means]


TRIED = noises([0.1, 0.9, 0.2], [0.8, 0.1, 0.5], [0.3, 0.9, 0.4])
TARGETS = [[ABOVE], [ABOVE], []]


@pytest.mark.parametrize("at_once, passes", [(1, 6), (4, 2), (8, 1)])
def test_each_noise_of_each_image_with_targets_is_read_once(at_once, passes):
    toy = Means()
    table, count = scored(TRIED, toy, TARGETS, at_once)
    assert table.tolist() == [
        pytest.approx(row) for row in ([0.1, 0.9, 1.0], [0.8, 0.1, 1.0], [0.3, 0.9, 1.0])
    ]
    assert count == passes == len(toy.asked) and not any(toy.graded)
    assert sum(toy.asked, []) == [0, 1] * 3 and max(map(len, toy.asked)) <= at_once


def test_the_best_is_taken_and_of_equals_the_first():
    table, _ = scored(TRIED, Means(), TARGETS, 8)
    assert best_of(table) == [1, 0, 0]


def test_a_score_that_is_no_number_is_never_taken():
    table = torch.tensor([[float("nan"), float("nan")], [0.0, float("nan")]], dtype=torch.float64)
    assert best_of(table) == [1, 0]


@pytest.mark.parametrize("count", [0, -1, 65, 1.0, True, "4", None])
def test_a_count_out_of_range_is_refused(count):
    with pytest.raises(SteeringError, match="Expected a whole number of seeds to try from 1 to 64, got"):
        checked_count(count)


def test_a_count_in_range_is_itself():
    assert [checked_count(n) for n in (1, 64)] == [1, 64]
