"""Several first noises for one picture: each is read once, without a gradient, and the one that promises most is kept.

How a picture will be arranged is decided by its first noise to a good part. One pass over each of N noises, ended after the
last layer that is read, tells them apart: by the probability of the image's relations times that of its weakest object.
Nothing here knows a host: `evaluate` is what steering itself asks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import SteeringError
from ..objectives import PresenceTarget, Reading, RelationTarget, Target
from .loop import Evaluate

MOST = 64
"""At most so many first noises are tried for one picture."""


def seed_of(seed: int, attempt: int) -> int:
    """The seed of the `attempt`-th first noise, 32 bits; attempt 0 is the seed itself.

    The bits are those of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"), so that the
    noises of neighbouring seeds, which are those of a batch, do not meet.
    """
    if attempt == 0:
        return seed
    word = (1 << 64) - 1
    z = (seed + attempt * 0x9E3779B97F4A7C15) & word
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & word
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
    return (z ^ (z >> 31)) >> 32


def checked_count(count: object) -> int:
    """How many first noises are tried. Raises SteeringError for what is no whole number from 1 to `MOST`."""
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST:
        raise SteeringError(
            f"Expected a whole number of seeds to try from 1 to {MOST}, got {count!r}; 1 tries no other."
        )
    return count


def scoring_targets(
    targets: Sequence[Sequence[Target]], objects: Sequence[Sequence[str]]
) -> list[list[Target]]:
    """What a first noise is scored by: the relations, and the presence of every object, of the images with targets."""
    wanted: list[list[Target]] = []
    for image, names in zip(targets, objects, strict=True):
        related: list[Target] = [target for target in image if isinstance(target, RelationTarget)]
        there: list[Target] = [PresenceTarget(slot) for slot in range(len(names))]
        wanted.append(related + there if image else [])
    return wanted


def scores(reading: Reading, targets: Sequence[Sequence[Target]]) -> Tensor:
    """(b,) float64 on the CPU: the product of the probabilities of an image's relations, times the least of those of the
    presence of its objects; 1 where it has neither. Relations of a reading without presence targets count alone."""
    found = []
    for image, row in zip(targets, reading.probability.double().cpu(), strict=True):
        related = [row[r] for r, target in enumerate(image) if isinstance(target, RelationTarget)]
        present = [row[r] for r, target in enumerate(image) if isinstance(target, PresenceTarget)]
        score = torch.ones((), dtype=torch.float64)
        for probability in related:
            score = score * probability
        found.append(score * torch.stack(present).min() if present else score)
    return torch.stack(found)


def scored(
    noises: Sequence[Tensor],
    evaluate: Evaluate,
    targets: Sequence[Sequence[Target]],
    at_once: int,
) -> tuple[Tensor, int]:
    """The score of each noise of each image, and the number of passes that it took.

    noises: each (B, ...), as `evaluate` takes latents. targets: per image; those without any are not evaluated and score
    1. at_once: so many rows a pass at most. Returns ((attempts, B) float64, passes).
    """
    images = [i for i, image in enumerate(targets) if image]
    rows = [(attempt, image) for attempt in range(len(noises)) for image in images]
    table = torch.ones(len(noises), len(targets), dtype=torch.float64)
    passes = 0
    for start in range(0, len(rows), at_once):
        chunk = rows[start : start + at_once]
        latents = torch.stack([noises[attempt][image] for attempt, image in chunk])
        which = [image for _, image in chunk]
        with torch.inference_mode(False), torch.no_grad():
            reading = evaluate(latents.detach().clone(), which)
        passes += 1
        for (attempt, image), score in zip(
            chunk, scores(reading, [targets[i] for i in which]).tolist(), strict=True
        ):
            table[attempt, image] = score
    return table, passes


def best_of(table: Tensor) -> list[int]:
    """Per image, the attempt with the highest score, the first of equals; a score that is not a number never wins.

    table: as `scored` gives it.
    """
    return table.nan_to_num(-1.0).argmax(0).tolist()
