"""`score`: judge detections made elsewhere by a published rule."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import SteeringError
from .arguments import Commands, command
from .files import json_text

RULES = ("geneval", "t2i-compbench", "visor", "pse")
SAYS = "judge detections made elsewhere by a published rule, one JSON object a line"
FORM = """\
Each line of FILE is a picture: {"prompt": "a dog left of a cat", "detections": [{"name": "dog", "box": [x0, y0, x1,
y1], "score": 0.9}, ...]}, boxes in pixels, y downwards; "mask" instead of "box" for pse. The relations are read from
the prompt, unless the line gives them as "relations": [["dog", "left of", "cat"]] or is one of GenEval's metadata.
"""


def add(commands: Commands) -> None:
    """Declare the command."""
    score = command(commands, "score", SAYS)
    score.epilog = FORM
    score.add_argument("file", metavar="FILE", help="detections, JSON lines; - is the standard input")
    score.add_argument("--rule", choices=RULES, required=True, help="whose rule")
    score.add_argument("--summary", action="store_true", help="print a table instead of a line a picture")
    score.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print a verdict per picture, or the table of them all; nothing where a line cannot be used."""
    from ..evaluation.score import Judged, score_lines
    from ..evaluation.summary import summary

    def judged(lines, where: str) -> list[Judged]:
        return list(score_lines(lines, args.rule, where))

    if args.file == "-":
        pictures = judged(sys.stdin.buffer, "the standard input")
    else:
        try:
            with Path(args.file).open("rb") as lines:
                pictures = judged(lines, args.file)
        except (OSError, ValueError) as error:
            if isinstance(error, SteeringError):
                raise
            reason = getattr(error, "strerror", None) or str(error)
            raise SteeringError(
                f"Expected a file of detections at {args.file}, but it cannot be read ({reason}); check the path."
            ) from error
    if args.summary:
        print(summary(pictures, args.rule))
        return
    for picture in pictures:
        print(json_text(picture.as_json()))
