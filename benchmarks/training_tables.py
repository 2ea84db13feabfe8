"""What a recipe is worth: EmojiWorld's classifiers trained in several ways, by what they read and how they steer.

    python benchmarks/training_tables.py --model unet --work DIR [--samples 400] [--images 88] [--only words,ways]

Each row is one way to record or fit; all else is as in the first row. Columns: PSNR of the ways back (dB, of 16 samples
that judge), relations read under right and wrong words on unseen pairs, the share of errors that are the wrong word, and
the share of pictures about the validation pairs in which the relation holds, plain and steered by the plan "fast". Records
are kept in DIR; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from learn_to_steer.cli.sources import Asked, Model
from learn_to_steer.dataset import How, Work, plan_job, record_batch, record_shards
from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS
from learn_to_steer.emojiworld.classifiers import CHOSEN_LAYERS, MMDIT_LAYERS
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import one_relation
from learn_to_steer.evaluation.tables import markdown
from learn_to_steer.training import as_json, steering_check, train_from_shards
from learn_to_steer.training.prepare import shares

Row = tuple[str, str, dict[str, Any], dict[str, Any]]
"""Table, name, what is recorded otherwise, what is fitted otherwise."""


def rows(model: str) -> list[Row]:
    """The rows of all tables."""
    chosen = CHOSEN_LAYERS if model == "unet" else MMDIT_LAYERS
    ways = ["fixed-point", "noising"] + (["rf"] if model == "mmdit" else [])
    every: list[Row] = [("base", "dual, euler, scenes, chosen layers, symmetric", {}, {})]
    every += [("words", "right words only", {}, {"wrong_words": False})]
    every += [("ways", way, {"way": way}, {}) for way in ways]
    every += [
        ("sources", "own pictures", {"source": ("own",)}, {}),
        ("sources", "scenes and own", {"source": ("scenes", "own")}, {}),
    ]
    every += [("layers", "all layers", {"layers": None}, {}), ("layers", "mean map", {}, {"kind": "mean"})]
    every += [("architecture", "published", {"map_size": 16}, {"kind": "official"})]
    return [(table, name, {"layers": chosen, **recorded}, fitted) for table, name, recorded, fitted in every]


def recorded(args: argparse.Namespace, model: Model, asked: Asked, about: dict[str, Any]) -> Work:
    """The records of a row, made once."""
    about = {"way": "euler", "source": ("scenes",), "map_size": 8, **about}
    mark = "-".join(
        str(about[k] if isinstance(about[k], (str, int)) else "+".join(about[k] or ("all",)))
        for k in sorted(about)
    )
    sources = dataclasses.replace(asked, source=about["source"]).sources_of(model).sources
    loaded = (model.recorder, sources)
    how = How(about["way"])
    job = plan_job(*loaded, shares(args.samples), args.seed, how, about["layers"], about["map_size"])
    return record_shards(args.work / args.model / mark.replace(".", ""), job, loaded)


def psnr_of(model: Model, asked: Asked, about: dict[str, Any], seed: int) -> str:
    """Mean over the ways back of 16 samples that judge."""
    if about.get("way") == "noising":
        return "-"
    source = (
        dataclasses.replace(asked, source=about.get("source", ("scenes",))).sources_of(model).sources["test"]
    )
    done = record_batch(
        source, model.recorder, range(16), seed, How(about.get("way", "euler"), draws=1, check=True)
    )
    return f"{sum(done.psnr) / len(done.psnr):.1f}" if done.psnr else "-"


def main() -> None:
    """Print the tables, a row as soon as it is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=("unet", "mmdit"), default="unet")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--images", type=int, default=88)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="tables: words, ways, sources, layers, architecture")
    args = parser.parse_args()
    asked = Asked(args.model, "cpu", "auto", None, None, None, ("scenes",), (), None, None, None, args.seed)
    model, _ = asked.open()
    detector, draws = EmojiWorldDetector(WEIGHTS), one_relation("validation", args.images, args.seed)
    made = []
    percent: Callable[[float | None], str] = lambda value: "-" if value is None else f"{value:.1%}"  # noqa: E731
    for table, name, about, fit in rows(args.model):
        if args.only and table not in ("base", *args.only.split(",")):
            continue
        trained = train_from_shards(recorded(args, model, asked, about), **fit)
        read = as_json(trained.test)
        errors = read["errors"]
        steered = steering_check(
            model.sampler,
            trained.classifier,
            draws,
            steps=STEPS,
            guidance=GUIDANCE,
            detector=detector,
            batch=16,
        ).figures
        low, high = steered["steered"]["interval"]
        made.append(
            [
                f"{table}: {name}",
                psnr_of(model, asked, about, args.seed),
                percent(read["right"]),
                percent(read["wrong"]),
                "-"
                if errors is None
                else f"{errors['share']:.0%} ({errors['interval'][0]:.0%} - {errors['interval'][1]:.0%})",
                percent(steered["plain"]["relation"]),
                f"{steered['steered']['relation']:.1%} ({low:.1%} - {high:.1%})",
                percent(steered["steered"]["present"]),
            ]
        )
        print(f"{made[-1]}", flush=True)
    head = [
        "trained",
        "PSNR",
        "right words",
        "wrong words",
        "errors that follow the word",
        "plain",
        "steered",
        "present",
    ]
    text = markdown(head, made)
    (args.work / f"{args.model}.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
