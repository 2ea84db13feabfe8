"""What a recipe is worth: EmojiWorld's classifiers trained in several ways, by what they read and how they steer.

    python benchmarks/training_tables.py --model unet --work DIR [--samples 400] [--images 88] [--steps 20]
        [--only words,ways]

Each row is one way to record or fit; all else is as in the first row. Columns: PSNR of the ways back (dB, of 16 samples
that judge, or as many as there are), relations read under right and wrong words on the samples that judge, of unseen pairs
and recorded in the row's own way, the share of errors that are the wrong word, and the share of pictures about the
validation pairs in which the relation holds, plain and steered by the plan "fast", and in which all objects are there.
steps: of the inversions; pictures are drawn in the model's own number. Records are kept in DIR; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from learn_to_steer.cli.sources import Asked, Model
from learn_to_steer.dataset import How, Work, plan_job, record_batch, record_shards
from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS
from learn_to_steer.emojiworld.classifiers import CHOSEN_LAYERS, MMDIT_LAYERS
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import one_relation
from learn_to_steer.evaluation.tables import markdown
from learn_to_steer.hosts.protocol import Drawn, Sampler
from learn_to_steer.inversion import Way
from learn_to_steer.objectives import Objective
from learn_to_steer.training import as_json, steering_check, train_from_shards
from learn_to_steer.training.prepare import shares

Row = tuple[str, str, dict[str, Any], dict[str, Any]]
"""Table, name, what is recorded otherwise, what is fitted otherwise."""


def rows(model: str) -> list[Row]:
    """The rows of all tables, the quick ones first."""
    chosen = CHOSEN_LAYERS if model == "unet" else MMDIT_LAYERS
    every: list[Row] = [
        ("base", "dual, euler, scenes, chosen layers, symmetric", {}, {}),
        ("words", "right words only", {}, {"wrong_words": False}),
        ("layers", "mean map", {}, {"kind": "mean"}),
        ("ways", "noising", {"way": "noising"}, {}),
        ("layers", "all layers", {"layers": None}, {}),
        ("architecture", "published", {"map_size": 16}, {"kind": "official"}),
        ("sources", "own pictures", {"source": ("own",)}, {}),
        ("sources", "scenes and own", {"source": ("scenes", "own")}, {}),
    ]
    every += [("ways", "rf", {"way": "rf"}, {})] if model == "mmdit" else []
    every += [("ways", "fixed-point", {"way": "fixed-point"}, {})]
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
    return record_shards(
        args.work / f"{args.model}-{args.samples}-{model.recorder.steps}" / mark.replace(".", ""), job, loaded
    )


class PlainOnce:
    """A sampler whose plain pictures are drawn once: every row is compared with the same ones."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler, self.digest = sampler, sampler.digest
        self.plain: dict[tuple[tuple[str, ...], tuple[int, ...]], Drawn] = {}

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        objective: Objective | None = None,
        **given: Any,
    ) -> Drawn:
        """As the sampler's own."""
        if objective is not None:
            return self.sampler.sample(prompts, seeds, objective=objective, **given)
        key = tuple(prompts), tuple(seeds)
        if key not in self.plain:
            self.plain[key] = self.sampler.sample(prompts, seeds, **given)
        return self.plain[key]


def psnr_of(args: argparse.Namespace, model: Model, asked: Asked, way: Way, source: tuple[str, ...]) -> str:
    """Mean over the ways back of 16 samples that judge, or of as many as there are; a noised picture has none."""
    if way == "noising":
        return "-"
    judging = dataclasses.replace(asked, source=source).sources_of(model).sources["test"]
    numbers = range(min(16, shares(args.samples)["test"]))
    done = record_batch(judging, model.recorder, numbers, args.seed, How(way, draws=1, check=True))
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
    parser.add_argument("--steps", type=int, help="of the inversions (default: the model's own)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="tables: words, ways, sources, layers, architecture")
    args = parser.parse_args()
    asked = Asked(
        args.model, "cpu", "auto", args.steps, None, None, ("scenes",), (), None, None, None, args.seed
    )
    model, _ = asked.open()
    detector, draws = EmojiWorldDetector(WEIGHTS), one_relation("validation", args.images, args.seed)
    sampler, psnr = PlainOnce(model.sampler), functools.cache(functools.partial(psnr_of, args, model, asked))
    made = []
    percent: Callable[[float | None], str] = lambda value: "-" if value is None else f"{value:.1%}"  # noqa: E731
    for table, name, about, fit in rows(args.model):
        if args.only and table not in ("base", *args.only.split(",")):
            continue
        trained = train_from_shards(recorded(args, model, asked, about), **fit)
        read = as_json(trained.test)
        errors = read["errors"]
        steered = steering_check(
            sampler,
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
                psnr(about.get("way", "euler"), about.get("source", ("scenes",))),
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
    text = (
        f"{args.samples} samples, {model.recorder.steps} steps of inversion, {len(draws)} pictures.\n\n"
        + markdown(head, made)
    )
    (args.work / f"{args.model}.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
