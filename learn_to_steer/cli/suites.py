"""Which prompts an evaluation draws: a published suite, EmojiWorld's, or a file of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
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

    if args.rule is not None and args.suite != "own":
        raise SteeringError(
            f"Expected the suite's own rule for {args.suite}, got --rule {args.rule}; leave --rule out or use --suite own."
        )
    if args.kinds is not None and args.suite != "geneval":
        raise SteeringError(
            f"Expected no --kinds for {args.suite}, which has one kind of prompts; leave it out."
        )
    if args.suite == "visor":
        if args.data is not None:
            raise SteeringError(
                "Expected no --data for visor, whose prompts are made from its nouns; leave it out."
            )
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
