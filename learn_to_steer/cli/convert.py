"""`convert`: a classifier of either kind becomes a .safetensors file."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import Commands, command
from .files import unwritable


def add(commands: Commands) -> None:
    """Declare the command."""
    convert = command(commands, "convert", "turn a classifier (.pth or .safetensors) into .safetensors")
    convert.add_argument("source", metavar="SRC", type=Path)
    convert.add_argument("target", metavar="DST", type=Path)
    convert.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
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
