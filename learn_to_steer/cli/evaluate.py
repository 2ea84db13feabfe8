"""`evaluate`: how often pictures show what their prompts ask, plain and steered from the same seeds, and what it costs.

The model is EmojiWorld, a diffusers folder, or a graph on a running ComfyUI.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..emojiworld import GUIDANCE, STEPS
from ..errors import SteeringError
from .arguments import DEVICES, DTYPES, OFFLOADS, Commands, among, command, number, whole
from .benches import (
    EMOJIWORLD,
    GRAPH_SETTINGS,
    SETTINGS,
    BenchPlan,
    default_settings,
    emojiworld_model,
    make_bench,
)
from .files import check_writable, staged
from .suites import SUITES, Chosen, check_options, chosen, follow_protocol

if TYPE_CHECKING:
    from PIL import Image

    from ..evaluation.bench import Draw
    from ..evaluation.workers import Workers

KINDS = ("position", "single_object", "two_object", "counting", "colors", "color_attr")
RULES = ("geneval", "t2i-compbench", "visor", "pse")
EVERY_SETTING = tuple(dict.fromkeys(SETTINGS + GRAPH_SETTINGS))
SAYS = "measure how often pictures show what their prompts ask, plain and steered, and at what cost"


def add(commands: Commands) -> None:
    """Declare the command."""
    evaluate = command(commands, "evaluate", SAYS)
    add = evaluate.add_argument
    add(
        "--suite",
        choices=SUITES,
        help="which prompts are drawn, and whose rule judges (default: EmojiWorld's)",
    )
    add(
        "--data",
        type=Path,
        metavar="FILE",
        help="your copy of the suite's prompts (geneval, t2i-compbench, own)",
    )
    add(
        "--kinds",
        type=among(KINDS),
        metavar="A,B",
        help=f"GenEval's, of {', '.join(KINDS)} (default: position)",
    )
    add("--count", type=whole(1, 1_000_000), help="of prompts, chosen once by --seed (default: all)")
    add("--pictures", type=whole(1, 1000), help="a prompt (default: the suite's own number)")
    add("--rule", choices=RULES, help="whose rule judges --suite own (default: geneval)")
    add(
        "--table",
        metavar="NAME",
        help="a published table of EmojiWorld, one of those in emojiworld/protocol.json, such as unet: model, prompts, "
        "seeds and settings as they were fixed there; --images and --settings take a part of it",
    )
    add("--images", type=whole(1, 1_000_000), help="EmojiWorld's pictures per setting (default: 400)")
    prompts = evaluate.add_mutually_exclusive_group()
    prompts.add_argument(
        "--relations", type=int, choices=(1, 2, 3, 4), help="in each of EmojiWorld's prompts (default: 1)"
    )
    prompts.add_argument(
        "--prompts", metavar="FILE", help="own prompts about EmojiWorld's objects, one a line, used in turn"
    )
    add("--seed", type=whole(0, 2**31 - 1), help="of prompts and noise (default: 0)")
    add(
        "--settings",
        type=among(EVERY_SETTING),
        metavar="A,B",
        help=f"of {', '.join(SETTINGS)}; with a graph of {', '.join(GRAPH_SETTINGS)} (default: plain and steered)",
    )
    add(
        "--model", type=Path, metavar="MODEL",
        help="emojiworld (or unet), mmdit, unet-crowd, mmdit-crowd, or a diffusers folder (default: emojiworld)",
    )  # fmt: skip
    add("--classifier", type=Path, metavar="FILE", help="relation classifier (default: EmojiWorld's own)")
    add(
        "--judge",
        action="append",
        metavar="JUDGE",
        help="emojiworld, or a folder or model id of Mask2Former, OWLv2, Grounding DINO, RT-DETR or a vision-language "
        "model, with the kind in front where it shall be another one (owlv2=FOLDER); twice for two and their agreement "
        "(default: EmojiWorld's, for its pictures)",
    )
    add(
        "--universal",
        type=Path,
        metavar="FILE",
        help="classifier of the setting universal, such as one trained without this model (default: the shipped one)",
    )
    add("--colours", metavar="CLIP", help="folder or id of a CLIP model that reads colours, for GenEval's")
    add(
        "--server", metavar="URL", help="a running ComfyUI that draws (default: this machine's, with --graph)"
    )
    add("--graph", type=Path, metavar="FILE", help="what it draws with, in API format")
    add(
        "--steps",
        type=whole(1, 1000),
        help=f"sampling steps (default: EmojiWorld {STEPS}, else the model's own)",
    )
    add(
        "--guidance", type=number(0, 100),
        help=f"guidance scale (default: EmojiWorld {GUIDANCE:g}, else the model's own)",
    )  # fmt: skip
    add("--height", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--width", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--batch", type=whole(1, 1024), help="pictures drawn at once (default: EmojiWorld 8, else 1)")
    add("--device", choices=DEVICES, help="where to compute (default: EmojiWorld cpu, else auto)")
    add("--dtype", choices=DTYPES, default="auto", help="numbers to compute in")
    add(
        "--offload",
        choices=OFFLOADS,
        default="none",
        help="keep networks or layers off the GPU while not used",
    )
    add("--ray", metavar="ADDRESS", help='spread over workers of Ray: "local", or the address of a cluster')
    add("--workers", type=whole(1, 1024), help="of Ray (default: as many as GPUs, else as CPUs)")
    add("--out", type=Path, required=True, metavar="DIR", help="results; an interrupted run goes on there")
    evaluate.set_defaults(run=run)


FILES = ("table.md", "results.json", "sheet.png", "front.png")
LOGS = ("results.jsonl", "setup.json")

SHEET_ROWS = 12


def run(args: argparse.Namespace) -> None:
    """Draw, judge, write the table, and print it. An interrupted run goes on where it was."""
    if args.table is not None:
        follow_protocol(args)
    if args.server is not None and args.graph is None:
        raise SteeringError("Expected --graph FILE with --server, got none; give a graph in API format.")
    if args.judge is not None and len(args.judge) > 2:
        raise SteeringError(f"Expected one judge or two, got {len(args.judge)}; leave the others out.")
    emojiworld = args.graph is None and emojiworld_model(args.model).is_emojiworld
    _usual(args, emojiworld)
    pictures = chosen(args)
    plan = _plan(args, pictures.rule, emojiworld)
    check_writable(args.out, FILES + LOGS)
    workers, close = _workers(args, plan)
    try:
        workers.check(pictures.draws)
        from ..evaluation.run import evaluate

        about = pictures.about | {
            "size": [plan.height, plan.width],
            "dtype": plan.dtype,
            "colours": plan.colours,
        }
        results = evaluate(workers, pictures.draws, plan.settings, args.out, args.batch, SHEET_ROWS, about)
    finally:
        close()
    _write(args, plan, pictures, results)


def _usual(args: argparse.Namespace, emojiworld: bool) -> None:
    """Fill in what nobody said."""
    usual = {"batch": 8, "device": "cpu", "steps": STEPS, "guidance": GUIDANCE} if emojiworld else {}
    for name, value in {**{"batch": 1, "device": "auto"}, **usual}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.suite is None and not emojiworld and args.prompts is None:
        raise SteeringError(
            f"Expected --suite with a model other than EmojiWorld, got none; choose one of {', '.join(SUITES)}."
        )
    check_options(args)
    for name, value in {"suite": "emojiworld", "images": 400, "relations": 1, "seed": 0}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def _plan(args: argparse.Namespace, rule: str, emojiworld: bool) -> BenchPlan:
    if args.judge is None and not emojiworld:
        raise SteeringError(
            "Expected a judge for the pictures of this model, got none; give one with --judge, such as the folder of an "
            "OWLv2 model."
        )
    known = GRAPH_SETTINGS if args.graph is not None else SETTINGS
    if args.settings is None:
        settings = (
            ("plain", "steered") if args.graph is not None else default_settings(args.model, args.classifier)
        )
    else:
        settings = tuple(args.settings)
    if unknown := [name for name in settings if name not in known]:
        raise SteeringError(
            f"Expected settings among {', '.join(known)} here, got {unknown[0]}; choose those."
        )
    given = {
        name: getattr(args, name)
        for name in ("steps", "guidance", "height", "width", "classifier", "universal")
    }
    if args.graph is not None and (said := [name for name, value in given.items() if value is not None]):
        raise SteeringError(
            f"Expected the graph to say how to draw, got --{said[0]}; leave it out and set it in the graph."
        )
    return BenchPlan(
        settings=settings, judges=tuple(args.judge or [EMOJIWORLD]), rule=rule, model=args.model, colours=args.colours,
        device=args.device, dtype=args.dtype, offload=args.offload, server=args.server, graph=args.graph, **given,
    )  # fmt: skip


def _workers(args: argparse.Namespace, plan: BenchPlan) -> tuple[Workers, Callable[[], None]]:
    """Who draws, and what lets them go."""
    from ..evaluation.workers import InProcess, RayWorkers

    if args.ray is None:
        return InProcess(make_bench(plan)), lambda: None
    workers = RayWorkers(make_bench, [plan], args.ray, args.workers, args.device != "cpu")
    return workers, workers.close


def _write(
    args: argparse.Namespace, plan: BenchPlan, pictures: Chosen, results: Sequence[dict[str, Any]]
) -> None:
    from ..evaluation.tables import summarise
    from ..pictures import front_plot

    summary = summarise(results)
    tables = _tables(plan, pictures, results, summary)
    what = pictures.title
    shown = min(SHEET_ROWS, len(pictures.draws))
    title = f"{what[0].upper()}{what[1:]}: {shown} of {len(pictures.draws)} pictures per setting"
    with staged(args.out, FILES) as folder:
        (folder / "table.md").write_text(tables, encoding="utf-8")
        content = {"arguments": _arguments(args), "plan": _plain(asdict(plan)), "versions": versions()}
        (folder / "results.json").write_text(
            json.dumps(content | {"summary": summary}, indent=2) + "\n", encoding="utf-8"
        )
        _sheet(title, pictures.draws[:SHEET_ROWS], plan.settings, results, args.out).save(
            folder / "sheet.png"
        )
        heading = f"{what[0].upper()}{what[1:]}: {len(pictures.draws)} pictures per setting"
        front_plot(heading, summary).save(folder / "front.png")
    print(tables, end="")
    print(f"Written: {', '.join(str(args.out / name) for name in FILES)}")


def _tables(
    plan: BenchPlan, pictures: Chosen, results: Sequence[dict[str, Any]], summary: dict[str, dict[str, Any]]
) -> str:
    """Settings, their paired differences; for published suites the figures of its rule, for two judges their agreement."""
    from ..evaluation.tables import agreement_table, comparison_table, figures_table, judged_by, results_table

    tables = [results_table(summary)]
    base = next(name for name in ("fast", "plain", next(iter(summary))) if name in summary)
    tables.append(comparison_table(results, base))
    if "suite" in pictures.about:
        tables.append(figures_table(judged_by(pictures.draws, results), pictures.rule, plan.judges[0]))
    for second in plan.judges[1:]:
        tables.append(agreement_table(results, plan.judges[0], second))
        tables.append(figures_table(judged_by(pictures.draws, results, second), pictures.rule, second))
    return "\n".join(table for table in tables if table)


def versions() -> dict[str, str]:
    """What the figures were made with."""
    found = {"learn-to-steer": __version__, "python": platform.python_version()}
    for package in ("torch", "diffusers", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _sheet(
    title: str,
    draws: Sequence[Draw],
    settings: Sequence[str],
    results: Sequence[dict[str, Any]],
    out: Path,
) -> Image.Image:
    from PIL import Image

    from ..evaluation.run import picture_file
    from ..pictures import comparison_sheet

    judged = {
        (r["setting"], r["prompt"], r["seed"]): [x["holds"] for x in r["relations"]] or [r["right"]]
        for r in results
    }
    pictures: list[list[Image.Image]] = []
    for draw in draws:
        pictures.append([])
        for setting in settings:
            with Image.open(picture_file(out, setting, draw.seed)) as file:
                pictures[-1].append(file.convert("RGB"))
    return comparison_sheet(
        title,
        [setting.replace("-", " ") for setting in settings],
        [draw.prompt for draw in draws],
        pictures,
        [[judged[s, d.prompt, d.seed] for s in settings] for d in draws],
    )


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    return _plain({k: v for k, v in vars(args).items() if k != "run"})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}
