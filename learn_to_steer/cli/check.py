"""`check`: can this checkpoint be expected to obey? A few pictures, plain and steered, and a verdict in plain words."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..emojiworld import GUIDANCE, STEPS
from ..errors import UnreadableModel
from .arguments import DEVICES, DTYPES, OFFLOADS, Commands, command, number, whole
from .benches import EMOJIWORLD, judge_written
from .files import staged
from .models import ModelFolder, build_objective, check_objects, device_of, load_pipeline, model_folder

if TYPE_CHECKING:
    from ..evaluation.check import Verdict
    from ..steering import SteeringPlan

PLANS = ("fast", "paper")

EMOJIWORLD_PROMPTS = ("a car to the right of a cactus", "a fox above an umbrella")
"""What is drawn of EmojiWorld's own words, pairs that its figures are not made with."""


def add(commands: Commands) -> None:
    """Declare the command."""
    check = command(
        commands,
        "check",
        "draw a few prompts plainly and steered, and say whether this model can be expected to obey",
    )
    add = check.add_argument
    add(
        "--model",
        type=Path,
        metavar="MODEL",
        help="unet or mmdit, both EmojiWorld's, or a diffusers folder (default: unet)",
    )
    add(
        "--classifier",
        type=Path,
        metavar="FILE",
        help="relation classifier (default: EmojiWorld's own, else the universal one)",
    )
    add(
        "--prompt",
        action="append",
        metavar="TEXT",
        help="a prompt with one relation; may be repeated (default: two about everyday things)",
    )
    add(
        "--judge",
        metavar="JUDGE",
        help="who looks at the pictures and decides: emojiworld, or a folder or model id of Mask2Former, OWLv2, Grounding "
        "DINO, RT-DETR or a vision-language model, with the kind in front where it shall be another one (owlv2=FOLDER) "
        "(default: none; the model itself is asked where its words act)",
    )
    add("--seeds", type=whole(1, 64), default=4, help="pictures of each prompt")
    add("--seed", type=whole(0, 2**31 - 1), default=0, help="of the first noise")
    add("--plan", choices=PLANS, default="fast", help="how to steer")
    add("--strength", type=number(0.01, 100), default=1.0, help="multiplies every move")
    add("--steps", type=whole(2, 1000), help="sampling steps (default: the pipeline's own; EmojiWorld 20)")
    add("--guidance", type=number(0, 100), help="guidance scale (default: the pipeline's own; EmojiWorld 6)")
    add("--height", type=whole(8, 8192), help="of the pictures, in pixels (default: the model's own)")
    add("--width", type=whole(8, 8192), help="of the pictures, in pixels (default: the model's own)")
    add("--batch", type=whole(1, 64), help="pictures drawn at once (default: 1; EmojiWorld 4)")
    add("--device", choices=DEVICES, default="auto", help="where to compute")
    add("--dtype", choices=DTYPES, default="auto", help="numbers to compute in")
    add(
        "--offload", choices=OFFLOADS, default="none", help="keep whole networks or single layers off the GPU"
    )
    add("--out", type=Path, default=Path("check"), metavar="FOLDER", help="where the sheet goes")
    check.set_defaults(run=run)


FILES = ("check.png", "check.json")


def run(args: argparse.Namespace) -> None:
    """Draw, judge, write, and say it."""
    with staged(args.out, FILES) as folder:
        try:
            lines, content, sheet = _checked(args)
        except UnreadableModel as error:
            from ..evaluation.check import unreadable

            found = unreadable(str(error))
            lines, sheet = _said(found), None
            content = {"verdict": asdict(found)}
        text = json.dumps({**content, "lines": lines}, indent=2, ensure_ascii=False)
        (folder / "check.json").write_text(text + "\n", encoding="utf-8")
        if sheet is not None:
            sheet.save(folder / "check.png")
        written = [args.out / name for name in FILES if (folder / name).exists()]
    print(*lines, sep="\n")
    print("Written: " + ", ".join(map(str, written)))


