"""Record the maps that classifiers are trained on: pictures, inverted under right and under wrong relation words.

Each prompt has the latents of its own inversion, as published (Learn-to-Steer, dual inversion). Plain noising, one pass
instead of one a step, can stand in for it where the model has no ear for relation words; where it has, maps of a noised
picture follow a wrong word.

All that is drawn at random for a sample - phrasing, wrong word, steps, noise - comes from the seed and the sample's number:
records are the same in whatever order, by whomever and after whatever interruption they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..attention import MapStack
from ..errors import SteeringError
from ..hosts.protocol import MapRecorder
from ..inversion import LEAST_PSNR, Path, Way, levels, passes, psnr, returned, signal
from .record import RecordedMaps, concatenate
from .sources import LeftOut, Sample, Source

DRAWS = 4
"""Steps, drawn at random, at which the maps of one inversion are recorded."""


@dataclass(frozen=True)
class How:
    """How samples are recorded.

    way: from a picture to the noise levels, see `inversion.WAYS`. dual: under a wrong word too. draws: steps at which each
    inversion is recorded. check: sample every inversion back to its picture, and leave out the samples that do not come
    back (`inversion.LEAST_PSNR`).
    """

    way: Way = "euler"
    dual: bool = True
    draws: int = DRAWS
    check: bool = False

    def passes(self, steps: int) -> int:
        """Model passes a sample."""
        back = self.check and self.way != "noising"
        return (1 + self.dual) * (passes(self.way, steps, back) + self.draws)

    @property
    def records(self) -> int:
        """Records a sample."""
        return (1 + self.dual) * self.draws


@dataclass(frozen=True)
class Note:
    """What was recorded of one sample. prompts: under which, the right word first. steps: of its records, alike under each.
    psnr: of the way back under each prompt, in dB; none where it was not gone."""

    number: int
    key: str
    names: tuple[str, str]
    relation: str
    prompts: tuple[str, ...]
    steps: tuple[int, ...]
    psnr: tuple[float, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """A batch. maps: None where every sample of it was left out. rows (N,) int64: the number of each record's sample. psnr:
    of every way back that was gone, in dB, those of rejected samples too. picture: (height, width, 3) uint8 of its first
    sample."""

    maps: RecordedMaps | None
    rows: Tensor
    notes: list[Note]
    left_out: list[LeftOut]
    psnr: tuple[float, ...] = ()
    picture: np.ndarray | None = None


def trained_steps(recorder: MapRecorder) -> tuple[int, ...]:
    """Steps at which maps are recorded: the first half of the schedule, less those at which nothing is left of a picture,
    as at a flow model's sigma of 1. What its maps show there can only come from the words.

    Raises SteeringError for a schedule so short that none is left.
    """
    left = signal(tuple(recorder.sigmas()), recorder.flow)[: max(1, recorder.steps // 2)]
    steps = tuple(step for step, share in enumerate(left) if share > 1e-6)
    if not steps:
        raise SteeringError(
            f"Expected at least 4 steps to record a model that begins at noise alone, got {recorder.steps}; give more."
        )
    return steps


def trained_sigmas(recorder: MapRecorder) -> tuple[float, ...]:
    """Noise levels of `trained_steps` (see `objectives.StepInfo`)."""
    sigmas = recorder.sigmas()
    return tuple(sigmas[step] for step in trained_steps(recorder))


def record(
    source: Source, recorder: MapRecorder, samples: int, seed: int, noising: bool = False, batch: int = 32
) -> RecordedMaps:
    """The first `samples` of a source, in memory: raw maps of every layer."""
    how = How("noising" if noising else "euler")
    parts = []
    with tqdm(total=samples, desc="record maps") as bar:
        for start in range(0, samples, batch):
            numbers = range(start, min(start + batch, samples))
            done = record_batch(source, recorder, numbers, seed, how)
            if done.maps is not None:
                parts.append(done.maps)
            bar.update(len(numbers))
    return concatenate(parts)


def record_batch(
    source: Source,
    recorder: MapRecorder,
    numbers: Sequence[int],
    seed: int,
    how: How,
    layers: tuple[str, ...] | None = None,
) -> Recorded:
    """The maps of these samples: raw, in half precision. layers: which to read, None = all.

    A sample that its source cannot give, whose words the model's text does not hold, or that does not come back from its
    inversion is left out. Raises SteeringError where no sample of a batch can be recorded for the same reason.
    """
    made = source.samples(numbers, seed, recorder.size)
    left_out = [sample for sample in made if isinstance(sample, LeftOut)]
    there = [(n, sample) for n, sample in zip(numbers, made, strict=True) if isinstance(sample, Sample)]
    if not there:
        return Recorded(None, torch.zeros(0, dtype=torch.long), [], left_out)
    try:
        return _recorded(source, recorder, there, seed, how, layers, left_out)
    except SteeringError as error:
        parts, reason = [], error
    # One of them is the cause; alone, it is left out alone.
    for one in there:
        try:
            parts.append(_recorded(source, recorder, [one], seed, how, layers, []))
        except SteeringError as error:
            left_out.append(LeftOut(f"a sample that cannot be recorded ({error})", one[1].key))
    if not parts:
        raise reason
    whole = [part.maps for part in parts if part.maps is not None]
    return Recorded(
        concatenate(whole) if whole else None,
        torch.cat([part.rows for part in parts]),
        [note for part in parts for note in part.notes],
        left_out + [out for part in parts for out in part.left_out],
        tuple(value for part in parts for value in part.psnr),
        parts[0].picture,
    )


@torch.no_grad()
def _recorded(
    source: Source,
    recorder: MapRecorder,
    there: Sequence[tuple[int, Sample]],
    seed: int,
    how: How,
    layers: tuple[str, ...] | None,
    left_out: list[LeftOut],
) -> Recorded:
    pictures = np.stack([sample.picture for _, sample in there])
    names = [sample.names for _, sample in there]
    numbers = torch.tensor([number for number, _ in there])
    true = torch.tensor([sample.holds for _, sample in there])
    latents = recorder.encode(pictures)
    drawn = [_Drawn.of(source, recorder, number, seed, how, latents.shape[1:]) for number, _ in there]
    noise = torch.from_numpy(np.stack([d.noise for d in drawn])).to(latents.device)
    steps = torch.tensor([d.steps for d in drawn])  # (B, draws)
    wrong = (true + torch.tensor([d.turn for d in drawn])) % len(source.relations)
    parts: list[RecordedMaps] = []
    prompts: list[list[str]] = []
    ratios: list[list[float]] = []
    for worded in (true, wrong) if how.dual else (true,):
        text = [
            source.prompt(pair, word, d.phrasing)
            for pair, word, d in zip(names, worded.tolist(), drawn, strict=True)
        ]
        path = Path(tuple(recorder.sigmas()), recorder.flow, recorder.slope(text))
        found = levels(how.way, latents, noise, path)
        if how.check and how.way != "noising":
            ratios.append(psnr(pictures, recorder.decode(returned(how.way, found, path))))
        for turn in range(how.draws):
            at = steps[:, turn]
            noisy = recorder.model_input(found[at, torch.arange(len(there))], at)
            stack = recorder.maps(noisy, at, text, names, layers)
            half = MapStack(stack.layers, tuple(m.half().cpu() for m in stack.maps))
            parts.append(RecordedMaps(half, source.relations, true, worded, at))
        prompts.append(text)
    returns = [all(r[i] >= LEAST_PSNR[recorder.flow] for r in ratios) for i in range(len(there))]
    notes = [
        Note(
            number, sample.key, sample.names, source.relations[sample.holds],
            tuple(text[i] for text in prompts), tuple(steps[i].tolist()), tuple(round(r[i], 2) for r in ratios),
        )
        for i, (number, sample) in enumerate(there)
        if returns[i]
    ]  # fmt: skip
    left_out = left_out + [
        LeftOut(f"an inversion that does not come back to {LEAST_PSNR[recorder.flow]:g} dB", sample.key)
        for (_, sample), comes in zip(there, returns, strict=True)
        if not comes
    ]
    maps = concatenate(parts)
    keep = torch.tensor(returns).repeat(len(parts))
    finite = torch.stack([m.flatten(1).isfinite().all(1) for m in maps.stack.maps]).all(0)
    if not bool(finite[keep].all()):
        raise SteeringError(
            "Expected finite attention maps, got some that are not; record with float32 weights."
        )
    return Recorded(
        maps.where(keep) if keep.any() else None,
        numbers.repeat(len(parts))[keep],
        notes,
        left_out,
        tuple(round(value, 2) for pair in zip(*ratios, strict=True) for value in pair),
        pictures[0],
    )


@dataclass(frozen=True)
class _Drawn:
    """What is drawn at random for one sample. turn: how far the wrong word is from the right one."""

    turn: int
    phrasing: int
    steps: list[int]
    noise: np.ndarray

    @classmethod
    def of(
        cls, source: Source, recorder: MapRecorder, number: int, seed: int, how: How, shape: torch.Size
    ) -> _Drawn:
        rng = np.random.default_rng((seed, 4711, number))
        turn, phrasing = int(rng.integers(1, len(source.relations))), int(rng.integers(source.phrasings))
        steps = [int(step) for step in rng.choice(trained_steps(recorder), size=how.draws)]
        return cls(turn, phrasing, steps, rng.standard_normal(tuple(shape), dtype=np.float32))
