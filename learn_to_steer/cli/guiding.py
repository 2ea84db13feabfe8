"""`generate --method attention|both`: boxes on the command line, what the host is given, and what is said about it."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from ..errors import SteeringError
from .arguments import METHODS
from .models import ModelFolder

Box = tuple[float, float, float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="gradient",
        help="move the latent, bias the attention (no gradient; needs no classifier), or both",
    )
    parser.add_argument(
        "--boxes",
        metavar='"A=X0,Y0,X1,Y1"',
        help='where things belong, in shares of the picture, several separated by ";", or as JSON: '
        '{"dog": [0, 0, 0.5, 1]}; for --method attention or both',
    )


def boxes_of(text: str | None) -> dict[str, Box]:
    """ "dog=0,0,0.5,1; cat=0.5,0,1,1" or JSON -> words and boxes. Raises SteeringError for a text of another form."""
    if text is None or not text.strip():
        return {}
    form = 'Expected boxes such as "dog=0,0,0.5,1; cat=0.5,0,1,1" (left, top, right, bottom in shares of the picture)'
    try:
        if text.lstrip().startswith("{"):
            given = {str(words): list(box) for words, box in json.loads(text).items()}
        else:
            parts = [part.rpartition("=") for part in text.split(";") if part.strip()]
            given = {words.strip(): box.split(",") for words, _, box in parts}
        boxes = {words: tuple(float(edge) for edge in box) for words, box in given.items()}
    except (ValueError, TypeError, AttributeError):
        raise SteeringError(f'{form}, got "{text}"; correct it.') from None
    for words, box in boxes.items():
        if not words or len(box) != 4 or not all(map(math.isfinite, box)):
            raise SteeringError(f'{form}, got "{text}"; give four numbers for each.')
    return boxes  # type: ignore[return-value]


def check_arguments(args: argparse.Namespace) -> None:
    """Raises SteeringError for boxes that nothing would heed or read."""
    if boxes_of(args.boxes) and args.method == "gradient":
        raise SteeringError(
            "Expected --method attention or both together with --boxes, got gradient; add one of them."
        )


def objective_kind(args: argparse.Namespace, model: ModelFolder) -> str:
    """Which objective is read: where attention alone is guided and there is no classifier, the hand-made one shows the
    attention in the report."""
    if args.method == "attention" and args.classifier is None and not model.is_emojiworld:
        return "centroid"
    return str(args.objective)


def host_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What `hosts.diffusers.generate` is given beside prompt, objective and plan."""
    if args.method == "gradient":
        return {}
    return {"method": args.method, "boxes": boxes_of(args.boxes) or None}


def guided_lines(lines: list[str], guidance: dict[str, Any] | None) -> list[str]:
    """The lines of a report with those about guidance behind the first, which says what was understood."""
    told = guidance_lines(guidance)
    first = lines[0].removesuffix(", so nothing was steered and both pictures are the same.")
    return [f"{first}." if told and first != lines[0] else lines[0], *told, *lines[1:]]


def guidance_lines(guidance: dict[str, Any] | None) -> list[str]:
    """What guidance did with one picture, in words. guidance: of its trace."""
    if guidance is None or guidance["layouts"][0] is None:
        return []
    layout = guidance["layouts"][0]
    places = ", ".join(
        f"{name} at {x:.0%} from the left and {y:.0%} from the top"
        for name, (x, y) in zip(layout["objects"], layout["places"], strict=True)
    )
    on = sum(any(step["on"][0]) for step in guidance["steps"])
    return [
        f"Attention guided to: {places}",
        f"Guided: {on} of {len(guidance['steps'])} steps, {len(guidance['layers'])} attention layers, strength "
        f"{guidance['strength']:g}",
    ]
