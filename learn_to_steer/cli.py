"""The command line: what can be asked for. What is done then stands in `commands`.

learn-to-steer parse "a dog to the left of a teddy bear"
learn-to-steer generate "a dog to the left of a teddy bear"
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from . import __version__
from .commands import score
from .emojiworld import FAMILIES, GUIDANCE, STEPS
from .errors import SteeringError

PLANS = ("fast", "paper")
SETTINGS = ("plain", "fast", "fast-round-robin", "paper", "centroid")
MODELS = tuple(FAMILIES)
DEVICES = ("cpu", "cuda")
EXTRAS = ("accelerate", "diffusers", "scipy", "transformers")


class _Parser(argparse.ArgumentParser):
    """Reports what is wrong as one sentence, as every other bad input."""

    def error(self, message: str) -> NoReturn:
        raise SteeringError(f"{message}; see {self.prog} --help.")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is False or action.default in (None, "", math.inf)
        return action.help if silent else super()._get_help_string(action)


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
        module, function = args.run
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # what libraries say to programmers
            getattr(importlib.import_module(f"{__package__}.commands.{module}"), function)(args)
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
        # What is left in the buffer goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Every command with its options. `run` of the parsed arguments: module in `commands`, and function."""
    parser = _Parser(prog="learn-to-steer", description="Pictures that put things where the prompt says.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_parse(commands)
    _add_generate(commands)
    _add_evaluate(commands)
    convert = _command(commands, "convert", "turn a classifier (.pth or .safetensors) into .safetensors")
    convert.add_argument("source", metavar="SRC", type=Path)
    convert.add_argument("target", metavar="DST", type=Path)
    convert.set_defaults(run=("text", "convert"))
    score.add(commands)
    _add_emojiworld(commands)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, says: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=says,
        description=says[0].upper() + says[1:] + ".",
        formatter_class=_Help,
    )


def _add_parse(commands: argparse._SubParsersAction) -> None:
    parse = _command(commands, "parse", "print the relations that prompts state, one JSON object a line")
    parse.add_argument("prompts", metavar="PROMPT", nargs="*")
    parse.add_argument(
        "--file",
        metavar="FILE",
        help='prompts, one a line, or JSON lines with the key "prompt"; - is the standard input',
    )
    parse.set_defaults(run=("text", "parse"))


def _add_generate(commands: argparse._SubParsersAction) -> None:
    generate = _command(commands, "generate", "draw a prompt plainly and steered, from the same noise")
    add = generate.add_argument
    add("prompt", metavar="PROMPT")
    add("--seed", type=_whole(0, 2**63 - 1), default=0, help="of the first noise")
    add("--steps", type=_whole(1, 1000), default=STEPS, help="sampling steps")
    add("--guidance", type=_number(0, 100), default=GUIDANCE, help="guidance scale; 1 and less is none")
    add("--negative", metavar="TEXT", default="", help="negative prompt")
    add("--plan", choices=PLANS, default="fast", help="when and how far to steer")
    add("--objective", choices=("learned", "centroid"), default="learned", help="what counts as right")
    add("--strength", type=_number(0, 100), default=1.0, help="multiplies every move; 0 is off")
    add(
        "--triplet",
        metavar='"A | RELATION | B"',
        action="append",
        help="steer this relation, in words of the prompt, instead of those found in it; may be repeated",
    )
    add(
        "--model",
        type=Path,
        metavar="MODEL",
        help="unet or mmdit, both EmojiWorld's, or a diffusers folder with a StableDiffusionPipeline or a FluxPipeline "
        "(default: unet)",
    )
    add(
        "--classifier",
        type=Path,
        metavar="FILE",
        help="relation classifier, .safetensors or .pth (default: EmojiWorld's)",
    )
    add("--device", choices=DEVICES, default="cpu")
    add("--out", type=Path, default=Path("output"), metavar="FOLDER", help="where the pictures go")
    generate.set_defaults(run=("generate", "generate"))


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = _command(commands, "evaluate", "measure how often EmojiWorld's pictures obey, at what cost")
    add = evaluate.add_argument
    add("--images", type=_whole(1, 1_000_000), default=400, help="pictures per setting")
    prompts = evaluate.add_mutually_exclusive_group()
    prompts.add_argument(
        "--relations", type=int, choices=(1, 2), default=1, help="relations in each test prompt"
    )
    prompts.add_argument(
        "--prompts", metavar="FILE", help="own prompts about EmojiWorld's objects, one a line, used in turn"
    )
    add("--seed", type=_whole(0, 2**31 - 1), default=0, help="of prompts and noise")
    add(
        "--settings",
        type=_among(SETTINGS),
        default="plain,fast,paper,centroid",
        metavar="A,B",
        help=f"of {', '.join(SETTINGS)}",
    )
    add(
        "--model", type=Path, metavar="MODEL", help="unet or mmdit, or a folder of EmojiWorld (default: unet)"
    )
    add("--classifier", type=Path, metavar="FILE", help="relation classifier (default: the model's own)")
    add("--steps", type=_whole(1, 1000), default=STEPS, help="sampling steps")
    add("--guidance", type=_number(0, 100), default=GUIDANCE, help="guidance scale")
    add("--batch", type=_whole(1, 1024), default=8, help="pictures drawn at once")
    add("--device", choices=DEVICES, default="cpu")
    add("--out", type=Path, required=True, metavar="DIR", help="results; an interrupted run goes on there")
    evaluate.set_defaults(run=("evaluate", "evaluate"))


