"""The end of every training: pictures of the model, plain and steered. A classifier can read well and steer badly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..attention import normalised, resized
from ..classifiers import RelationReader
from ..dataset import trained_steps
from ..evaluation.detectors import Detector
from ..evaluation.run import Draw, judged
from ..evaluation.statistics import share_interval
from ..hosts.protocol import Drawn, MapRecorder, Sampler
from ..inversion import noised
from ..objectives import LearnedObjective
from ..pictures import comparison_sheet
from ..steering import SteeringPlan

SHOWN = 8
"""Rows of the sheet."""


@dataclass(frozen=True)
class Steered:
    """figures: ready for JSON, see `steering_check`. sheet: the pictures side by side."""

    figures: dict[str, Any]
    sheet: Image.Image


def steering_check(
    sampler: Sampler,
    classifier: RelationReader,
    draws: Sequence[Draw],
    *,
    steps: int,
    guidance: float | None,
    detector: Detector | None = None,
    recorder: MapRecorder | None = None,
    plan: SteeringPlan | None = None,
    batch: int = 8,
) -> Steered:
    """Draw plainly and steered from the same noise. plan: None = "fast".

    figures: "pictures"; "probability": of the wanted relation, mean at the first and at the last evaluation; "spread":
    standard deviation of the latent after all moves over that before, 1 = none lost. With a detector "plain" and "steered":
    share of pictures in which the relation holds, with its interval, and in which all objects are present. With a recorder
    "presence": how far the objects' maps of the finished pictures stand out, (plain, steered), see `standing_out`.
    """
    objective = LearnedObjective(classifier)
    plan = plan or SteeringPlan.preset("fast")
    figures: dict[str, Any] = {"pictures": len(draws)}
    first, last, kept = [], [], []
    pairs: list[list[Image.Image]] = []
    verdicts: list[list[Sequence[bool]]] = []
    outcomes: dict[str, list[dict[str, Any]]] = {"plain": [], "steered": []}
    presence: dict[str, list[float]] = {"plain": [], "steered": []}
    for start in range(0, len(draws), batch):
        chunk = draws[start : start + batch]
        ways = {"plain": None, "steered": objective}
        drawn = {name: _draw(sampler, chunk, way, plan, steps, guidance) for name, way in ways.items()}
        for i in range(len(chunk)):
            records = [r for r in drawn["steered"].trace.image(i) if r.evaluation >= 0]
            if records:
                first.append(records[0].probability)
                last.append(records[-1].probability)
            moved = [r.spread_after / r.spread_before for r in records if r.spread_before > 0]
            kept.append(float(np.prod(moved)) if moved else 1.0)
        for name, made in drawn.items():
            if detector is not None:
                found = detector.detect(made.pictures, [d.names for d in chunk])
                outcomes[name] += [judged(d, f) for d, f in zip(chunk, found, strict=True)]
            if recorder is not None:
                presence[name] += standing_out(recorder, classifier, made.pictures, chunk)
        for i in range(len(chunk)):
            pairs.append([Image.fromarray(drawn[name].pictures[i]) for name in ("plain", "steered")])
            held = [
                [r["holds"] for r in outcomes[n][start + i]["relations"]] for n in outcomes if outcomes[n]
            ]
            verdicts.append(list(held) or [[], []])
    figures |= {"probability": [_mean(first), _mean(last)], "spread": _mean(kept)}
    if detector is not None:
        clusters = [d.cluster for d in draws]
        for name, results in outcomes.items():
            holds = [all(r["holds"] for r in result["relations"]) for result in results]
            figures[name] = {
                "relation": _mean(holds),
                "interval": [round(edge, 4) for edge in share_interval(holds, clusters)],
                "present": _mean([r["present"] for r in results]),
            }
    if recorder is not None:
        figures["presence"] = [_mean(presence["plain"]), _mean(presence["steered"])]
    some = slice(0, SHOWN)
    sheet = comparison_sheet(
        "The model's pictures, plain and steered",
        ["plain", "steered"],
        [d.prompt for d in draws[some]],
        pairs[some],
        verdicts[some],
    )
    return Steered(figures, sheet)


def _draw(
    sampler: Sampler, chunk: Sequence[Draw], objective: LearnedObjective | None, plan: SteeringPlan, steps: int,
    guidance: float | None,
) -> Drawn:  # fmt: skip
    return sampler.sample(
        [d.prompt for d in chunk],
        [d.seed for d in chunk],
        objective=objective,
        plan=plan if objective is not None else None,
        steps=steps,
        guidance=guidance,
    )


@torch.no_grad()
def standing_out(
    recorder: MapRecorder, classifier: RelationReader, pictures: np.ndarray, draws: Sequence[Draw]
) -> list[float]:
    """Per picture, how far the weaker of its two objects stands out of its mean map: largest cell over mean cell, the
    picture noised to the last step that the classifier was trained at. Of an object that is not there, the map is flat."""
    latents = recorder.encode(pictures)
    step = trained_steps(recorder)[-1]
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)).to(latents.device)
    at = torch.full((len(pictures),), step)
    noisy = recorder.model_input(noised(latents, noise, recorder.sigmas()[step], recorder.flow), at)
    names = [(d.names[0], d.names[-1]) for d in draws]
    stack = recorder.maps(noisy, at, [d.prompt for d in draws], names, classifier.layers)
    size = classifier.map_size
    maps = torch.cat([normalised(resized(m.float(), size, "area")) for m in stack.maps], dim=2).mean(2)
    return [float(v) for v in (maps.flatten(2).amax(2) * size**2).amin(1)]


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4) if len(values) else float("nan")


def in_words(figures: dict[str, Any]) -> str:
    """What came of it, in a sentence."""
    said = []
    if "plain" in figures:
        plain, steered = figures["plain"], figures["steered"]
        low, high = steered["interval"]
        said.append(
            f"the relation holds in {plain['relation']:.1%} of plain and {steered['relation']:.1%} of steered pictures "
            f"({low:.1%} - {high:.1%}), all objects are there in {plain['present']:.1%} and {steered['present']:.1%}"
        )
    before, after = figures["probability"]
    said.append(f"the wanted relation is read with {before:.2f} at first and {after:.2f} at last")
    if "presence" in figures:
        said.append(
            f"objects stand out {figures['presence'][0]:.1f} times plain and {figures['presence'][1]:.1f} times steered"
        )
    said.append(f"the latent keeps {figures['spread']:.1%} of its spread")
    return f"{figures['pictures']} pictures plain and steered: {'; '.join(said)}."
