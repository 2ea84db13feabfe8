"""Maps for EmojiWorld's relation classifiers: rendered scenes, inverted under right and under wrong relation words.

Each prompt has the latents of its own inversion, as published. Plain noising, one model call instead of twenty, can stand
in for it where the model has no ear for relation words; where it has, maps of a noised scene follow a wrong word.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..attention import MapStack, token_weights
from ..dataset import RecordedMaps, concatenate
from ..hosts.diffusers import run_of, token_positions
from ..language import find_words
from . import STEPS, family_of, load_pipeline
from .render import aspects
from .training import scene_pixels, to_tensor
from .world import DIRECTIONS, OBJECTS, PHRASES, article, holds, sample_scene

FIRST_HALF = tuple(range(10))
"""Step indices of the first half of the 20-step schedule."""

DRAWS = 4
"""Steps, drawn at random, at which the maps of one inversion are recorded."""

Pair = tuple[str, str]


def object_pairs(part: str, seed: int = 2602) -> list[Pair]:
    """Unordered pairs of objects: "train" (36), "validation" (6) or "test" (24); no pair is in two parts.

    Every object is equally often in each part: the pairs are the rounds of a tournament in which everybody meets
    everybody once (circle method), and a part is some of these rounds. The test pairs are never seen by a classifier,
    in training or in its early stopping.
    """
    rng = np.random.default_rng(seed)
    fixed, *others = rng.permutation(OBJECTS).tolist()
    rounds = []
    for turn in range(len(others)):
        circle = [fixed, *others[turn:], *others[:turn]]
        half = len(circle) // 2
        rounds.append([(a, b) for a, b in zip(circle[:half], reversed(circle[half:]), strict=True)])
    share = {"test": slice(0, 4), "validation": slice(4, 5), "train": slice(5, None)}[part]
    return [pair for one in rounds[share] for pair in one]


@torch.no_grad()
def record(
    pipe, pairs: list[Pair], scenes: int, seed: int, noising: bool = False, batch: int = 32
) -> RecordedMaps:
    """``DRAWS`` samples per scene under the true relation word, and as many under a wrong one at the same steps.

    noising: bring the scene to those steps by noise, the same under both words, instead of by inversion under each.
    Scenes in which not exactly one of the four relations holds are left out.
    """
    rng = np.random.default_rng((seed, 4711))
    parts = []
    with tqdm(total=scenes, desc="record maps") as bar:
        for start in range(0, scenes, batch):
            size = min(batch, scenes - start)
            parts.append(_record_batch(pipe, pairs, size, rng, noising))
            bar.update(size)
    return concatenate(parts)


def _record_batch(
    pipe, pairs: list[Pair], size: int, rng: np.random.Generator, noising: bool
) -> RecordedMaps:
    pictures, names, true = _scenes(pairs, size, rng)
    wrong = (true + torch.from_numpy(rng.integers(1, 4, size=size))) % 4
    latents = pipe.vae.encode(to_tensor(pictures)).latent_dist.mean * pipe.vae.config.scaling_factor
    drawn = [torch.from_numpy(rng.choice(trained_steps(pipe), size=size)) for _ in range(DRAWS)]
    noises = [torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32)) for _ in drawn]
    phrase = rng.integers(3)
    recorded = []
    for worded in (true, wrong):
        prompts = [
            f"{article(a)} {PHRASES[DIRECTIONS[w]][phrase]} {article(b)}"
            for (a, b), w in zip(names, worded.tolist(), strict=True)
        ]
        run = run_of(pipe, prompts, STEPS, guidance_scale=1.0)
        levels = None if noising else run.inverted(latents)
        for steps, noise in zip(drawn, noises, strict=True):
            noisy = (
                run.packed(run.noised(latents, noise, steps))
                if levels is None
                else levels[steps, torch.arange(size)]
            )
            stack = read_maps(pipe, noisy, steps, prompts, names)
            half = MapStack(stack.layers, tuple(m.half() for m in stack.maps))
            recorded.append(RecordedMaps(half, tuple(d.value for d in DIRECTIONS), true, worded, steps))
    return concatenate(recorded)


def _scenes(
    pairs: list[Pair], size: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[Pair], Tensor]:
    """Pictures, subject and reference of each, and which of the four relations holds."""
    pictures: list[np.ndarray] = []
    names: list[Pair] = []
    relations: list[int] = []
    while len(pictures) < size:
        pair = pairs[rng.integers(len(pairs))]
        subject, reference = pair if rng.random() < 0.5 else pair[::-1]
        scene, picture = scene_pixels(rng, sample_scene(rng, names=(subject, reference), aspect=aspects()))
        a, b = scene.objects
        fitting = [i for i, relation in enumerate(DIRECTIONS) if holds(a.box, relation, b.box)]
        if len(fitting) == 1:
            pictures.append(picture)
            names.append((subject, reference))
            relations.append(fitting[0])
    return pictures, names, torch.tensor(relations)


def trained_steps(pipe) -> tuple[int, ...]:
    """Steps at which maps are recorded: the first half of the schedule, less those at which nothing is left of a picture,
    as at a flow model's sigma of 1. What its maps show there can only come from the words."""
    one = torch.ones(len(FIRST_HALF), 1, 1, 1)
    left = run_of(pipe, [], STEPS).noised(one, torch.zeros_like(one), torch.tensor(FIRST_HALF))
    return tuple(
        step for step, share in zip(FIRST_HALF, left.flatten().tolist(), strict=True) if share > 1e-6
    )


