"""`parse` and `convert`: commands that draw nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import SteeringError
from ..language import triplets_as_json
from .files import read_prompts, unwritable


def parse(args: argparse.Namespace) -> None:
    """Print the relations of each prompt, one JSON object a line."""
    prompts = list(args.prompts) + (read_prompts(args.file) if args.file is not None else [])
    if not prompts and args.file is None:
        raise SteeringError("Expected a prompt or --file FILE, got neither; give one of them.")
    for prompt in prompts:
        print(json.dumps(triplets_as_json(prompt), ensure_ascii=False))


def convert(args: argparse.Namespace) -> None:
    """Read a classifier of either kind, write it as .safetensors, say what it is."""
    from ..classifiers import convert as convert_classifier

    try:
        classifier = convert_classifier(args.source, args.target)
    except OSError as error:
        raise unwritable(Path(args.target), error) from error
    card = classifier.card
    weights = sum(p.numel() for p in classifier.parameters())
    print(f"{type(classifier).__name__} for the model family {card.family}, {weights:,} weights")
    print(f"relations: {', '.join(card.relations)}")
    layers = ", ".join(card.layers) if card.layers is not None else "all cross-attention layers of the model"
    print(f"reads: {card.channels} channels of {card.map_size} x {card.map_size} maps from {layers}")
    trained = f"{len(card.timesteps)} of {card.num_timesteps} steps"
    print(f"trained at: {trained}, {card.timesteps[0]} to {card.timesteps[-1]}")
    print(f"written: {args.target}")
