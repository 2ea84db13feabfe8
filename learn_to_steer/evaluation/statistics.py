"""Statistics of shares, for pictures that are not independent and settings that share their seeds.

Pictures of one prompt or one pair of objects resemble each other, so intervals are bootstrapped over such clusters
instead of over pictures. Settings that draw from the same seeds are compared picture by picture: McNemar's test and
an interval of the difference, never by whether two intervals overlap.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SteeringError

Interval = tuple[float, float]

_DRAWS_AT_ONCE = 4_000_000  # numbers held in memory by one round of the bootstrap


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The interval of a share of independent trials (Wilson 1927); (0, 1) when nothing was tried."""
    from scipy.stats import binomtest

    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(int(successes), int(trials)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def clustered_interval(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval | None:
    """The percentile bootstrap interval of the mean of ``values``, resampling whole clusters.

    values: one number per picture. clusters: the cluster of each, such as its pair of objects.
    Each resample draws as many clusters as there are, with replacement, and takes the mean over all their pictures
    (Davison and Hinkley 1997, 3.8). None for less than two clusters: one alone says nothing of how they differ.

    Raises SteeringError for lists of different lengths.
    """
    sums, counts = _cluster_sums(values, clusters)
    if len(sums) < 2:
        return None
    rng = np.random.default_rng(seed)
    means = []
    at_once = max(1, _DRAWS_AT_ONCE // len(sums))
    for start in range(0, resamples, at_once):
        # How often each cluster is drawn: the same as drawing indices, in less memory.
        drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), min(at_once, resamples - start))
        means.append((drawn @ sums) / (drawn @ counts))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), (tail, 1 - tail))
    return float(low), float(high)


def share_interval(
    outcomes: Sequence[bool] | np.ndarray, clusters: Sequence[Hashable], **options: float | int
) -> Interval:
    """The interval of a share of pictures, which is never of width 0: ``clustered_interval`` where that is possible.

    Where all pictures agree, or all are of one cluster, a bootstrap sees no spread. Then each cluster counts as one
    trial of Wilson's interval, as if its pictures were one; (0, 1) without a picture. options: those of
    ``clustered_interval``.
    """
    rights = np.asarray(outcomes, dtype=np.float64)
    interval = clustered_interval(rights, clusters, **options)  # type: ignore[arg-type]
    if interval is not None and interval[0] < interval[1]:
        return interval
    trials = len(set(clusters))
    share = float(rights.mean()) if len(rights) else 0.0
    return wilson_interval(round(share * trials), trials, float(options.get("confidence", 0.95)))


@dataclass(frozen=True)
class Comparison:
    """Two settings on the same pictures.

    Attributes:
        pictures: how many.
        first_only, second_only: pictures that only the one setting got right.
        p_value: McNemar's exact test, two-sided: how probable so uneven a split of the pictures on which they differ
            is if neither is better. It takes these pictures as independent; ``interval`` does not.
        difference: share of the second less share of the first.
        interval: of the difference, bootstrapped over clusters; None for less than two clusters.
    """

    pictures: int
    first_only: int
    second_only: int
    p_value: float
    difference: float
    interval: Interval | None


