"""The command line.

learn-to-steer parse "a dog to the left of a teddy bear"
learn-to-steer generate "a dog to the left of a teddy bear"
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import SteeringError
from . import check, convert, emojiworld, evaluate, generate, inspect, parse, record, score, train
from .arguments import Parser

COMMANDS = (parse, generate, check, evaluate, score, record, train, inspect, convert, emojiworld)
"""One module a command: `add` declares its options, what it does stands below them. Heavy imports stand inside functions,
so that help and parsing are instant."""

EXTRAS = ("accelerate", "diffusers", "scipy", "transformers")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. argv: default `sys.argv[1:]`.

    Returns the exit code: 0, 2 for bad input (one sentence on stderr, nothing written), 130 after Ctrl-C, 141
    where the reader of the output went away.
    """
    # Read when transformers is imported: its remarks on parts that are not used here would drown our own.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal that lacks a letter is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        args = build_parser().parse_args(argv)
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # what libraries say to programmers
            args.run(args)
        sys.stdout.flush()
    except SteeringError as error:
        print(f"learn-to-steer: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in EXTRAS:
            raise
        print(
            f"learn-to-steer: Expected {error.name} for this command, but it is not installed; "
            'run: pip install "learn-to-steer[demo]".',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("learn-to-steer: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _write_no_more()
        return 141
    except OSError as error:
        if error.errno not in FULL:
            raise
        _write_no_more()
        print(
            f"learn-to-steer: Expected room for what is written, but there is none left ({error.strerror}); make room and "
            "call the command again.",
            file=sys.stderr,
        )
        return 2
    return 0


FULL = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))
"""A full disk, a used-up quota, a file of the largest size."""


def _write_no_more() -> None:
    """What is left in the buffer goes nowhere, or the interpreter would complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Every command with its options; `run` of the parsed arguments is the function that does it."""
    parser = Parser(prog="learn-to-steer", description="Pictures that put things where the prompt says.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
