"""`emojiworld`: train the embedded model and its classifiers, compare classifiers, show its pictures."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..emojiworld import FAMILIES, WEIGHTS, shared_folder
from ..errors import SteeringError
from .arguments import DEVICES, Commands, command, number, whole
from .files import staged, unwritable
from .models import JUDGE, ModelFolder, load_pipeline

if TYPE_CHECKING:
    from PIL import Image

MODELS = tuple(FAMILIES)


def add(commands: Commands) -> None:
    """Declare the command with its topics."""
    topic = command(commands, "emojiworld", "train and show the embedded text-to-image model")
    topics = topic.add_subparsers(required=True, metavar="TOPIC")

    training = command(topics, "train", "train a part of EmojiWorld; an interrupted training goes on")
    parts = training.add_subparsers(required=True, metavar="PART")
    for part, steps, batch, rate in (
        ("autoencoder", 20_000, 16, 2e-3),
        ("judge", 4_000, 16, 2e-3),
        ("generator", 40_000, 32, 1e-3),
        ("mmdit", 40_000, 32, 1e-3),
    ):
        model = command(parts, part, f"train EmojiWorld's {part}")
        _add_folders(model)
        add = model.add_argument
        add("--steps", type=whole(1, 10**9), default=steps, help="length of the training")
        add("--minutes", type=number(0.01, 1e9), default=math.inf, help="stop after this time")
        add("--batch", type=whole(4, 4096), default=batch, help="samples a step")
        add("--learning-rate", type=number(0, 1), default=rate)
        add("--device", choices=DEVICES, default="cpu")
        add("--seed", type=whole(0, 2**31 - 1), default=0)
        if part in ("generator", "mmdit"):
            add("--compile", action="store_true", help="compile the model (torch.compile)")
            add("--bf16", action="store_true", help="compute in bfloat16, keep the weights in float32")
            add("--scenes", type=whole(1, 10**7), default=24_000, help="scenes to render and encode")
            add("--objects", type=int, choices=(3, 5), default=3, help="the most objects of a scene")
            add(
                "--pixels", type=int, choices=(128, 256), default=128, help="width and height of the pictures"
            )
            add("--true-share", type=number(0, 1), default=0.33, help="captions with the true relation")
            add("--random-share", type=number(0, 1), default=0.33, help="captions with a random relation")
            add(
                "--noise-bias",
                type=number(0.1, 10),
                default=1.5,
                help="train at times 1 - u ** this, u uniform: the larger, the noisier",
            )
            add(
                "--grounding",
                type=number(0, 1e3),
                default=0.1,
                help="weight of the loss on nouns' attention",
            )
            if part == "generator":
                add(
                    "--placing",
                    type=number(0, 1e3),
                    default=0.0,
                    help="weight of the loss on what text states tell of places; above 0, relation words are understood",
                )
            add(
                "--warm-start", action="store_true", help="begin with the weights in --weights, not at random"
            )
        model.set_defaults(run=train, part=part)
    universal = command(
        parts,
        "universal",
        "record maps of EmojiWorld's models and train the classifier that fits every model",
    )
    _add_folders(universal)
    add = universal.add_argument
    add("--steps", type=whole(1, 10**9), default=2000, help="length of the training")
    add("--minutes", type=number(0.01, 1e9), default=math.inf, help="stop after this time")
    add("--batch", type=whole(16, 4096), default=256, help="samples a step")
    add("--scenes", type=whole(1, 10**7), default=1000, help="scenes to record of each model")
    add("--seed", type=whole(0, 2**31 - 1), default=0)
    add("--leave-out", choices=MODELS, help="train without this model's maps, to measure on it; needs --out")
    add("--out", type=Path, metavar="FILE", help="a .safetensors file (default: the shipped classifier's)")
    universal.set_defaults(run=train_universal)
    classifiers = command(parts, "classifiers", "record maps and train EmojiWorld's relation classifiers")
    _add_folders(classifiers)
    _add_model(classifiers)
    classifiers.set_defaults(run=train_classifiers)

    ablation = command(topics, "ablate", "compare classifiers by the layers they read")
    _add_folders(ablation)
    _add_model(ablation)
    ablation.add_argument("--images", type=whole(1, 1_000_000), default=88, help="pictures per classifier")
    ablation.set_defaults(run=ablate)

    scenes = command(topics, "sheet", "rendered scenes beside what the model draws from their captions")
    scenes.add_argument("--weights", type=Path, metavar="DIR", help="EmojiWorld's models (default: shipped)")
    _add_model(scenes)
    scenes.add_argument("--seed", type=whole(0, 2**31 - 1), default=0)
    scenes.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png file")
    scenes.set_defaults(run=sheet)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="which of EmojiWorld's models")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, metavar="DIR", help="EmojiWorld's models (default: shipped)")
    parser.add_argument(
        "--work", type=Path, default=Path("work"), metavar="DIR", help="state, logs and recorded maps"
    )


SHEET_ROWS, SHEET_SEEDS = 8, 3


def train(args: argparse.Namespace) -> None:
    """Train the autoencoder, the judge or one of the generators; state and log are kept in --work."""
    weights = args.weights or WEIGHTS
    if args.part in ("generator", "mmdit") and not (weights / "vae").is_dir():
        raise SteeringError(
            f"Expected a trained autoencoder in {weights / 'vae'}, found none; "
            "run learn-to-steer emojiworld train autoencoder first."
        )
    from ..emojiworld import training
    from ..emojiworld.fitting import TrainingRun

    run = TrainingRun(
        _made(args.work),
        args.steps,
        args.batch,
        args.learning_rate,
        args.device,
        args.seed,
        minutes=args.minutes,
    )
    _made(weights)
    if args.part == "autoencoder":
        training.train_autoencoder(run, weights)
    elif args.part == "judge":
        training.train_judge(run, weights)
    else:
        from ..emojiworld.mmdit_training import train_mmdit

        options = training.GeneratorOptions(
            scenes=args.scenes,
            objects=args.objects,
            pixels=args.pixels,
            true_share=args.true_share,
            random_share=args.random_share,
            compiled=args.compile,
            bf16=args.bf16,
            warm_start=args.warm_start,
            grounding=args.grounding,
            noise_bias=args.noise_bias,
            placing=args.placing if args.part == "generator" else 0.0,
        )
        train = training.train_generator if args.part == "generator" else train_mmdit
        train(run, weights, options)
    print(f"Written: {args.part} in {weights}")


def train_classifiers(args: argparse.Namespace) -> None:
    """Record maps, once, into --work, and train the classifiers; those of other weights lie beside them."""
    from ..classifiers import shipped_folder
    from ..emojiworld.classifiers import train_shipped
    from ..evaluation.tables import markdown

    destination = args.weights or shipped_folder()
    results = train_shipped(args.weights or WEIGHTS, _made(destination), _made(args.work), model=args.model)
    head = [
        "classifier",
        "unseen pairs, right words",
        "unseen pairs, wrong words",
        "errors that are the wrong word",
    ]
    rows = [
        [name, f"{r.test.right:.1%}", f"{r.test.wrong:.1%}", _share_of_errors(r.test.errors)]
        for name, r in results.items()
    ]
    print(markdown(head, rows), end="")
    print(f"Written: {', '.join(str(destination / f'{name}.safetensors') for name in results)}")


def train_universal(args: argparse.Namespace) -> None:
    """Record maps, once, into --work, and train the classifier that fits every model."""
    if args.leave_out is not None and args.out is None:
        raise SteeringError(
            "Expected --out FILE with --leave-out, got none: what is trained without a model does not ship; give a file."
        )
    if args.out is not None and args.out.suffix.lower() != ".safetensors":
        raise SteeringError(
            f"Expected a file name that ends in .safetensors, got {args.out.name}; change the suffix."
        )
    from ..classifiers import UNIVERSAL, shipped_folder
    from ..emojiworld import universal
    from ..emojiworld.fitting import TrainingRun
    from ..evaluation.tables import markdown

    rate = universal.LEARNING_RATE
    run = TrainingRun(_made(args.work), args.steps, args.batch, rate, seed=args.seed, minutes=args.minutes)
    file = args.out or shipped_folder() / f"{UNIVERSAL}.safetensors"
    results = universal.train_universal(run, args.weights or WEIGHTS, file, args.leave_out, args.scenes)
    if results is None:
        return
    head = ["maps of", "unseen pairs, right words", "unseen pairs, wrong words", "follows the wrong word"]
    rows = [
        [model, *(f"{value:.1%}" for value in (r.right, r.wrong, r.follows_wrong_word))]
        for model, r in results.items()
    ]
    print(markdown(head, rows), end="")
    print(f"Written: {file}")


def ablate(args: argparse.Namespace) -> None:
    """Compare classifiers by what they read; the table is printed and written to --work."""
    from ..emojiworld.classifiers import ablate as rows_of_ablation
    from ..evaluation.tables import markdown

    rows = rows_of_ablation(_made(args.work), args.weights or WEIGHTS, images=args.images, model=args.model)
    columns = {
        "classifier": "classifier",
        "right": "right words",
        "wrong": "wrong words",
        "follows": "errors that are the wrong word (95%)",
        "relation": "relation accuracy",
        "given_present": "given both present",
        "present": "all objects present",
        "cost": "cost (plain = 1)",
    }
    table = markdown(list(columns.values()), [[_cell(key, row.get(key)) for key in columns] for row in rows])
    with staged(args.work, ["ablation.md"]) as folder:
        (folder / "ablation.md").write_text(table, encoding="utf-8")
    print(table, end="")
    print(f"Written: {args.work / 'ablation.md'}")


def _share_of_errors(errors: Any) -> str:
    """A share of errors with its interval; "-" without an error."""
    if errors is None:
        return "-"
    return f"{errors.share:.0%} ({errors.interval[0]:.0%} - {errors.interval[1]:.0%})"


def sheet(args: argparse.Namespace) -> None:
    """Rendered scenes beside what the model draws from their captions, judged alike."""
    if args.out.suffix.lower() != ".png":
        raise SteeringError(
            f"Expected a file name that ends in .png, got {args.out.name}; change the suffix."
        )
    with staged(args.out.parent, [args.out.name]) as folder:
        model = ModelFolder(args.weights or WEIGHTS, True, args.model)
        if not (shared_folder(model.path) / JUDGE).is_file():
            raise SteeringError(f"Expected EmojiWorld's judge in {model.path}, found none; train it first.")
        _scenes(model, args.seed).save(folder / args.out.name)
    print(f"Written: {args.out}")


def _scenes(model: ModelFolder, seed: int) -> Image.Image:
    import numpy as np
    from PIL import Image

    from ..emojiworld import GUIDANCE, STEPS
    from ..emojiworld.judge import find_objects, load_judge
    from ..emojiworld.render import aspects
    from ..emojiworld.training import scene_pixels
    from ..emojiworld.world import DIRECTIONS, PHRASES, article, holds, sample_scene
    from ..evaluation.run import Draw, judged
    from ..hosts.diffusers import generate
    from ..pictures import comparison_sheet

    rng = np.random.default_rng(seed)
    captions: list[str] = []
    rendered: list[Any] = []
    while len(captions) < SHEET_ROWS:
        scene, picture = scene_pixels(rng, sample_scene(rng, count=2, aspect=aspects()))
        a, b = scene.objects
        if fitting := [r for r in DIRECTIONS if holds(a.box, r, b.box)]:
            captions.append(f"{article(a.name)} {PHRASES[fitting[0]][0]} {article(b.name)}")
            rendered.append(picture)
    pipe, judge = load_pipeline(model, "cpu"), load_judge(model.path)
    columns = [rendered]
    for draw in range(SHEET_SEEDS):
        output = generate(
            pipe,
            captions,
            objective=None,
            seed=seed + draw * SHEET_ROWS,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
        )
        columns.append([np.asarray(image) for image in output.images])
    seen = [find_objects(judge, np.stack(column)) for column in columns]
    return comparison_sheet(
        "EmojiWorld: scenes, and what the model draws from their captions",
        ["rendered scene", *(f"drawn, noise {i + 1}" for i in range(SHEET_SEEDS))],
        captions,
        [[Image.fromarray(column[row]) for column in columns] for row in range(SHEET_ROWS)],
        [
            [[x["holds"] for x in judged(Draw(caption, 0), found[row])["relations"]] for found in seen]
            for row, caption in enumerate(captions)
        ],
    )


def _cell(key: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if key == "follows":
        return _share_of_errors(value)
    return format(value, ".2f" if key == "cost" else ".1%")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder
