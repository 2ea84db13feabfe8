"""`train`: a relation classifier for a model, from what was recorded, or from nothing in one go. It ends by steering."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SteeringError
from .arguments import Commands, command, whole
from .files import check_writable, staged
from .record import read_settings, write_settings
from .sources import Model, add_options, detector_of, open_model
from .sources import record as record_maps

if TYPE_CHECKING:
    from ..dataset import Work
    from ..evaluation.run import Draw
    from ..training import Trained

KINDS = ("symmetric", "mean", "official")
STEERED = 16
FIRST_SEED = 900_000
"""Of the pictures that are steered at the end."""


def add(commands: Commands) -> None:
    """Declare the command."""
    train = command(
        commands, "train", "train a relation classifier for a model; with --source, record its maps first"
    )
    add_options(train, required=False)
    add = train.add_argument
    add("--work", type=Path, metavar="DIR", help="the records (default: beside the file)")
    add("--out", type=Path, required=True, metavar="FILE", help="a .safetensors file")
    add("--kind", choices=KINDS, default="symmetric", help="ours, ours on mean maps, or the published one")
    add("--epochs", type=whole(1, 100_000), default=60, help="at most")
    add(
        "--steered",
        type=whole(0, 10_000),
        default=STEERED,
        help="pictures drawn plain and steered at the end",
    )
    train.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Record where that is asked for, fit, judge, steer, and write it all at once."""
    out: Path = args.out
    if out.suffix.lower() != ".safetensors":
        raise SteeringError(
            f"Expected a file name that ends in .safetensors, got {out.name}; change the suffix."
        )
    names = [out.name, f"{out.stem}.md", f"{out.stem}-leakage.png", f"{out.stem}-steered.png"]
    check_writable(out.parent, names)
    if args.source is None and args.work is None:
        raise SteeringError(
            "Expected records to train on, got neither --work nor --source; give a folder of records, or --model and "
            "--source."
        )
    model = None
    if args.source is not None:
        args.work = args.work or out.with_name(f"{out.stem}-recorded")
        work, model = record_maps(args, print, 16 if args.kind == "official" else 8)
        write_settings(args)
    else:
        from ..dataset import Work

        work = Work(args.work)
    trained = _fitted(work, args)
    model = model or _model_of(work, args)
    with staged(out.parent, names) as folder:
        _write(trained, model, work, args, folder)
    print(f"Written: {', '.join(str(out.parent / name) for name in names if (out.parent / name).exists())}")


def _fitted(work: Work, args: argparse.Namespace) -> Trained:
    from dataclasses import replace

    from tqdm import tqdm

    from ..training import FitOptions, fitted_in_words, train_from_shards
    from ..training.recipe import LEARNING_RATE
    from .models import device_of

    options = replace(FitOptions(learning_rate=LEARNING_RATE[args.kind]), epochs=args.epochs)
    with tqdm(total=args.epochs, desc="fit", disable=None, leave=False) as bar:

        def on_epoch(epoch: int, epochs: int, loss: float, held_out: float) -> None:
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", held_out=f"{held_out:.3f}")

        trained = train_from_shards(
            work, args.kind, seed=args.seed, device=device_of(args.device), options=options, on_epoch=on_epoch
        )
    print(fitted_in_words(trained))
    return trained


def _model_of(work: Work, args: argparse.Namespace) -> Model | None:
    """The model that the records are of, to steer with the classifier; None where it was not wanted or is not known."""
    if args.steered == 0:
        return None
    kept = read_settings(work.folder)
    args.model = args.model or kept.get("model")
    for name in ("steps", "height", "width"):
        setattr(args, name, getattr(args, name) or kept.get(name))
    if args.model is None:
        print("Not steered: which model the records are of is not known; name it with --model.")
        return None
    from .models import model_folder

    model = open_model(model_folder(Path(str(args.model))), args)
    if model.recorder.digest() != work.job().model:
        raise SteeringError(
            f"Expected the model that was recorded in {work.folder}, got {model.folder.name} with other weights; name the "
            "right one with --model."
        )
    return model


def _write(trained: Trained, model: Model | None, work: Work, args: argparse.Namespace, folder: Path) -> None:
    from ..classifiers import save_classifier, write_card
    from ..pictures import groups_of, leakage_plot
    from ..training import add_to_card, as_json, in_words, steering_check

    name = args.out.stem
    if model is not None and args.steered:
        detector = detector_of(model.folder, args)
        steered = steering_check(
            model.sampler,
            trained.classifier,
            held_out_draws(work, args.steered),
            steps=model.recorder.steps,
            guidance=model.guidance,
            detector=detector,
            recorder=None if detector is not None else model.recorder,
        )
        add_to_card(trained.classifier, {"steering": steered.figures})
        steered.sheet.save(folder / f"{name}-steered.png")
        print(in_words(steered.figures))
    plot = leakage_plot(f"{name}: does it follow wrong words?", groups_of(as_json(trained.test)))
    plot.save(folder / f"{name}-leakage.png")
    save_classifier(trained.classifier, folder / args.out.name)
    write_card(trained.classifier, folder / args.out.name)


def held_out_draws(work: Work, count: int) -> Sequence[Draw]:
    """Prompts about pairs of names that the classifier has not seen, each with a seed."""
    from ..evaluation.run import Draw

    prompts: dict[str, None] = {}
    for note in work.notes("test"):
        prompts.setdefault(note["prompts"][0])
        if len(prompts) >= count:
            break
    listed = list(prompts)
    return [Draw(listed[i % len(listed)], FIRST_SEED + i) for i in range(count if listed else 0)]