def _add_emojiworld(commands: argparse._SubParsersAction) -> None:
    emojiworld = _command(commands, "emojiworld", "train and look at the embedded text-to-image model")
    topics = emojiworld.add_subparsers(required=True, metavar="TOPIC")

    train = _command(topics, "train", "train a part of EmojiWorld; an interrupted training goes on")
    parts = train.add_subparsers(required=True, metavar="PART")
    for part, steps, batch, rate in (
        ("autoencoder", 20_000, 16, 2e-3),
        ("judge", 4_000, 16, 2e-3),
        ("generator", 40_000, 32, 1e-3),
        ("mmdit", 40_000, 32, 1e-3),
    ):
        model = _command(parts, part, f"train EmojiWorld's {part}")
        _add_folders(model)
        add = model.add_argument
        add("--steps", type=_whole(1, 10**9), default=steps, help="length of the training")
        add("--minutes", type=_number(0.01, 1e9), default=math.inf, help="stop after this time")
        add("--batch", type=_whole(4, 4096), default=batch, help="samples a step")
        add("--learning-rate", type=_number(0, 1), default=rate)
        add("--device", choices=DEVICES, default="cpu")
        add("--seed", type=_whole(0, 2**31 - 1), default=0)
        if part in ("generator", "mmdit"):
            add("--compile", action="store_true", help="compile the model (torch.compile)")
            add("--bf16", action="store_true", help="compute in bfloat16, keep the weights in float32")
            add("--scenes", type=_whole(1, 10**7), default=24_000, help="scenes to render and encode")
            add("--true-share", type=_number(0, 1), default=0.33, help="captions with the true relation")
            add("--random-share", type=_number(0, 1), default=0.33, help="captions with a random relation")
            add(
                "--noise-bias",
                type=_number(0.1, 10),
                default=1.5,
                help="train at times 1 - u ** this, u uniform: the larger, the noisier",
            )
            add(
                "--grounding",
                type=_number(0, 1e3),
                default=0.1,
                help="weight of the loss on nouns' attention",
            )
            if part == "generator":
                add(
                    "--placing",
                    type=_number(0, 1e3),
                    default=0.0,
                    help="weight of the loss on what text states tell of places; above 0, relation words are understood",
                )
            add(
                "--warm-start", action="store_true", help="begin with the weights in --weights, not at random"
            )
        model.set_defaults(run=("emojiworld", "train"), part=part)
    classifiers = _command(parts, "classifiers", "record maps and train EmojiWorld's relation classifiers")
    _add_folders(classifiers)
    _add_model(classifiers)
    classifiers.set_defaults(run=("emojiworld", "train_classifiers"))

    ablate = _command(topics, "ablate", "compare classifiers by the layers they read")
    _add_folders(ablate)
    _add_model(ablate)
    ablate.add_argument("--images", type=_whole(1, 1_000_000), default=88, help="pictures per classifier")
    ablate.set_defaults(run=("emojiworld", "ablate"))

    sheet = _command(topics, "sheet", "rendered scenes beside what the model draws from their captions")
    sheet.add_argument("--weights", type=Path, metavar="DIR", help="EmojiWorld's models (default: shipped)")
    _add_model(sheet)
    sheet.add_argument("--seed", type=_whole(0, 2**31 - 1), default=0)
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png file")
    sheet.set_defaults(run=("emojiworld", "sheet"))


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="which of EmojiWorld's models")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, metavar="DIR", help="EmojiWorld's models (default: shipped)")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), metavar="DIR", help="state, logs and recorded maps"
    )


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return value

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a number from {low:g} to {high:g}, got {text!r}")
        return value

    return parse


def _among(names: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = list(dict.fromkeys(part.strip() for part in text.split(",")))
        if unknown := [name for name in chosen if name not in names]:
            raise argparse.ArgumentTypeError(f"expected names among {', '.join(names)}, got {unknown[0]!r}")
        return chosen

    return parse


if __name__ == "__main__":
    raise SystemExit(main())
