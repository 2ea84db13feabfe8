"""Record the maps that classifiers are trained on: pictures, inverted under right and under wrong relation words.

Each prompt has the latents of its own inversion, as published (Learn-to-Steer, dual inversion). Plain noising, one pass
instead of one a step, can stand in for it where the model has no ear for relation words; where it has, maps of a noised
picture follow a wrong word.
"""

from __future__ import annotations

import numpy as np
import torch
from tqdm import tqdm

from ..attention import MapStack
from ..hosts.protocol import MapRecorder
from .record import RecordedMaps, concatenate
from .sources import Source

DRAWS = 4
"""Steps, drawn at random, at which the maps of one inversion are recorded."""


def trained_steps(recorder: MapRecorder) -> tuple[int, ...]:
    """Steps at which maps are recorded: the first half of the schedule, less those at which nothing is left of a picture,
    as at a flow model's sigma of 1. What its maps show there can only come from the words."""
    half = recorder.signal()[: recorder.steps // 2]
    return tuple(step for step, share in enumerate(half) if share > 1e-6)


def trained_sigmas(recorder: MapRecorder) -> tuple[float, ...]:
    """Noise levels of `trained_steps` (see `objectives.StepInfo`)."""
    sigmas = recorder.sigmas()
    return tuple(sigmas[step] for step in trained_steps(recorder))


@torch.no_grad()
def record(
    source: Source, recorder: MapRecorder, samples: int, seed: int, noising: bool = False, batch: int = 32
) -> RecordedMaps:
    """`DRAWS` records per sample under the true relation word, and as many under a wrong one at the same steps.

    noising: bring the picture to those steps by noise, the same under both words, instead of by inversion under each.
    """
    rng = np.random.default_rng((seed, 4711))
    parts = []
    with tqdm(total=samples, desc="record maps") as bar:
        for start in range(0, samples, batch):
            size = min(batch, samples - start)
            parts.append(_record_batch(source, recorder, size, rng, noising))
            bar.update(size)
    return concatenate(parts)


def _record_batch(
    source: Source, recorder: MapRecorder, size: int, rng: np.random.Generator, noising: bool
) -> RecordedMaps:
    samples = source.draw(size, rng)
    true, others = samples.holds, len(source.relations)
    wrong = (true + torch.from_numpy(rng.integers(1, others, size=size))) % others
    latents = recorder.encode(samples.pictures)
    drawn = [torch.from_numpy(rng.choice(trained_steps(recorder), size=size)) for _ in range(DRAWS)]
    noises = [torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)) for _ in drawn]
    phrasing = int(rng.integers(source.phrasings))
    recorded = []
    for worded in (true, wrong):
        prompts = [
            source.prompt(names, word, phrasing)
            for names, word in zip(samples.names, worded.tolist(), strict=True)
        ]
        levels = None if noising else recorder.inverted(latents, prompts)
        for steps, noise in zip(drawn, noises, strict=True):
            noisy = (
                recorder.noised(latents, noise, steps)
                if levels is None
                else levels[steps, torch.arange(size)]
            )
            stack = recorder.maps(noisy, steps, prompts, samples.names)
            half = MapStack(stack.layers, tuple(m.half() for m in stack.maps))
            recorded.append(RecordedMaps(half, source.relations, true, worded, steps))
    return concatenate(recorded)
