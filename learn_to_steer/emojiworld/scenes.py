"""Rendered scenes as a source of samples, and the maps recorded of them for EmojiWorld's own classifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..dataset import RecordedMaps
from ..dataset.recording import record
from ..dataset.sources import Samples
from ..dataset.splits import Pair
from ..hosts.diffusers.recorder import PipelineRecorder
from . import STEPS, family_of, load_pipeline
from .prompts import Part, object_pairs
from .render import aspects
from .training import scene_pixels
from .world import DIRECTIONS, PHRASES, article, holds, sample_scene


class SceneSource:
    """A `dataset.sources.Source`: scenes of these pairs, in both orders. Scenes in which not exactly one of the four
    relations holds are left out."""

    relations = tuple(d.value for d in DIRECTIONS)
    phrasings = 3

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = list(pairs)

    def draw(self, size: int, rng: np.random.Generator) -> Samples:
        """See `dataset.sources.Source`."""
        pictures: list[np.ndarray] = []
        names: list[Pair] = []
        relations: list[int] = []
        while len(pictures) < size:
            pair = self.pairs[rng.integers(len(self.pairs))]
            subject, reference = pair if rng.random() < 0.5 else pair[::-1]
            scene, picture = scene_pixels(
                rng, sample_scene(rng, names=(subject, reference), aspect=aspects())
            )
            a, b = scene.objects
            fitting = [i for i, relation in enumerate(DIRECTIONS) if holds(a.box, relation, b.box)]
            if len(fitting) == 1:
                pictures.append(picture)
                names.append((subject, reference))
                relations.append(fitting[0])
        return Samples(np.stack(pictures), names, torch.tensor(relations))

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