def trained_sigmas(pipe) -> tuple[float, ...]:
    """Noise levels of ``trained_steps`` (see ``objectives.StepInfo``)."""
    sigmas = run_of(pipe, [], STEPS).schedule().sigmas
    return tuple(sigmas[step] for step in trained_steps(pipe))


def read_maps(pipe, noisy: Tensor, steps: Tensor, prompts: list[str], names: list[Pair]) -> MapStack:
    """Maps of both objects on every layer, one forward pass. ``noisy`` (B, ...) as the model is given it, ``steps`` (B,)
    of the 20-step schedule."""
    run = run_of(pipe, prompts, STEPS, guidance_scale=1.0)
    positions = [
        [token_positions(run, i, find_words(prompt, name)) for name in pair]
        for i, (prompt, pair) in enumerate(zip(prompts, names, strict=True))
    ]
    schedule = run.schedule()
    branch = run.branch(run.encoded(), schedule, family_of(pipe))
    weights = token_weights(positions, run.text_length)
    return branch.record_at(noisy, schedule.timesteps[steps], range(len(prompts)), weights, None)


def recorded_parts(
    folder: Path, work: Path, scenes: int = 1000, model: str = "unet", noising: bool = False
) -> dict[str, RecordedMaps]:
    """The recorded maps of the three parts, read from ``work`` where they were recorded from the same weights."""
    work.mkdir(parents=True, exist_ok=True)
    own = folder.glob("*/*.safetensors" if model == "unet" else f"{model}/*/*.safetensors")
    files = {*own, *folder.glob("vae/*.safetensors")}
    weights = b"".join(sorted(f.read_bytes() for f in files))
    mark = hashlib.sha256(weights).hexdigest()[:8]
    how = "noised" if noising else "inverted"
    pipe = None
    parts = {}
    for seed, (part, count) in enumerate(
        {"train": scenes, "validation": scenes // 6, "test": scenes // 3}.items()
    ):
        file = work / f"{how}-{part}-{count}-{mark}.safetensors"
        if not file.exists():
            pipe = pipe or load_pipeline(folder, model=model)
            record(pipe, object_pairs(part), count, seed, noising).save(file)
        parts[part] = RecordedMaps.load(file)
    return parts
