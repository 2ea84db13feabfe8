"""The page beside a classifier file: what it reads, what it was trained on, how it was measured, its licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..records import atomic
from .reader import RelationReader


def write_card(classifier: RelationReader, file: Path, licence: str = "Apache-2.0") -> Path:
    """Write FILE.md beside FILE.safetensors and return its path. What was trained and measured stands in the classifier's
    `card.about`, as JSON where this package trained it."""
    card = classifier.card
    universal = card.family == "any"
    models = "every model" if universal else f"models of the family `{card.family}`"
    layers = ", ".join(card.layers) if card.layers is not None else "all attention layers of the model"
    reads = f"{layers}; {card.channels} channels, brought to {card.map_size} x {card.map_size}"
    steps = f"steps {card.timesteps[0]} to {card.timesteps[-1]} of {card.num_timesteps}"
    if universal:
        size = f"{card.map_size} x {card.map_size}"
        reads = f"the mean map, at {size}, of any layers; of those recommended for the model's family where none are named"
        steps = (
            f"noise levels of the first {card.last_share:.0%} of a model's schedule, without being told which"
        )
    weights = sum(p.numel() for p in classifier.parameters())
    try:
        about = json.loads(card.about)
    except ValueError:
        about = card.about
    lines = [
        f"# {file.stem}",
        "",
        f"A relation classifier ({type(classifier).__name__}, {weights:,} weights) for {models}.",
        "",
        f"- Relations: {', '.join(card.relations)}.",
        f"- Reads: {reads}.",
        f"- Trained on: {_trained(about)}, at {steps}.",
        f"- Measured: {_measured(about)}.",
        f"- Licence: {licence}.",
    ]
    page = file.with_suffix(".md")
    with atomic(page) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def _trained(about: object) -> str:
    if isinstance(about, Mapping) and "samples" in about:
        return str(
            about.get("trained on", "pictures inverted under right and under wrong relation words")
        ) + (f" ({about['samples']:,} samples)")
    return str(about) or "unknown"


def _measured(about: object) -> str:
    figures = about.get("unseen pairs") if isinstance(about, Mapping) else None
    if not figures:
        return "unknown"
    if "right" not in figures:
        return "; ".join(f"`{model}`: {_share_read(of_model)}" for model, of_model in figures.items())
    return _share_read(figures)


def _share_read(figures: Mapping[str, Any]) -> str:
    text = f"on pairs of objects that it has not seen, {figures['right']:.1%} of relations read under right words, "
    text += f"{figures['wrong']:.1%} under wrong ones"
    if errors := figures.get("errors"):
        low, high = errors["interval"]
        text += (
            f"; {errors['share']:.0%} of the {errors['errors']:,} errors under wrong words are that word (95%: {low:.0%} - "
            f"{high:.0%}; {errors['blind']:.0%} for a reader blind to words)"
        )
    return text
