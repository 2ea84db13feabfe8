"""Options: how they are declared, and what values they take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import SteeringError

Commands = argparse._SubParsersAction
"""What commands are added to."""

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Where to compute; "auto" is the best that is there."""

DTYPES = ("auto", "fp32", "fp16", "bf16")
"""In which numbers; "auto" goes by device and model."""

METHODS = ("gradient", "attention", "both")
"""As `guidance.METHODS`, which takes torch to import."""

OFFLOADS = ("none", "model", "sequential")
"""What is kept away from the GPU while it is not used: nothing, whole networks, single layers."""


class Parser(argparse.ArgumentParser):
    """Reports what is wrong as one sentence, as every other bad input."""

    def error(self, message: str) -> NoReturn:
        raise SteeringError(f"{message}; see {self.prog} --help.")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is False or action.default in (None, "", math.inf)
        return action.help if silent else super()._get_help_string(action)


def command(commands: Commands, name: str, says: str) -> argparse.ArgumentParser:
    """A new command that `says` in one line what it does."""
    return commands.add_parser(
        name,
        help=says,
        description=says[0].upper() + says[1:] + ".",
        formatter_class=_Help,
    )


def whole(low: int, high: int) -> Callable[[str], int]:
    """Whole numbers of a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Numbers of a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text!r}")
        return value

    return parse


def among(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Some of these names, separated by commas."""

    def parse(text: str) -> list[str]:
        chosen = list(dict.fromkeys(part.strip() for part in text.split(",")))
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"expected names among {', '.join(names)}, got {unknown[0]!r}")
        return chosen

    return parse
