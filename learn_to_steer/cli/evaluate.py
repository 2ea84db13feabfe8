"""`evaluate`: how often EmojiWorld's pictures obey under several settings, and what each costs."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import SteeringError
from ..language import parse_relations
from .arguments import DEVICES, Commands, among, command, number, whole
from .files import check_writable, read_prompts, staged
from .models import check_objects, load_pipeline, load_reader, model_folder, nouns

if TYPE_CHECKING:
    from ..classifiers import RelationReader
    from ..emojiworld.obedience import Case, Setting
from ..emojiworld import GUIDANCE, STEPS

SETTINGS = ("plain", "fast", "fast-round-robin", "paper", "centroid")


def add(commands: Commands) -> None:
    """Declare the command."""
    evaluate = command(commands, "evaluate", "measure how often EmojiWorld's pictures obey, at what cost")
    add = evaluate.add_argument
    add("--images", type=whole(1, 1_000_000), default=400, help="pictures per setting")
    prompts = evaluate.add_mutually_exclusive_group()
    prompts.add_argument(
        "--relations", type=int, choices=(1, 2), default=1, help="relations in each test prompt"
    )
    prompts.add_argument(
        "--prompts", metavar="FILE", help="own prompts about EmojiWorld's objects, one a line, used in turn"
    )
    add("--seed", type=whole(0, 2**31 - 1), default=0, help="of prompts and noise")
    add(
        "--settings",
        type=among(SETTINGS),
        default="plain,fast,paper,centroid",
        metavar="A,B",
        help=f"of {', '.join(SETTINGS)}",
    )
    add(
        "--model", type=Path, metavar="MODEL", help="unet or mmdit, or a folder of EmojiWorld (default: unet)"
    )
    add("--classifier", type=Path, metavar="FILE", help="relation classifier (default: the model's own)")
    add("--steps", type=whole(1, 1000), default=STEPS, help="sampling steps")
    add("--guidance", type=number(0, 100), default=GUIDANCE, help="guidance scale")
    add("--batch", type=whole(1, 1024), default=8, help="pictures drawn at once")
    add("--device", choices=DEVICES, default="cpu")
    add("--out", type=Path, required=True, metavar="DIR", help="results; an interrupted run goes on there")
    evaluate.set_defaults(run=run)


FILES = ("table.md", "results.json", "sheet.png")

SHEET_ROWS = 12


def run(args: argparse.Namespace) -> None:
    """Draw, judge, write the table, and print it. An interrupted run goes on where it was."""
    own = _own_prompts(args.prompts) if args.prompts is not None else None
    check_writable(args.out, FILES)
    from ..emojiworld import obedience

    model = model_folder(args.model)
    if not model.is_emojiworld:
        raise SteeringError(
            f"Expected one of EmojiWorld's models, which the judge can judge, got {model.name}; use unet or mmdit."
        )
    classifier = load_reader(args.classifier, model)
    pipe = load_pipeline(model, args.device)
    settings = _settings(args.settings, classifier, pipe)
    cases = _cases(args, own)
    results = obedience.run(
        pipe,
        cases,
        settings,
        args.out,
        batch=args.batch,
        steps=args.steps,
        guidance=args.guidance,
        sheet=SHEET_ROWS,
        about={"prompts": own or f"{args.relations} relations a prompt", "seed": args.seed},
    )
    summary = obedience.summarise(results)
    table = table_of(summary)
    what = "own prompts" if own else f"{args.relations} relation{'s' if args.relations > 1 else ''} a prompt"
    title = f"{what[0].upper()}{what[1:]}: {min(SHEET_ROWS, len(cases))} of {len(cases)} pictures per setting"
    with staged(args.out, FILES) as folder:
        (folder / "table.md").write_text(table, encoding="utf-8")
        (folder / "results.json").write_text(
            json.dumps({"arguments": _arguments(args), "versions": versions(), "summary": summary}, indent=2)
            + "\n",
            encoding="utf-8",
        )
        _sheet(title, cases[:SHEET_ROWS], settings, results, args.out).save(folder / "sheet.png")
    print(table, end="")
    print(f"Written: {', '.join(str(args.out / name) for name in FILES)}")


def table_of(summary: dict[str, dict[str, Any]]) -> str:
    """A Markdown table, one row per setting of `obedience.summarise`. Ends with a newline."""
    base = "plain" if "plain" in summary else next(iter(summary))
    head = ["setting", "images", "relation accuracy (95%)", "given both present", "all objects present"]
    head += ["duplicates/image", "evaluations/image", f"cost ({base} = 1)"]
    rows = [
        [
            name,
            str(row["images"]),
            f"{row['relation']:.1%} ({row['relation_95'][0]:.1%} - {row['relation_95'][1]:.1%})",
            f"{row['given_present']:.1%}",
            f"{row['present']:.1%}",
            f"{row['duplicates']:.2f}",
            f"{row['evaluations']:.1f}",
            f"{row['cost']:.2f}",
        ]
        for name, row in summary.items()
    ]
    return markdown(head, rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first is text, the others are figures."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cells[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |\n"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (w + 1) + ':' for w in widths[1:])}|\n"
    return line(head) + rule + "".join(line(row) for row in rows)


def versions() -> dict[str, str]:
    """What the figures were made with."""
    found = {"learn-to-steer": __version__, "python": platform.python_version()}
    for package in ("torch", "diffusers", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _settings(names: Sequence[str], classifier: RelationReader, pipe: Any) -> list[Setting]:
    from ..classifiers import check_classifier
    from ..emojiworld import family_of
    from ..emojiworld.obedience import Setting
    from ..hosts.diffusers import attention_layers, denoiser
    from ..objectives import CentroidObjective, LearnedObjective
    from ..steering import SteeringPlan

    check_classifier(classifier, attention_layers(denoiser(pipe)), family_of(pipe))
    learned, fast = LearnedObjective(classifier), SteeringPlan.preset("fast")
    every = {
        "plain": Setting("plain", None, None),
        "fast": Setting("fast", learned, fast),
        "fast-round-robin": Setting(
            "fast-round-robin", learned, SteeringPlan.preset("fast", combine="round_robin")
        ),
        "paper": Setting("paper", learned, SteeringPlan.preset("paper")),
        "centroid": Setting("centroid", CentroidObjective(layers=classifier.layers), fast),
    }
    return [every[name] for name in names]


def _own_prompts(file: str) -> list[str]:
    """The prompts of a file. Raises SteeringError where one has no relation that the judge can judge."""
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


def _cases(args: argparse.Namespace, own: Sequence[str] | None) -> list[Case]:
    from ..emojiworld.obedience import Case, chain_cases, position_cases

    if own is not None:
        first = 10_000 + args.seed * 10_000
        return [Case(own[i % len(own)], first + i) for i in range(args.images)]
    if args.relations == 2:
        return chain_cases(args.images, args.seed)
    return position_cases("test", args.images, args.seed)


def _sheet(
    title: str,
    cases: Sequence[Case],
    settings: Sequence[Setting],
    results: Sequence[dict[str, Any]],
    out: Path,
) -> Any:
    from PIL import Image

    from ..pictures import comparison_sheet

    judged = {(r["setting"], r["prompt"], r["seed"]): [x["holds"] for x in r["relations"]] for r in results}
    pictures: list[list[Image.Image]] = []
    for case in cases:
        pictures.append([])
        for setting in settings:
            with Image.open(out / "pictures" / setting.name / f"{case.seed}.png") as file:
                pictures[-1].append(file.convert("RGB"))
    return comparison_sheet(
        title,
        [setting.name.replace("-", " ") for setting in settings],
        [case.prompt for case in cases],
        pictures,
        [[judged[s.name, c.prompt, c.seed] for s in settings] for c in cases],
    )


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k != "run"}
