"""Second passes over finished pictures, plain and steered: are the objects kept, does the relation hold?

    COMFYUI_PATH=... python benchmarks/second_pass.py [--model unet mmdit] [--pictures 24] [--first steered] [--only 1.5x]
        [--method both]

Run with an interpreter that can import the host. Each first picture is of another prompt of unseen pairs. Its finished
latent goes through the host's KSampler once more, at several values of denoise, and through a hires pass: enlarged 1.5
times, denoise 0.5. Both ways begin from the same latent and the same noise; steered is the plan "fast", or the method
asked for. A picture keeps its objects where the judge finds each object of the prompt exactly once and nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "comfyui"))

ARGUMENTS = sys.argv[1:]  # the host would read them as its own

import conftest  # noqa: E402
import torch  # noqa: E402

SEED = 77
"""Of the prompts and of the first noises; no other table uses it. A second pass draws its noise from the next thousand."""

STEPS = 20

DENOISE = (1.0, 0.85, 0.7, 0.6, 0.5, 0.3, 0.15)

HIRES, HIRES_DENOISE = 1.5, 0.5

PASSES = (*(f"{level:g}" for level in DENOISE), f"{HIRES:g}x")
"""The rows, as --only names them."""

CLASSIFIERS = {"unet": "emojiworld-symmetric.safetensors", "mmdit": "emojiworld-mmdit-symmetric.safetensors"}


@dataclass(frozen=True)
class Outcome:
    """One finished picture: whether it shows exactly its objects, and whether the relation holds."""

    exact: bool
    holds: bool


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=tuple(CLASSIFIERS), default=list(CLASSIFIERS))
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument(
        "--first", choices=("plain", "steered"), default="steered", help="how the first pass is sampled"
    )
    parser.add_argument("--only", nargs="+", choices=PASSES, default=list(PASSES), help="these rows, not all")
    parser.add_argument(
        "--method", choices=("gradient", "attention", "both"), default="gradient", help="of the second pass"
    )
    arguments = parser.parse_args(ARGUMENTS)
    import comfyui_version

    node = conftest.make_node(conftest.load_pack())
    print(
        f"ComfyUI {comfyui_version.__version__}, {arguments.pictures} pictures a row, seed {SEED}, {STEPS} steps, euler, "
        f"simple, cfg 6; first pass {arguments.first}, "
        f"second by {arguments.method}."
    )
    (options,) = node("SteeringOptions", plan="fast", strength=1.0, method=arguments.method)
    for model in arguments.model:
        table(node, model, arguments.pictures, arguments.first == "steered", arguments.only, options)


def table(
    node: Any, model: str, pictures: int, first_steered: bool, only: Sequence[str], options: Any
) -> None:
    """Print these rows of the table of one model. options: of the second passes."""
    draws = _module("emojiworld.prompts").one_relation("test", pictures, seed=SEED)
    model_, clip, vae = node("LoadEmojiWorld", architecture=model)
    (classifier, _) = node("LoadRelationClassifier", classifier_name=CLASSIFIERS[model])
    import nodes as host_nodes

    (negative,) = host_nodes.CLIPTextEncode().encode(clip, "")
    base = SimpleNamespace(model=model_, clip=clip, vae=vae, negative=negative, classifier=classifier)
    worlds = []
    for draw in draws:
        positive, relations, _ = node("RelationPrompt", clip=clip, text=draw.prompt)
        worlds.append(
            SimpleNamespace(**vars(base), positive=positive, relations=relations, draw=draw, noise=draw.seed)
        )
    firsts = [_sampled(node, world, None, 1.0, world.noise, first_steered)[0] for world in worlds]
    at_first = judged(vae, firsts, draws)
    print(f"\n{model}: of the first pictures {_said(at_first)}\n")
    print(
        "| second pass | exactly its objects, plain | steered | lost / won | relation holds, plain | steered | lost / won "
        "| evaluations | same latents | why it was left plain |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|"
    )
    size = round(16 * HIRES)
    large = [torch.nn.functional.interpolate(x, size=(size, size), mode="bilinear") for x in firsts]
    passes = [(f"denoise {level:g}", firsts, level) for level in DENOISE]
    passes.append((f"{HIRES:g}x, denoise {HIRES_DENOISE:g}", large, HIRES_DENOISE))
    for key, (name, begins, level) in zip(PASSES, passes, strict=True):
        if key in only:
            row(node, worlds, name, begins, level, options)


def row(
    node: Any, worlds: Sequence[Any], name: str, begins: Sequence[torch.Tensor], level: float, options: Any
) -> None:
    """Print one row: all pictures through one second pass, plain and steered."""
    plain, steered, evaluations, notes, same = [], [], 0, set[str](), 0
    for world, latent in zip(worlds, begins, strict=True):
        plain.append(_sampled(node, world, latent, level, world.noise + 1000, False)[0])
        result, log = _sampled(node, world, latent, level, world.noise + 1000, True, options)
        steered.append(result)
        evaluations += sum(log.latest.evaluations)
        notes.update(log.latest.notes)
        same += torch.equal(plain[-1], result)
    draws = [world.draw for world in worlds]
    a, b = (judged(worlds[0].vae, latents, draws) for latents in (plain, steered))
    exact = _cells([x.exact for x in a], [x.exact for x in b])
    holds = _cells([x.holds for x in a], [x.holds for x in b])
    print(
        f"| {name} | {exact} | {holds} | {evaluations / len(worlds):.1f} | {same} | {' '.join(sorted(notes))} |",
        flush=True,
    )


def _cells(plain: Sequence[bool], steered: Sequence[bool]) -> str:
    """ "20 | 21 | 0 / 1": counts, and how many pictures only the plain or only the steered pass has."""
    pairs = list(zip(plain, steered, strict=True))
    return (
        f"{sum(plain)} | {sum(steered)} | {sum(a and not b for a, b in pairs)} / "
        f"{sum(b and not a for a, b in pairs)}"
    )


def _said(outcomes: Sequence[Outcome]) -> str:
    exact, holds = sum(o.exact for o in outcomes), sum(o.holds for o in outcomes)
    return f"{exact} of {len(outcomes)} show exactly their objects, in {holds} the relation holds."


def _module(name: str) -> Any:
    return import_module(f"{conftest.PACK}.learn_to_steer.{name}")


def _sampled(
    node: Any,
    world: Any,
    latent: torch.Tensor | None,
    denoise: float,
    seed: int,
    steer: bool,
    options: Any = None,
) -> tuple[torch.Tensor, Any]:
    """(finished latents, log of the steering or None) of one pass of the host's KSampler or of the Steering KSampler."""
    begin = conftest.latents() if latent is None else {"samples": latent.clone()}
    more = {"latent": begin, "steps": STEPS, "seed": seed, "denoise": denoise}
    if not steer:
        return conftest.stock(world, **more), None
    return conftest.steered(node, world, options=options, **more)


def judged(vae: Any, latents: Sequence[torch.Tensor], draws: Sequence[Any]) -> list[Outcome]:
    """What the judge, who knows pictures of 128 x 128, finds in the decoded latents; larger ones are made smaller first."""
    evaluation = _module("evaluation.run")
    detector = _module("emojiworld.judge").EmojiWorldDetector(_module("emojiworld").WEIGHTS)
    pixels = vae.decode(torch.cat(list(latents))).movedim(-1, 1)
    if pixels.shape[-1] != 128:
        pixels = torch.nn.functional.interpolate(pixels, size=(128, 128), mode="bicubic", antialias=True)
    pictures = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1).numpy()
    outcomes = []
    for draw, found in zip(draws, detector.detect(pictures), strict=True):
        line = evaluation.judged(draw, found)
        exact = line["objects"] == dict.fromkeys(draw.names, 1)
        outcomes.append(Outcome(exact, bool(line["relations"][0]["holds"])))
    return outcomes


if __name__ == "__main__":
    with torch.inference_mode():
        main()
