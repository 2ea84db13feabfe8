"""`inspect`: what a classifier file says of itself."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .arguments import Commands, command


def add(commands: Commands) -> None:
    """Declare the command."""
    inspect = command(commands, "inspect", "print the card of a classifier file")
    inspect.add_argument("file", metavar="FILE", type=Path, help="a .safetensors or .pth file")
    inspect.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print it, a fact a line."""
    from ..classifiers import load_classifier
    from ..training import errors_in_words

    classifier = load_classifier(args.file)
    card = classifier.card
    layers = ", ".join(card.layers) if card.layers is not None else "all attention layers of the model"
    trained = ", ".join(map(str, card.timesteps))
    lines = [
        ("kind", f"{type(classifier).__name__}, {sum(p.numel() for p in classifier.parameters()):,} weights"),
        ("family", card.family + (f", attentions {card.layout}" if card.layout else "")),
        ("relations", ", ".join(card.relations)),
        ("reads", f"{layers}: {card.channels} channels"),
        ("maps", f"{card.map_size} x {card.map_size}, {card.resize}, renormalised: {card.renormalise}"),
        ("steps", f"{trained} of {card.num_timesteps}"),
    ]
    if card.sigmas is not None:
        lines.append(("noise levels", ", ".join(f"{sigma:.3g}" for sigma in card.sigmas)))
    about = _about(card.about)
    pairs = about.pop("unseen pairs", None)
    if isinstance(pairs, dict):
        lines.append(("right words", _share(pairs.get("right"))))
        lines.append(("wrong words", _share(pairs.get("wrong"))))
        errors = pairs.get("errors")
        if "errors" in pairs and (errors is None or isinstance(errors, dict)):
            lines.append(("leakage", errors_in_words(errors)))
        for key in ("by_relation", "by_step"):
            groups = pairs.get(key)
            for name, group in groups.items() if isinstance(groups, dict) else ():
                lines.append((f"  {'step ' if key == 'by_step' else ''}{name}", _group(group)))
    lines += [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in about.items()]
    width = max(len(key) for key, _ in lines)
    for key, value in lines:
        print(f"{key:<{width}}  {value}")


def _about(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {"about": text} if text else {}
    return found if isinstance(found, dict) else {"about": text}


def _share(value: Any) -> str:
    return f"{value:.1%} read" if isinstance(value, (int, float)) else "not measured"


def _group(group: Any) -> str:
    if not isinstance(group, dict):
        return "not measured"
    errors = group.get("errors")
    said = f"{_share(group.get('right'))} under right words, {_share(group.get('wrong'))} under wrong ones"
    if isinstance(errors, dict):
        low, high = errors["interval"]
        said += (
            f"; {errors['followed']} of {errors['errors']} errors follow the word ({low:.0%} - {high:.0%})"
        )
    return said
