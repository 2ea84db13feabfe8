"""Draw prompts under several settings from the same noise, and judge every picture.

Resumable: every judged picture is a line of ``results.jsonl``; a run that finds lines there goes on after them. Pictures of
the sheet that are not there any more are drawn again, and their lines stay.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..errors import SteeringError
from ..hosts.protocol import Sampler
from ..records import atomic
from .bench import Bench, Draw, Setting, draws_of
from .detections import Detection
from .detectors import Detector
from .judges import RuleJudge, judgement
from .resuming import LOG, is_picture, resume
from .rules import RULES, Rule, geneval
from .workers import InProcess, Task, Workers

__all__ = ["Draw", "Setting", "draws_of", "evaluate", "file_name", "judged", "picture_file", "run"]


def judged(draw: Draw, found: Sequence[Detection], rule: Rule = geneval) -> dict[str, Any]:
    """The rule's verdict on one picture, as a part of a line of the log; see `judges.Judgement.as_json`."""
    return judgement(draw.demand, found, rule).as_json()


def run(
    sampler: Sampler,
    detector: Detector,
    draws: Sequence[Draw],
    settings: Sequence[Setting],
    out: Path,
    *,
    steps: int | None,
    guidance: float | None,
    batch: int = 8,
    sheet: int = 12,
    rule: Rule = geneval,
    about: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """`evaluate` in this process, with one detector and one rule as the judge."""
    (name,) = (name for name, one in RULES.items() if one is rule)
    bench = Bench(sampler, [RuleJudge(name, detector, name)], settings, steps, guidance)
    return evaluate(InProcess(bench), draws, [s.name for s in settings], out, batch, sheet, about)


def evaluate(
    workers: Workers,
    draws: Sequence[Draw],
    settings: Sequence[str],
    out: Path,
    batch: int = 8,
    sheet: int = 12,
    about: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw and judge every picture under every setting; those of the first ``sheet`` draws are kept.

    One result per picture, see `bench.Bench.draw`, by setting and then in the order of the draws. The settings take turns
    batch by batch, so that their times can be compared. about: whatever else the results of one folder must have in common.

    Raises SteeringError for a folder with results of other settings, weights, judges or ``about``.
    """
    _writable(out)
    done = resume(out, workers.setup() | {"batch": batch, "about": about})
    kept = {(d.prompt, d.seed) for d in draws[:sheet]}
    lost = {
        (s, *key)
        for s in settings
        for key in kept
        if (s, *key) in done and not is_picture(picture_file(out, s, key[1]))
    }
    there = done.keys() - lost
    tasks = []
    for start in range(0, len(draws), batch):
        chunk = draws[start : start + batch]
        missing = [s for s in settings if not all((s, d.prompt, d.seed) in there for d in chunk)]
        if missing:
            tasks.append(Task(chunk, missing))
    left = sum(len(task.draws) * len(task.settings) for task in tasks)
    with (out / LOG).open("a") as file, tqdm(total=len(draws) * len(settings), desc="evaluate") as bar:
        bar.update(len(draws) * len(settings) - left)
        for lines in workers.work(tasks):
            for result, picture in lines:
                key = result["setting"], result["prompt"], result["seed"]
                if key in there:  # drawn again with the rest of its batch
                    continue
                if key[1:] in kept:
                    target = picture_file(out, result["setting"], result["seed"])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with atomic(target) as new:
                        Image.fromarray(picture).save(new, "PNG")
                if key in done:
                    continue
                done[key] = result
                file.write(json.dumps(result) + "\n")
            file.flush()
            bar.update(len(lines))
    return [done[s, d.prompt, d.seed] for s in settings for d in draws]


def picture_file(out: Path, setting: str, seed: int) -> Path:
    """Where the picture of a setting and a seed is kept."""
    return out / "pictures" / file_name(setting) / f"{seed}.png"


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
