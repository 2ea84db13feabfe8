"""Rendered scenes as a source of samples, and the maps recorded of them for EmojiWorld's own classifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import RecordedMaps
from ..dataset.recording import record
from ..dataset.sources import LeftOut, Sample
from ..dataset.splits import Pair
from ..hosts.diffusers.recorder import PipelineRecorder
from . import STEPS, family_of, load_pipeline
from .prompts import Part, object_pairs
from .render import aspects
from .training import scene_pixels
from .world import DIRECTIONS, PHRASES, article, holds, sample_scene


class SceneSource:
    """A `dataset.sources.Source`: scenes of these pairs, in both orders, as EmojiWorld's models were trained on. Scenes in
    which not exactly one of the four relations holds are drawn again."""

    relations = tuple(d.value for d in DIRECTIONS)
    phrasings = 3
    count: int | None = None

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)
        self.about: dict[str, Any] = {"source": "EmojiWorld's scenes", "pairs": [list(p) for p in pairs]}

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """See `dataset.sources.Source`. size: EmojiWorld's own."""
        return [self._sample(number, seed) for number in numbers]

    def _sample(self, number: int, seed: int) -> Sample:
        rng = np.random.default_rng((seed, 4711, 1, number))
        while True:
            pair = self.pairs[rng.integers(len(self.pairs))]
            subject, reference = pair if rng.random() < 0.5 else pair[::-1]
            scene, picture = scene_pixels(
                rng, sample_scene(rng, names=(subject, reference), aspect=aspects())
            )
            a, b = scene.objects
            fitting = [i for i, relation in enumerate(DIRECTIONS) if holds(a.box, relation, b.box)]
            if len(fitting) == 1:
                return Sample(f"scene {number}", picture, (subject, reference), fitting[0])

    def prompt(self, names: Pair, relation: int, phrasing: int) -> str:
        """See `dataset.sources.Source`."""
        return f"{article(names[0])} {PHRASES[DIRECTIONS[relation]][phrasing]} {article(names[1])}"


def recorder_of(pipe: Any) -> PipelineRecorder:
    """An EmojiWorld pipeline as recording wants it."""
    return PipelineRecorder(pipe, family_of(pipe), STEPS)


def recorded_parts(
    folder: Path, work: Path, scenes: int = 1000, model: str = "unet", noising: bool = False
) -> dict[Part, RecordedMaps]:
    """The recorded maps of the three parts, read from ``work`` where they were recorded from the same weights and pairs."""
    work.mkdir(parents=True, exist_ok=True)
    own = folder.glob("*/*.safetensors" if model == "unet" else f"{model}/*/*.safetensors")
    files = {*own, *folder.glob("vae/*.safetensors")}
    pipe = None
    parts: dict[Part, RecordedMaps] = {}
    counts: dict[Part, int] = {"train": scenes, "validation": scenes // 6, "test": scenes // 3}
    weights = b"".join(sorted(f.read_bytes() for f in files))
    for seed, (part, count) in enumerate(counts.items()):
        mark = hashlib.sha256(weights + repr(object_pairs(part)).encode()).hexdigest()[:8]
        file = work / f"{'noised' if noising else 'inverted'}-{part}-{count}-{mark}.safetensors"
        if not file.exists():
            pipe = pipe or load_pipeline(folder, model=model)
            record(SceneSource(object_pairs(part)), recorder_of(pipe), count, seed, noising).save(file)
        parts[part] = RecordedMaps.load(file)
    return parts
