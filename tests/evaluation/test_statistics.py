"""Intervals and tests against their definitions and against cases worked by hand."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.statistics import (
    clustered_interval,
    compare_paired,
    share_interval,
    visor_n,
    wilson_interval,
    wrong_word_errors,
)

Z = NormalDist().inv_cdf(0.975)


@settings(deadline=None)  # the first call imports scipy
@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_bounds_solve_the_score_equation(successes, trials):
    successes = min(successes, trials)
    p = successes / trials
    for bound in wilson_interval(successes, trials):
        assert 0 <= bound <= 1
        if 1e-9 < bound < 1 - 1e-9:  # |p - bound| = z * standard error at the bound
            assert abs(p - bound) == pytest.approx(Z * math.sqrt(bound * (1 - bound) / trials), abs=1e-9)


def test_wilson_of_nothing():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_clusters_are_drawn_whole():
    # Two clusters, all right and all wrong: a resample is 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    values, clusters = [1] * 4 + [0] * 4, ["a"] * 4 + ["b"] * 4
    assert clustered_interval(values, clusters) == (0, 1)
    # The middle 40% of that is 1/2 alone.
    assert clustered_interval(values, clusters, confidence=0.4) == (0.5, 0.5)


def test_the_mean_is_over_pictures_not_over_clusters():
    # Three pictures of one pair, one of the other: a resample of both has the mean 3/4, not 1/2.
    assert clustered_interval([1, 1, 1, 0], ["a", "a", "a", "b"], confidence=0.4) == (0.75, 0.75)


def test_single_pictures_give_the_normal_interval():
    values = [0, 1] * 200  # standard error 0.5 / 20
    low, high = clustered_interval(values, range(400))
    assert (low, high) == pytest.approx((0.5 - Z / 40, 0.5 + Z / 40), abs=0.006)
    # The same in 40 clusters of one kind each: the standard error is 0.5 / sqrt(40)
    clusters = [v * 20 + i // 2 % 20 for i, v in enumerate(values)]
    low, high = clustered_interval(values, clusters)
    assert (low, high) == pytest.approx((0.5 - Z * 0.079, 0.5 + Z * 0.079), abs=0.02)


def test_the_seed_decides_and_memory_stays_bounded(monkeypatch):
    values, clusters = np.random.default_rng(0).random(300), list(range(300))
    assert clustered_interval(values, clusters, seed=1) == clustered_interval(values, clusters, seed=1)
    assert clustered_interval(values, clusters, seed=1) != clustered_interval(values, clusters, seed=2)
    whole = clustered_interval(values, clusters, resamples=2000)
    monkeypatch.setattr("learn_to_steer.evaluation.statistics._DRAWS_AT_ONCE", 1000)
    assert clustered_interval(values, clusters, resamples=2000) == pytest.approx(whole, abs=1e-12)


def test_one_cluster_says_nothing():
    assert clustered_interval([1, 0, 1], ["a"] * 3) is None
    assert clustered_interval([], []) is None
    with pytest.raises(SteeringError, match="2"):
        clustered_interval([1, 0, 1], ["a", "b"])


def test_a_share_without_spread_has_a_width_all_the_same():
    # 40 right pictures of 10 pairs are ten trials, not forty: Wilson's lower bound is 10 / (10 + z^2).
    low, high = share_interval([True] * 40, [i // 4 for i in range(40)])
    assert (low, high) == (pytest.approx(10 / (10 + Z * Z)), 1)
    assert share_interval([False] * 8, ["a"] * 8) == (0, pytest.approx(Z * Z / (1 + Z * Z)))
    assert share_interval([], []) == (0, 1)
    values, clusters = [True, False] * 50, list(range(100))
    assert share_interval(values, clusters) == clustered_interval(values, clusters)


def test_paired_comparison():
    # 20 pictures: 1 only the first, 7 only the second, 9 both, 3 neither.
    first = [True] + [False] * 7 + [True] * 9 + [False] * 3
    second = [False] + [True] * 7 + [True] * 9 + [False] * 3
    result = compare_paired(first, second, range(20))
    assert (result.pictures, result.first_only, result.second_only) == (20, 1, 7)
    assert result.p_value == pytest.approx(2 * (1 + 8) / 2**8)  # 8 tosses, at most 1 of a side, two-sided
    assert result.difference == pytest.approx(6 / 20)
    # Differences: mean 0.3, standard deviation sqrt(8 / 20 - 0.09) = 0.557, standard error 0.124
    assert result.interval == pytest.approx((0.3 - Z * 0.1245, 0.3 + Z * 0.1245), abs=0.03)


def test_settings_that_never_differ():
    result = compare_paired([True, False], [True, False], ["a", "b"])
    assert (result.p_value, result.difference, result.interval) == (1, 0, (0, 0))
    for first, second in (([], []), ([True], [True, False])):
        with pytest.raises(SteeringError, match="same pictures"):
            compare_paired(first, second, second)


def test_visor_n():
    pictures = [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]
    assert visor_n(pictures) == (0.75, 0.5, 0.25, 0.25)
    assert visor_n([[True, False]], pictures=2) == (1, 0)
    with pytest.raises(SteeringError, match="got 3"):
        visor_n([[1, 0, 0, 0], [1, 1, 1]])
    with pytest.raises(SteeringError, match="none"):
        visor_n([])


def test_errors_that_follow_the_wrong_word():
    shown = [0, 0, 0, 0, 0, 0, 1, 1]
    worded = [1, 1, 2, 3, 2, 0, 0, 1]
    read = [1, 0, 3, 3, 1, 2, 0, 2]
    # Under a wrong word: samples 0-4 and 6. Errors among them: 0, 2, 3, 4, 6; that are the word: 0, 3, 6.
    # Samples 5 and 7 are errors as well, but under the right word.
    result = wrong_word_errors(shown, worded, read)
    assert (result.samples, result.errors, result.followed) == (6, 5, 3)
    assert (result.share, result.baseline) == (3 / 5, 1 / 3)
    assert result.interval == wilson_interval(3, 5)
    assert not result.leaks  # the interval of 3 in 5 reaches below a third
    clustered = wrong_word_errors(shown, worded, read, clusters=list("aabbccdd"))
    # Clusters a, b, c, d have 1 of 1, 1 of 2, 0 of 1 and 1 of 1 errors that follow.
    assert clustered.interval == clustered_interval([1, 0, 1, 0, 1], list("abbcd"))


def test_a_blind_reader_does_not_leak_and_one_that_follows_does():
    rng = np.random.default_rng(5)
    shown = rng.integers(4, size=6000)
    worded = (shown + rng.integers(1, 4, size=6000)) % 4
    guesses = (shown + rng.integers(1, 4, size=6000)) % 4
    blind = wrong_word_errors(shown, worded, guesses)
    assert blind.share == pytest.approx(1 / 3, abs=0.03) and not blind.leaks
    led = wrong_word_errors(shown, worded, np.where(rng.random(6000) < 0.3, worded, guesses))
    assert led.leaks


def test_without_wrong_words_or_errors_there_is_no_share():
    assert wrong_word_errors([0, 1], [0, 1], [1, 1]) is None  # no wrong words
    assert wrong_word_errors([0, 1], [1, 0], [0, 1]) is None  # no errors
    assert wrong_word_errors([], [], []) is None
    for bad in (([0], [1, 2], [0]), ([0], [1], [])):
        with pytest.raises(SteeringError, match="per sample"):
            wrong_word_errors(*bad)
    with pytest.raises(SteeringError, match="two relations"):
        wrong_word_errors([0], [1], [1], relations=1)
