"""The first noise of each image out of several, for the diffusers host; see `steering.first_noises`."""

from __future__ import annotations

import torch
from torch import Tensor

from ...objectives import CombinedObjective, Objective, StepInfo
from ...steering import FirstNoise, SteeringTrace, best_of, scored, scoring_targets, seed_of
from ..protocol import evaluator
from ..targets import BatchTargets
from .branch import Branch
from .run import Run
from .schedule import Schedule

_AT_ONCE = 4
"""Rows of a pass, where the batch itself is smaller."""


def tried(
    run: Run,
    host: Branch,
    schedule: Schedule,
    objective: Objective,
    wanted: BatchTargets,
    weights: Tensor,
    trace: SteeringTrace,
    seeds: list[int | None],
    count: int,
) -> Tensor:
    """The unit noise of each image that promises most of `count`, in the layout in which the pipeline takes it.

    weights: of `wanted`, where the model computes. seeds: one an image; become those of the noises chosen, and the run's
    generators are then where they are after drawing these. The trace takes what was tried and what it cost.
    """
    own = [int(seed) for seed in seeds if seed is not None]
    generators = [
        [torch.Generator("cpu").manual_seed(seed_of(seed, attempt)) for seed in own]
        for attempt in range(count)
    ]
    noises = []
    for of_attempt in generators:
        run.generators = of_attempt
        noises.append(run.drawn_noise(host.dtype, host.device))
    turn = min(schedule.steps)
    info = StepInfo(schedule.steps[turn], schedule.total, schedule.sigmas[turn])
    targets = scoring_targets(wanted.targets, wanted.objects)
    reads = objective if isinstance(objective, CombinedObjective) else CombinedObjective(objective)
    scale = schedule.init_noise_sigma * schedule.scales[turn]
    wide = torch.promote_types(host.dtype, torch.float32)
    with host.evaluations():
        table, passes = scored(
            [(noise * scale).to(wide) for noise in noises],
            evaluator(host, reads, targets, weights, info),
            targets,
            max(len(own), _AT_ONCE),
        )
    best = best_of(table)
    trace.forwards += passes
    trace.first_noises = [
        [FirstNoise(seed_of(seed, a), float(table[a, i]), a == best[i]) for a in range(count)]
        if targets[i]
        else []
        for i, seed in enumerate(own)
    ]
    for i, attempts in enumerate(trace.first_noises):
        trace.evaluations[i] += len(attempts)
        if attempts:
            where = f"Image {i}: of" if len(own) > 1 else "Of"
            trace.notes.append(
                f"{where} {count} first noises that of seed {attempts[best[i]].seed} was taken: it scores "
                f"{attempts[best[i]].score:.2f}, the seed's own {attempts[0].score:.2f}."
            )
    seeds[:] = [seed_of(seed, best[i]) for i, seed in enumerate(own)]
    run.generators = [generators[attempt][i] for i, attempt in enumerate(best)]
    return torch.stack([noises[attempt][i] for i, attempt in enumerate(best)])
