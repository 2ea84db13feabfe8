"""Draw prompts under several settings from the same noise, and judge every picture.

Resumable: every judged picture is a line of ``results.jsonl``; a run that finds lines there goes on after them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..errors import SteeringError
from ..guidance import GuidancePlan, Method
from ..hosts.modules import digest
from ..hosts.protocol import Sampler
from ..objectives import Objective
from ..steering import SteeringPlan
from .detections import Demand, Detection, Thing, asked_of, class_of, plain_name
from .detectors import Detector
from .rules import Rule, geneval


@dataclass(frozen=True)
class Draw:
    """One picture to draw: a prompt and the seed of its noise."""

    prompt: str
    seed: int

    @property
    def demand(self) -> Demand:
        """What the prompt asks of its picture."""
        return Demand(asked_of(self.prompt))

    @property
    def names(self) -> tuple[str, ...]:
        """The objects that the prompt relates, each once."""
        return tuple(dict.fromkeys(plain_name(thing.noun) for thing in self.demand.things))

    @property
    def cluster(self) -> str:
        """Pictures of the same objects are not independent of one another: their common name."""
        return " + ".join(sorted(self.names))


@dataclass(frozen=True)
class Setting:
    """A way to draw: no objective is plain generation, unless attention is guided. method, guidance: see
    `hosts.protocol.Sampler`."""

    name: str
    objective: Objective | None
    plan: SteeringPlan | None
    method: Method = "gradient"
    guidance: GuidancePlan | None = None

    @property
    def said(self) -> list[str]:
        """What it is, for comparing it with that of an earlier run."""
        way = [str(self.plan), digest(getattr(self.objective, "classifier", None))]
        return way if self.method == "gradient" else [*way, self.method, str(self.guidance)]


def judged(draw: Draw, found: Sequence[Detection], rule: Rule = geneval) -> dict[str, Any]:
    """The rule's verdict on one picture, as a line of the log.

    Returns ``objects`` (name -> how many found), ``present`` (all of the prompt's objects), ``duplicates`` (how many too
    many, of the prompt's objects), ``relations`` (per relation whether both objects are present and whether it holds).
    """
    counts: dict[str, int] = {}
    for item in found:
        counts[plain_name(item.name)] = counts.get(plain_name(item.name), 0) + 1
    verdict = rule.judge(found, draw.demand)

    def seen(thing: Thing) -> bool:
        return counts.get(class_of(found, thing), 0) > 0

    return {
        "objects": counts,
        "present": verdict.present,
        "duplicates": sum(max(0, counts.get(class_of(found, t), 0) - 1) for t in draw.demand.things),
        "relations": [
            {"present": seen(v.asked.subject) and seen(v.asked.object), "holds": v.holds}
            for v in verdict.relations
        ],
    }


def run(
    sampler: Sampler,
    detector: Detector,
    draws: Sequence[Draw],
    settings: Sequence[Setting],
    out: Path,
    *,
    steps: int,
    guidance: float | None,
    batch: int = 8,
    sheet: int = 12,
    rule: Rule = geneval,
    about: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw and judge every picture under every setting; those of the first ``sheet`` draws are kept.

    One result per picture: setting, prompt, seed, cluster, the judgement, ``evaluations`` (forward passes of steering),
    ``gradients`` (those of them with a backward pass), ``calls`` (all forward passes of the denoiser over the batch)
    and ``seconds`` - the wall time of its batch divided by the batch. The settings take turns batch by batch, and each
    is warmed up by two steps before its first batch, so that their times can be compared.
    about: whatever else the results of one folder must have in common.

    Raises SteeringError for a folder with results of other settings, weights or ``about``.
    """
    _writable(out)
    log = out / "results.jsonl"
    setup = {
        "steps": steps,
        "guidance": guidance,
        "batch": batch,
        "model": sampler.digest(),
        "settings": {s.name: s.said for s in settings},
        "about": about,
    }
    done = _resume(log, out / "setup.json", setup)
    warm: set[str] = set()
    with log.open("a") as file, tqdm(total=len(draws) * len(settings), desc="evaluate") as bar:
        for start in range(0, len(draws), batch):
            chunk = draws[start : start + batch]
            prompts, seeds = [d.prompt for d in chunk], [d.seed for d in chunk]
            for setting in settings:
                bar.update(len(chunk))
                if all((setting.name, d.prompt, d.seed) in done for d in chunk):
                    continue
                way: dict[str, Any] = {
                    "objective": setting.objective,
                    "plan": setting.plan,
                    "guidance": guidance,
                    "method": setting.method,
                    "attention": setting.guidance,
                }
                if setting.name not in warm:
                    sampler.sample(prompts, seeds, steps=min(2, steps), **way)
                    warm.add(setting.name)
                began = time.perf_counter()
                drawn = sampler.sample(prompts, seeds, steps=steps, **way)
                seconds = (time.perf_counter() - began) / len(chunk)
                found = detector.detect(drawn.pictures, [d.names for d in chunk])
                for i, draw in enumerate(chunk):
                    result = {"setting": setting.name, "prompt": draw.prompt, "seed": draw.seed}
                    result |= {"cluster": draw.cluster, **judged(draw, found[i], rule)}
                    result |= {
                        "evaluations": drawn.trace.evaluations[i],
                        "gradients": drawn.trace.gradients[i],
                        "calls": drawn.model_calls,
                        "seconds": seconds,
                    }
                    if start + i < sheet:
                        folder = out / "pictures" / file_name(setting.name)
                        folder.mkdir(parents=True, exist_ok=True)
                        Image.fromarray(drawn.pictures[i]).save(folder / f"{draw.seed}.png")
                    done[setting.name, draw.prompt, draw.seed] = result
                    file.write(json.dumps(result) + "\n")
                file.flush()
    return [done[s.name, d.prompt, d.seed] for s in settings for d in draws]


def file_name(setting: str) -> str:
    """The folder of a setting's pictures."""
    return "".join(c if c.isalnum() else "-" for c in setting)


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".write").touch()
        (out / ".write").unlink()
    except OSError as error:
        raise SteeringError(
            f"Expected a folder that can be written, got {out} ({error.strerror}); choose another with --out."
        ) from error


def _resume(log: Path, setup_file: Path, setup: dict[str, Any]) -> dict[tuple[str, str, int], dict[str, Any]]:
    if not log.exists():
        setup_file.write_text(json.dumps(setup, indent=2))
        return {}
    if not setup_file.exists() or json.loads(setup_file.read_text()) != setup:
        raise SteeringError(
            f"Expected {log.parent} to hold results of the same settings, weights, prompts and seed, but they differ; "
            "choose another folder."
        )
    results = []
    whole = log.read_bytes().rpartition(b"\n")[0]
    for line in whole.splitlines():
        results.append(json.loads(line))
    # A line that was cut off in the middle of its writing has no end: what follows must not be glued to it.
    with log.open("r+b") as file:
        file.truncate(len(whole) + 1 if whole else 0)
    return {(r["setting"], r["prompt"], r["seed"]): r for r in results}
