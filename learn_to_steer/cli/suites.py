"""Which prompts an evaluation draws: a published suite, EmojiWorld's, or a file of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SteeringError
from ..language import parse_relations
from .files import read_prompts
from .models import check_objects, nouns

if TYPE_CHECKING:
    from ..evaluation.bench import Draw
    from ..evaluation.suites import Suite

SUITES = ("emojiworld", "geneval", "t2i-compbench", "visor", "own")

_NEEDS_DATA = {
    "geneval": "GenEval's evaluation_metadata.jsonl (github.com/djghosh13/geneval, in prompts/; MIT)",
    "t2i-compbench": "T2I-CompBench's spatial_val.txt (github.com/Karine-Huang/T2I-CompBench, in examples/dataset/; MIT)",
    "own": "your prompts, one a line",
}
"""What is read from the user's copy, and where it is to be had."""


_TAKES = {
    "emojiworld": ("images", "relations", "count"),
    "geneval": ("data", "kinds", "count", "pictures"),
    "t2i-compbench": ("data", "count", "pictures"),
    "visor": ("count", "pictures"),
    "own": ("data", "rule", "count", "pictures"),
}
"""Options that are of some suites only. Those of others would be without effect, so they are refused."""

_PROMPTS_TAKE = ("images",)
"""... and those of EmojiWorld's pictures of one's own prompts."""


def check_options(args: argparse.Namespace) -> None:
    """Raises SteeringError for an option that the chosen prompts would pass over."""
    suite = args.suite or "emojiworld"
    if args.prompts is not None and suite != "emojiworld":
        raise SteeringError(
            f"Expected --prompts, which are EmojiWorld's, without --suite {suite}, got both; use --suite own with --data."
        )
    taken, what = (_TAKES[suite], suite) if args.prompts is None else (_PROMPTS_TAKE, "--prompts")
    if "rule" not in taken and args.rule is not None:
        raise SteeringError(
            f"Expected the suite's own rule for {suite}, got --rule {args.rule}; leave --rule out or use --suite own."
        )
    every = dict.fromkeys(name for names in _TAKES.values() for name in names)
    if unused := [name for name in every if name not in taken and getattr(args, name) is not None]:
        allowed = ", ".join(f"--{name}" for name in taken)
        raise SteeringError(
            f"Expected no --{unused[0]} for {what}, which takes {allowed} instead, got one; leave it out."
        )


def follow_protocol(args: argparse.Namespace) -> None:
    """Set what the protocol of a published table fixes. ``images`` may be fewer, its first ones, and ``settings`` some of
    its own. Raises SteeringError for a table that there is not, and for an option that says otherwise."""
    from ..emojiworld.prompts import protocol
    from .benches import emojiworld_model

    tables = protocol()["tables"]
    if args.table not in tables:
        raise SteeringError(
            f"Expected a table among {', '.join(tables)}, got {args.table!r}; choose one of them."
        )
    table = tables[args.table]
    model = Path(table["model"])
    fixed = {"suite": "emojiworld", "model": model, "prompts": None, "graph": None}
    fixed |= {name: table[name] for name in ("relations", "seed", "steps")}
    if args.model is not None and emojiworld_model(args.model) == emojiworld_model(model):
        args.model = model
    for name, value in fixed.items():
        given = getattr(args, name)
        if given is not None and given != value:
            its = f"--{name} {value}" if value is not None else f"no --{name}"
            raise SteeringError(
                f"Expected {its} for the table {args.table}, which fixes it, got {given}; leave one of the two out."
            )
        setattr(args, name, value)
    args.images = table["images"] if args.images is None else args.images
    settings = table["settings"].split(",")
    args.settings = settings if args.settings is None else args.settings
    if args.images > table["images"] or (other := [s for s in args.settings if s not in settings]):
        got = f"{args.images} images" if args.images > table["images"] else f"the setting {other[0]}"
        raise SteeringError(
            f"Expected at most {table['images']} images and settings among {', '.join(settings)} for the table "
            f"{args.table}, got {got}; leave the table out for others."
        )


