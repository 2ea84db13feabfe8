"""`parse`: the relations that prompts state."""

from __future__ import annotations

import argparse

from ..errors import SteeringError
from ..language import triplets_as_json
from .arguments import Commands, command
from .files import json_text, read_prompts


def add(commands: Commands) -> None:
    """Declare the command."""
    parse = command(commands, "parse", "print the relations that prompts state, one JSON object a line")
    parse.add_argument("prompts", metavar="PROMPT", nargs="*")
    parse.add_argument(
        "--file",
        metavar="FILE",
        help='prompts, one a line, or JSON lines with the key "prompt"; - is the standard input',
    )
    parse.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the relations of each prompt, one JSON object a line."""
    prompts = list(args.prompts) + (read_prompts(args.file) if args.file is not None else [])
    if not prompts and args.file is None:
        raise SteeringError("Expected a prompt or --file FILE, got neither; give one of them.")
    for prompt in prompts:
        print(json_text(triplets_as_json(prompt)))