def compare_paired(
    first: Sequence[bool],
    second: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two settings picture by picture.

    first, second: whether each picture is right, in the same order of (prompt, seed). clusters: as for
    ``clustered_interval``. Raises SteeringError for lists of different lengths or without a picture.
    """
    from scipy.stats import binomtest

    if len(first) != len(second) or not len(first):
        raise SteeringError(
            f"Expected the same pictures under both settings, got {len(first)} and {len(second)}; "
            "compare runs of the same prompts and seeds."
        )
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    first_only, second_only = int((a & ~b).sum()), int((b & ~a).sum())
    unlike = first_only + second_only
    change = b.astype(np.float64) - a.astype(np.float64)
    return Comparison(
        pictures=len(a),
        first_only=first_only,
        second_only=second_only,
        p_value=float(binomtest(first_only, unlike, 0.5).pvalue) if unlike else 1.0,
        difference=float(change.mean()),
        interval=clustered_interval(change, clusters, confidence=confidence, resamples=resamples, seed=seed),
    )


@dataclass(frozen=True)
class Agreement:
    """Two judges on the same pictures.

    Attributes:
        pictures: how many.
        share: of pictures on which both say the same.
        kappa: Cohen's (1960): the share beyond what two judges with these shares of yes would agree by chance, 1 at full
            agreement, 0 at chance; None where chance alone would make them agree on every picture.
        first_only, second_only: pictures that only the one says yes to.
    """

    pictures: int
    share: float
    kappa: float | None
    first_only: int
    second_only: int


def agreement(first: Sequence[bool], second: Sequence[bool]) -> Agreement:
    """How far two judges agree. first, second: what each says of every picture, in the same order.

    Raises SteeringError for lists of different lengths or without a picture.
    """
    if len(first) != len(second) or not len(first):
        raise SteeringError(
            f"Expected both judges on the same pictures, got {len(first)} and {len(second)}; give one answer of each."
        )
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    share = float((a == b).mean())
    chance = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    kappa = (share - chance) / (1 - chance) if chance < 1 else None
    return Agreement(len(a), share, kappa, int((a & ~b).sum()), int((b & ~a).sum()))


def visor_n(outcomes: Sequence[Sequence[bool]], pictures: int = 4) -> tuple[float, ...]:
    """VISOR-1 to VISOR-n (Gokhale et al. 2022): the share of prompts with at least 1, 2, ... of their pictures right.

    outcomes: per prompt, whether each of its pictures is right. pictures: how many every prompt has.
    Raises SteeringError for a prompt with another number of pictures, and without prompts.
    """
    if not outcomes:
        raise SteeringError("Expected the pictures of at least one prompt, got none; judge some first.")
    if odd := [len(of_prompt) for of_prompt in outcomes if len(of_prompt) != pictures]:
        raise SteeringError(
            f"Expected {pictures} pictures of every prompt, got {odd[0]} of one; draw the same number of each."
        )
    rights = np.array([sum(map(bool, of_prompt)) for of_prompt in outcomes])
    return tuple(float((rights >= n).mean()) for n in range(1, pictures + 1))


@dataclass(frozen=True)
class WrongWordErrors:
    """What a reader of maps does when it errs under a wrong relation word.

    Attributes:
        samples: maps recorded under a word that is not what the picture shows.
        errors: how many of them it read wrongly.
        followed: how many of these errors are the wrong word.
        share: followed / errors.
        interval: of the share.
        baseline: the share for a reader that is blind to words, 1 / (relations - 1).
    """

    samples: int
    errors: int
    followed: int
    share: float
    interval: Interval
    baseline: float

    @property
    def leaks(self) -> bool:
        """Whether the interval lies above what a blind reader does."""
        return self.interval[0] > self.baseline


def wrong_word_errors(
    shown: Sequence[int] | np.ndarray,
    worded: Sequence[int] | np.ndarray,
    read: Sequence[int] | np.ndarray,
    *,
    relations: int = 4,
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> WrongWordErrors | None:
    """The share of *errors* that follow the wrong word: relation leakage, beside its baseline.

    A reader that errs without regard to the word picks each of the other relations alike, so of its errors one in
    ``relations - 1`` is the wrong word by chance: a third with four relations.

    shown, worded, read: per sample, the relation in the picture, in the prompt, and as read, as indices 0 to
    relations - 1; samples under the right word are passed over. clusters: the cluster of each sample, such as its
    pair of objects; without, samples count as independent (Wilson).
    Returns None without a sample under a wrong word and without an error: there is no share then.
    Raises SteeringError for lists of different lengths and for less than two relations.
    """
    truth, words, answers = (np.asarray(x) for x in (shown, worded, read))
    if not len(truth) == len(words) == len(answers) or (clusters is not None and len(clusters) != len(truth)):
        raise SteeringError(
            f"Expected as many relations shown as worded and read, got {len(truth)}, {len(words)} and {len(answers)}; "
            "give one of each, and one cluster, per sample."
        )
    if relations < 2:
        raise SteeringError(
            f"Expected at least two relations to tell apart, got {relations}; give how many there are."
        )
    wrong_word = words != truth
    errors = wrong_word & (answers != truth)
    if not errors.any():
        return None
    followed = (answers == words)[errors]
    if clusters is None:
        interval = wilson_interval(int(followed.sum()), len(followed), confidence)
    else:
        of_errors = [cluster for cluster, error in zip(clusters, errors, strict=True) if error]
        interval = share_interval(followed, of_errors, confidence=confidence, seed=seed)
    return WrongWordErrors(
        samples=int(wrong_word.sum()),
        errors=len(followed),
        followed=int(followed.sum()),
        share=float(followed.mean()),
        interval=interval,
        baseline=1 / (relations - 1),
    )


def _cluster_sums(
    values: Sequence[float] | np.ndarray, clusters: Sequence[Hashable]
) -> tuple[np.ndarray, np.ndarray]:
    """Per cluster, in order of appearance: the sum of its values and how many they are."""
    if len(values) != len(clusters):
        raise SteeringError(
            f"Expected a cluster for each of {len(values)} values, got {len(clusters)}; give one each."
        )
    index = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
    of_value = np.array([index[cluster] for cluster in clusters], dtype=np.int64)
    numbers = np.asarray(values, dtype=np.float64)
    sums = np.bincount(of_value, weights=numbers, minlength=len(index))
    return sums, np.bincount(of_value, minlength=len(index)).astype(np.float64)