@dataclass(frozen=True)
class Chosen:
    """The pictures to draw. title: what they are, in words. rule: that judges them. about: what the results of one folder
    must have in common."""

    draws: list[Draw]
    title: str
    rule: str
    about: dict[str, object]


def chosen(args: argparse.Namespace) -> Chosen:
    """What the options ask for. Raises SteeringError for options that do not belong together and files that are none."""
    if args.prompts is not None:
        return _own_emojiworld(args)
    if args.suite == "emojiworld":
        return _emojiworld(args)
    from ..evaluation.bench import draws_of
    from ..evaluation.suites.base import chosen_by_seed

    suite = _suite(args)
    cases = suite.cases() if args.suite == "visor" else chosen_by_seed(suite.cases(), args.count, args.seed)
    draws = draws_of(_Part(suite.name, suite.rule, cases), args.seed)
    about = {"suite": suite.name, "rule": suite.rule, "seed": args.seed}
    return Chosen(draws, f"{suite.name}, {len(cases)} prompts", suite.rule, about)


@dataclass(frozen=True)
class _Part:
    """Some cases of a suite."""

    name: str
    rule: str
    chosen: list

    def cases(self) -> list:
        return self.chosen


def _suite(args: argparse.Namespace) -> Suite:
    from ..evaluation.suites import GenEval, OwnPrompts, T2ICompBench, Visor
    from ..evaluation.suites.geneval import POSITION

    if args.suite == "visor":
        suite = Visor(args.count, args.seed)
        return suite if args.pictures is None else Visor(args.count, args.seed, args.pictures)
    if args.data is None:
        raise SteeringError(
            f"Expected --data FILE for {args.suite}, got none; give {_NEEDS_DATA[args.suite]}."
        )
    more = {} if args.pictures is None else {"pictures": args.pictures}
    if args.suite == "geneval":
        return GenEval(args.data, args.kinds or POSITION, **more)
    if args.suite == "t2i-compbench":
        return T2ICompBench(args.data, **more)
    return OwnPrompts(args.data, args.rule or "geneval", **more)


def _emojiworld(args: argparse.Namespace) -> Chosen:
    from ..emojiworld.suite import EmojiWorld
    from ..evaluation.bench import draws_of
    from ..evaluation.suites.base import chosen_by_seed

    suite = EmojiWorld(args.images, args.relations, args.seed)
    cases = chosen_by_seed(suite.cases(), args.count, args.seed)
    what = f"{args.relations} relation{'s' if args.relations > 1 else ''} a prompt"
    about = {"prompts": what, "seed": args.seed}
    return Chosen(draws_of(_Part(suite.name, suite.rule, cases)), what, suite.rule, about)


def _own_emojiworld(args: argparse.Namespace) -> Chosen:
    from ..evaluation.bench import Draw

    own = _prompts(args.prompts)
    first = 10_000 + args.seed * 10_000
    draws = [Draw(own[i % len(own)], first + i) for i in range(args.images)]
    return Chosen(draws, "own prompts", "geneval", {"prompts": own, "seed": args.seed})


def _prompts(file: str) -> Sequence[str]:
    """The prompts of a file. Raises SteeringError where one has no relation that EmojiWorld's judge can judge."""
    prompts = read_prompts(file)
    if not prompts:
        raise SteeringError(f"Expected at least one prompt in {file}, got none; write one a line.")
    for prompt in prompts:
        triplets = parse_relations(prompt)
        if not triplets:
            raise SteeringError(
                f'Expected a spatial relation in each prompt, got "{prompt}"; say where things are.'
            )
        check_objects(prompt, triplets)
        for triplet in triplets:
            if triplet.relation.direction is None:
                raise SteeringError(
                    f'Expected relations that are directions, got "{triplet.relation}" in "{prompt}"; '
                    "use left, right, above or below."
                )
            if nouns(prompt, triplet) != (triplet.subject.lower(), triplet.object.lower()):
                raise SteeringError(
                    f'Expected EmojiWorld\'s objects without adjectives, got "{triplet.subject}" and '
                    f'"{triplet.object}"; leave the adjectives out.'
                )
    return prompts
