"""`evaluate`: how often EmojiWorld's pictures show the relations under several settings, and what each costs."""

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
    from PIL import Image

    from ..classifiers import RelationReader
    from ..evaluation.run import Draw, Setting
    from ..hosts.diffusers.protocol import Pipeline
    from ..objectives import Objective
from ..emojiworld import GUIDANCE, STEPS

SETTINGS = ("plain", "fast", "former", "fast-round-robin", "paper", "centroid", "universal")


def add(commands: Commands) -> None:
    """Declare the command."""
    evaluate = command(
        commands, "evaluate", "measure how often EmojiWorld's pictures show the relations, at what cost"
    )
    add = evaluate.add_argument
    add(
        "--table",
        metavar="NAME",
        help="a published table, one of those in emojiworld/protocol.json, such as unet: model, prompts, seeds and "
        "settings as they were fixed there",
    )
    add("--images", type=whole(1, 1_000_000), default=400, help="pictures per setting")
    prompts = evaluate.add_mutually_exclusive_group()
    prompts.add_argument(
        "--relations", type=int, choices=(1, 2, 3, 4), default=1, help="relations in each test prompt"
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
    add(
        "--universal",
        type=Path,
        metavar="FILE",
        help="classifier of the setting universal, such as one trained without this model (default: the shipped one)",
    )
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
    if args.table is not None:
        _follow_protocol(args)
    own = _own_prompts(args.prompts) if args.prompts is not None else None
    check_writable(args.out, FILES)
    from ..emojiworld import WEIGHTS
    from ..emojiworld.judge import EmojiWorldDetector
    from ..evaluation.run import run as draw_and_judge
    from ..evaluation.tables import comparison_table, results_table, summarise
    from ..hosts.diffusers import PipelineSampler

    model = model_folder(args.model)
    if not model.is_emojiworld:
        raise SteeringError(
            f"Expected one of EmojiWorld's models, which the judge can judge, got {model.name}; use unet or mmdit."
        )
    classifier = load_reader(args.classifier, model)
    pipe = load_pipeline(model, args.device)
    settings = _settings(args.settings, classifier, pipe, args.universal)
    draws = _draws(args, own)
    results = draw_and_judge(
        PipelineSampler(pipe, model.family),
        EmojiWorldDetector(WEIGHTS),
        draws,
        settings,
        args.out,
        batch=args.batch,
        steps=args.steps,
        guidance=args.guidance,
        sheet=SHEET_ROWS,
        about={"prompts": own or f"{args.relations} relations a prompt", "seed": args.seed},
    )
    summary = summarise(results)
    table = results_table(summary)
    if compared := comparison_table(results, "fast" if "fast" in summary else next(iter(summary))):
        table += "\n" + compared
    what = "own prompts" if own else f"{args.relations} relation{'s' if args.relations > 1 else ''} a prompt"
    title = f"{what[0].upper()}{what[1:]}: {min(SHEET_ROWS, len(draws))} of {len(draws)} pictures per setting"
    with staged(args.out, FILES) as folder:
        (folder / "table.md").write_text(table, encoding="utf-8")
        (folder / "results.json").write_text(
            json.dumps({"arguments": _arguments(args), "versions": versions(), "summary": summary}, indent=2)
            + "\n",
            encoding="utf-8",
        )
        _sheet(title, draws[:SHEET_ROWS], settings, results, args.out).save(folder / "sheet.png")
    print(table, end="")
    print(f"Written: {', '.join(str(args.out / name) for name in FILES)}")


def versions() -> dict[str, str]:
    """What the figures were made with."""
    found = {"learn-to-steer": __version__, "python": platform.python_version()}
    for package in ("torch", "diffusers", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _follow_protocol(args: argparse.Namespace) -> None:
    """Set what the protocol of a published table fixes. Raises SteeringError for a table that there is not."""
    from ..emojiworld.prompts import protocol

    tables = protocol()["tables"]
    if args.table not in tables:
        raise SteeringError(
            f"Expected a table among {', '.join(tables)}, got {args.table!r}; choose one of them."
        )
    fixed = tables[args.table]
    args.model, args.prompts = Path(fixed["model"]), None
    args.settings = fixed["settings"].split(",")
    for name in ("images", "relations", "seed", "steps"):
        setattr(args, name, fixed[name])


def _settings(
    names: Sequence[str], classifier: RelationReader, pipe: Pipeline, universal: Path | None
) -> list[Setting]:
    from ..classifiers import UNIVERSAL, check_classifier, load_classifier, shipped_classifier
    from ..emojiworld import family_of
    from ..evaluation.run import Setting
    from ..hosts.diffusers import attention_layers, denoiser
    from ..hosts.recommended import reading_recommended
    from ..objectives import CentroidObjective, LearnedObjective
    from ..steering import SteeringPlan

    family, layers = family_of(pipe), attention_layers(denoiser(pipe))
    fast = SteeringPlan.preset("fast")

    def reading(one: RelationReader) -> Objective:
        check_classifier(one, layers, family)
        return reading_recommended(LearnedObjective(one), family, layers)

    learned = reading(classifier)
    every = {
        "plain": Setting("plain", None, None),
        "fast": Setting("fast", learned, fast),
        # What "fast" was in the first release: a share of the norm, every step evaluated.
        "former": Setting(
            "former", learned, SteeringPlan.preset("fast", step_rule="relative", step_size=0.15)
        ),
        "fast-round-robin": Setting(
            "fast-round-robin", learned, SteeringPlan.preset("fast", combine="round_robin")
        ),
        "paper": Setting("paper", learned, SteeringPlan.preset("paper")),
        "centroid": Setting("centroid", CentroidObjective(layers=learned.layers), fast),
    }
    if "universal" in names:
        file = universal or shipped_classifier(UNIVERSAL)
        every["universal"] = Setting("universal", reading(load_classifier(file)), fast)
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


def _draws(args: argparse.Namespace, own: Sequence[str] | None) -> list[Draw]:
    from ..emojiworld.prompts import chains, one_relation
    from ..evaluation.run import Draw

    if own is not None:
        first = 10_000 + args.seed * 10_000
        return [Draw(own[i % len(own)], first + i) for i in range(args.images)]
    if args.relations > 1:
        return chains("test", args.images, args.seed, args.relations)
    return one_relation("test", args.images, args.seed)


def _sheet(
    title: str,
    draws: Sequence[Draw],
    settings: Sequence[Setting],
    results: Sequence[dict[str, Any]],
    out: Path,
) -> Image.Image:
    from PIL import Image

    from ..evaluation.run import file_name
    from ..pictures import comparison_sheet

    judged = {(r["setting"], r["prompt"], r["seed"]): [x["holds"] for x in r["relations"]] for r in results}
    pictures: list[list[Image.Image]] = []
    for draw in draws:
        pictures.append([])
        for setting in settings:
            with Image.open(out / "pictures" / file_name(setting.name) / f"{draw.seed}.png") as file:
                pictures[-1].append(file.convert("RGB"))
    return comparison_sheet(
        title,
        [setting.name.replace("-", " ") for setting in settings],
        [draw.prompt for draw in draws],
        pictures,
        [[judged[s.name, d.prompt, d.seed] for s in settings] for d in draws],
    )


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k != "run"}
