"""`record`: the attention maps of pictures whose relation is known, into shards that training reads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .arguments import Commands, command
from .sources import add_options
from .sources import record as record_maps

SETTINGS = "recorded.json"
"""The command's own arguments, so that `train` finds the model again."""


def add(commands: Commands) -> None:
    """Declare the command."""
    record = command(
        commands, "record", "record a model's attention maps for training; an interrupted run goes on"
    )
    add_options(record, required=True)
    record.add_argument("--work", type=Path, required=True, metavar="DIR", help="where the records are kept")
    record.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Say what it will cost, record, and say what was left out and why."""
    record_maps(args, print)
    write_settings(args)
    print(f"Written: {args.work}")


def write_settings(args: argparse.Namespace) -> None:
    """Beside the records: which model they are of."""
    from ..records import atomic

    model = args.model if args.model in (None, "unet", "mmdit") else str(Path(args.model).resolve())
    kept = {"model": model, "steps": args.steps, "height": args.height, "width": args.width}
    with atomic(args.work / SETTINGS) as temporary:
        temporary.write_text(json.dumps(kept), encoding="utf-8")


def read_settings(work: Path) -> dict[str, object]:
    """What `write_settings` wrote; empty where there is nothing that can be read."""
    try:
        found = json.loads((work / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
