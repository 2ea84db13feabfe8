"""`generate`: one prompt, drawn plainly and steered, and a report of what happened in between."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..emojiworld import GUIDANCE, STEPS
from ..language import RelationTriplet, Understanding
from .arguments import DEVICES, DTYPES, OFFLOADS, Commands, among, command, number, whole
from .files import staged
from .generate_lines import Timed, holding_lines, judged, reached_lines, spent_lines, understood_lines
from .guiding import add_arguments, check_arguments, guided_lines, host_arguments, objective_kind
from .models import (
    ModelFolder,
    build_objective,
    check_objects,
    load_pipeline,
    model_folder,
    steerable,
    understanding_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from ..hosts.diffusers.protocol import Pipeline
    from ..objectives import Objective, StepInfo

PLANS = ("fast", "thorough", "paper")

GOALS = ("relation", "implied", "presence", "separation", "single")
"""As `objectives.GOALS`, which takes torch to import."""


def add(commands: Commands) -> None:
    """Declare the command."""
    generate = command(commands, "generate", "draw a prompt plainly and steered, from the same noise")
    add = generate.add_argument
    add("prompt", metavar="PROMPT")
    add("--seed", type=whole(0, 2**63 - 1), default=0, help="of the first noise")
    own = "the pipeline's own"
    add("--steps", type=whole(1, 1000), help=f"sampling steps (default: EmojiWorld {STEPS}, else {own})")
    add(
        "--guidance",
        type=number(0, 100),
        help=f"guidance scale; 1 and less is none (default: EmojiWorld {GUIDANCE:g}, else {own})",
    )
    add("--height", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--width", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--negative", metavar="TEXT", default="", help="negative prompt")
    add(
        "--plan",
        choices=PLANS,
        default="fast",
        help="when and how far to steer; thorough: up to twice the evaluations, for several relations with --method both",
    )
    add("--objective", choices=("learned", "centroid"), default="learned", help="what counts as right")
    add(
        "--goals",
        type=among(GOALS),
        metavar="A,B",
        help=f"what is wanted, of {', '.join(GOALS)}; the last three also where the prompt only names its things "
        "(default: relation)",
    )
    add(
        "--seeds-tried",
        type=whole(1, 64),
        default=1,
        metavar="N",
        help="of so many first noises the one that promises most is steered, at one pass without a gradient each",
    )
    add("--strength", type=number(0, 100), default=1.0, help="multiplies every move; 0 is off")
    add(
        "--triplet",
        metavar='"A | RELATION | B"',
        action="append",
        help="steer this relation, in words of the prompt, instead of those found in it; may be repeated",
    )
    add_arguments(generate)
    add(
        "--model",
        type=Path,
        metavar="MODEL",
        help="unet or mmdit, both EmojiWorld's, or a diffusers folder with a StableDiffusionPipeline, a "
        "StableDiffusionXLPipeline or a FluxPipeline (default: unet)",
    )
    add(
        "--classifier",
        type=Path,
        metavar="FILE",
        help="relation classifier, .safetensors or .pth (default: EmojiWorld's own, else the universal one)",
    )
    add("--device", choices=DEVICES, default="auto", help="where to compute")
    add("--dtype", choices=DTYPES, default="auto", help="numbers to compute in")
    add(
        "--offload",
        choices=OFFLOADS,
        default="none",
        help="keep whole networks or single layers off the GPU while they are not used",
    )
    add("--out", type=Path, default=Path("output"), metavar="FOLDER", help="where the pictures go")
    generate.set_defaults(run=run)


FILES = ("plain.png", "steered.png", "report.png", "trace.json")

HEAT_AT = 0.4
"""The part of the schedule after which attention is shown: steering is over, places are settled."""


def run(args: argparse.Namespace) -> None:
    """Draw, report, write. Bad input raises SteeringError before anything is drawn or written."""
    check_arguments(args)
    with staged(args.out, FILES) as folder:
        model = model_folder(args.model)
        understanding = understanding_of(args.prompt, args.triplet)
        if model.is_emojiworld:
            check_objects(args.prompt, understanding.relations)
        drawing = _draw(args, model, understanding)
        from ..pictures import report_figure

        drawing.panels[0].picture.save(folder / "plain.png")
        drawing.panels[1].picture.save(folder / "steered.png")
        report_figure(
            args.prompt,
            drawing.lines,
            drawing.panels,
            drawing.records,
            drawing.reached,
            drawing.stop_loss,
            drawing.heat_title,
        ).save(folder / "report.png")
        text = json.dumps(drawing.trace, indent=2, ensure_ascii=False)
        (folder / "trace.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    print(*drawing.lines, sep="\n")
    print("Written: " + ", ".join(str(args.out / name) for name in FILES))


@dataclass(frozen=True)
class _Drawing:
    """What came out: the parts of the report, and the content of trace.json."""

    lines: list[str]
    panels: list[Any]
    records: list[Any]
    reached: float | None
    stop_loss: float | None
    heat_title: str
    trace: dict[str, Any]


def _draw(args: argparse.Namespace, model: ModelFolder, understanding: Understanding) -> _Drawing:
    from ..guidance import plan_for
    from ..hosts.diffusers import attention_layers, denoiser, model_family
    from ..hosts.recommended import reading_recommended
    from ..objectives import with_goals
    from ..pictures import Panel

    triplets = understanding.relations
    objective = build_objective(objective_kind(args, model), args.classifier, model)
    wanted = steerable(triplets, objective)
    if args.triplet and len(wanted) < len(triplets):
        steerable([t for t in triplets if t not in wanted], objective)
    if args.goals:
        objective = with_goals(objective, args.goals)
    plan = plan_for(args.plan, args.method, strength=args.strength)
    pipe = load_pipeline(model, args.device, args.dtype, args.offload)
    objective = reading_recommended(
        objective, model.family or model_family(denoiser(pipe)), attention_layers(denoiser(pipe))
    )
    call = _call(args, model, pipe)
    attention = _Attention(args.prompt, call, model, pipe, objective, understanding, wanted)
    lost = attention.wanted.left_out[0]
    wanted = [triplet for triplet in wanted if triplet not in [one.triplet for one in lost]]

    heats: list[list[tuple[str, Any]]] = [[], []]
    asked = bool(attention.wanted.targets[0]) or bool(args.boxes)
    if asked and (plan.strength > 0 or args.seeds_tried > 1):
        # The first calls of a process are slow, and the two times are there to be compared.
        _sampled(args, call | {"num_inference_steps": 1}, model, pipe)
        plain = _sampled(args, call, model, pipe, on_step=attention.watch("plain"))
        steering: dict[str, Any] = {"triplets": wanted, "objective": objective, "plan": plan}
        steering["seeds_tried"] = args.seeds_tried
        steered = _sampled(args, call, model, pipe, on_step=attention.watch("steered"), **steering)
        heats = attention.heats() if attention.wanted.targets[0] else heats
    else:
        plain = steered = _sampled(args, call, model, pipe)
    pictures = {"Plain": plain.output.images[0], "Steered": steered.output.images[0]}
    verdicts = judged(args.prompt, triplets, model, list(pictures.values()))
    panels = [
        Panel(title, picture, seen, heat)
        for (title, picture), seen, heat in zip(pictures.items(), verdicts, heats, strict=True)
    ]
    trace = steered.output.trace
    lines = understood_lines(understanding, wanted, lost, args.strength, trace) + list(trace.notes)
    lines += spent_lines(plain, steered)
    lines += reached_lines(trace, plan) + holding_lines(panels)
    lines = guided_lines(lines, trace.guidance)
    content = {
        "prompt": args.prompt,
        "seed": args.seed,
        "seed_taken": steered.output.seeds[0],
        "triplets": [[t.subject, t.relation.value, t.object] for t in triplets],
        "settings": {
            "model": model.name,
            "objective": args.objective,
            "classifier": str(args.classifier) if args.classifier else None,
            "layers": objective.layers,
            "steps": call["num_inference_steps"],
            "guidance": call["guidance_scale"],
            "height": pictures["Plain"].height,
            "width": pictures["Plain"].width,
            "dtype": str(next(denoiser(pipe).parameters()).dtype).removeprefix("torch."),
            "device": str(pipe._execution_device),
            "offload": args.offload,
            "negative": args.negative,
            "method": args.method,
            "goals": args.goals or ["relation"],
            "seeds_tried": args.seeds_tried,
            "plan": asdict(plan),
        },
        "seconds": {"plain": plain.seconds, "steered": steered.seconds},
        "model_calls": {"plain": plain.output.model_calls, "steered": steered.output.model_calls},
        "judged": {panel.title.lower(): dict(panel.verdicts) for panel in panels},
        "trace": trace.to_dict(),
        "left_out": [str(one) for one in lost],
        "doubtful": [[t.subject, t.relation.value, t.object, t.doubt] for t in understanding.doubtful],
        "note": understanding.note,
    }
    return _Drawing(lines, panels, trace.image(0), plan.reached, plan.stop_loss, attention.title, content)


def _call(args: argparse.Namespace, model: ModelFolder, pipe: Pipeline) -> dict[str, Any]:
    """What calls of the pipeline have in common: steps, guidance and size."""
    from ..hosts.diffusers import run_of

    steps, guidance = args.steps, args.guidance
    if model.is_emojiworld:
        steps, guidance = steps or STEPS, GUIDANCE if guidance is None else guidance
    size = {"height": args.height, "width": args.width}
    run = run_of(pipe, [args.prompt], steps, guidance_scale=guidance, **size)
    return {"num_inference_steps": run.num_inference_steps, "guidance_scale": run.guidance_scale, **size}


def _sampled(
    args: argparse.Namespace,
    call: dict[str, Any],
    model: ModelFolder,
    pipe: Pipeline,
    *,
    triplets: Sequence[RelationTriplet] = (),
    **steering: Any,
) -> Timed:
    """One picture of the prompt. steering: objective, plan and on_step of `hosts.diffusers.generate`."""
    from ..hosts.diffusers import generate as sample

    if "plan" in steering:
        steering |= host_arguments(args)
    started = time.perf_counter()
    output = sample(
        pipe,
        args.prompt,
        triplets=list(triplets),
        seed=args.seed,
        negative_prompt=args.negative,
        family=model.family,
        **call,
        **steering,
    )
    return Timed(output, time.perf_counter() - started)


class _Attention:
    """Where the model attends to each object, part of the way through a run.

    Making one checks that the objective fits the model, so that nothing is drawn before a refusal. Raises SteeringError
    where it does not. wanted: the targets, and the relations that cannot be steered.
    """

    def __init__(
        self,
        prompt: str,
        call: dict[str, Any],
        model: ModelFolder,
        pipe: Pipeline,
        objective: Objective,
        understanding: Understanding,
        triplets: Sequence[RelationTriplet],
    ) -> None:
        from ..attention import require_layers
        from ..classifiers import check_classifier
        from ..hosts.diffusers import run_of, token_positions
        from ..hosts.targets import batch_targets
        from ..objectives import learned_part

        run = run_of(pipe, [prompt], **call)
        if (learned := learned_part(objective)) is not None:
            check_classifier(learned.classifier, run.layers, model.family or run.family)
        elif objective.layers is not None:
            require_layers(objective.layers, [layer.name for layer in run.layers])
        self.wanted = batch_targets(
            [list(triplets)],
            objective,
            lambda image, span: token_positions(run, image, span),
            run.text_length,
            [understanding.objects],
        )
        self.prompt, self.call, self.pipe, self.layers = prompt, call, pipe, objective.layers
        self.schedule = run.schedule()
        turns = len(self.schedule.timesteps)
        self.turn = min(max(1, round(HEAT_AT * turns)), turns - 1)
        self.title = f"Attention at step {self.turn} of {turns}"
        self.latents: dict[str, Tensor] = {}

    def watch(self, name: str) -> Callable[[StepInfo, Tensor], None]:
        """What `on_step` is given: keeps the latent that the watched turn starts from."""

        def keep(info: StepInfo, latents: Tensor) -> None:
            if info.step + 1 == max(1, self.turn):
                self.latents[name] = latents.detach().clone()

        return keep

    def heats(self) -> list[list[tuple[str, Any]]]:
        """Per watched run, (object, heat map (S, S)) of each object. One forward pass for all."""
        import torch

        from ..hosts.diffusers import run_of
        from ..pictures import object_heats

        scale, timestep = self.schedule.scales[self.turn], self.schedule.timesteps[self.turn]
        latents = torch.cat(list(self.latents.values())) * scale
        rows = len(latents)
        run = run_of(self.pipe, [self.prompt] * rows, **self.call)
        branch = run.branch(run.encoded(), self.schedule, run.family)
        weights = self.wanted.weights.to(branch.device).expand(rows, -1, -1)
        with torch.no_grad():
            maps = branch.record_at(
                run.packed(latents), timestep.expand(rows), range(rows), weights, self.layers
            )
        names = self.wanted.objects[0]
        return [list(zip(names, object_heats(maps, row), strict=True)) for row in range(rows)]