def _said(found: Verdict) -> list[str]:
    return [f"{found.answer[0].upper()}{found.answer[1:]}. {found.why}", found.advice]


def _checked(args: argparse.Namespace) -> tuple[list[str], dict[str, Any], Any]:
    """Lines, content of check.json, sheet. Raises UnreadableModel for a kind of model that is not read at all."""
    model = model_folder(args.model)
    from ..evaluation.check import PROMPTS

    prompts = list(dict.fromkeys(args.prompt or (EMOJIWORLD_PROMPTS if model.is_emojiworld else PROMPTS)))
    if model.is_emojiworld:
        from ..evaluation.check.run import relation_of

        for prompt in prompts:
            check_objects(prompt, [relation_of(prompt)])
    objective = build_objective("learned", args.classifier, model)
    classifier = _classifier(args, model)
    pipe = load_pipeline(model, args.device, args.dtype, args.offload)

    from tqdm import tqdm

    from ..classifiers import check_classifier
    from ..evaluation.check import check, check_lines, check_sheet, verdict, verdict_of_judge
    from ..hosts.diffusers import PipelineProbe
    from ..hosts.recommended import reading_recommended
    from ..objectives import LearnedObjective
    from ..steering import SteeringPlan

    call = {"num_inference_steps": args.steps, "guidance_scale": args.guidance}
    if model.is_emojiworld:
        call = {
            "num_inference_steps": args.steps or STEPS,
            "guidance_scale": GUIDANCE if args.guidance is None else args.guidance,
        }
    probe = PipelineProbe(pipe, model.family, height=args.height, width=args.width, **call)
    if isinstance(objective, LearnedObjective):
        check_classifier(objective.classifier, probe.layers, probe.family)
    objective = reading_recommended(objective, probe.family, probe.layers)
    plan = SteeringPlan.preset(args.plan, strength=args.strength)
    judge = None
    if args.judge is not None or model.is_emojiworld:
        judge = judge_written(args.judge or EMOJIWORLD, "geneval", device_of(args.device))
    decide = verdict if args.judge is None else verdict_of_judge
    seeds = [args.seed + i for i in range(args.seeds)]
    batch = args.batch or (4 if model.is_emojiworld else 1)
    draws = 2 * -(-len(prompts) * args.seeds // batch)
    with tqdm(total=draws, desc="check", leave=False) as bar:
        found = check(probe, objective, plan, prompts, seeds, batch, judge, decide, bar.update)
    lines = check_lines(found, classifier, _settings(args, model, plan))
    content = {
        "model": model.name,
        "classifier": classifier,
        "plan": asdict(plan),
        "judge": args.judge,
        **found.to_dict(),
    }
    return lines, content, check_sheet(found, f"{model.name}: {found.verdict.answer}")


def _classifier(args: argparse.Namespace, model: ModelFolder) -> str:
    if args.classifier is not None:
        return str(args.classifier.name)
    return "EmojiWorld's own" if model.is_emojiworld else "universal"


def _settings(args: argparse.Namespace, model: ModelFolder, plan: SteeringPlan) -> list[str]:
    """How to use what was checked, on the command line and in the nodes."""
    from ..classifiers import default_classifier

    options = [f'--model "{args.model or model.model}"', f"--plan {args.plan}"]
    options += [f'--classifier "{args.classifier}"'] if args.classifier is not None else []
    options += [f"--strength {plan.strength:g}"] if plan.strength != 1 else []
    listed = default_classifier(model.family or "").name if args.classifier is None else args.classifier.name
    return [
        f"Command line: learn-to-steer generate PROMPT {' '.join(options)}",
        f"ComfyUI: Load Relation Classifier {listed}, Steering Options with the plan {args.plan} and "
        f"strength {plan.strength:g}.",
    ]
