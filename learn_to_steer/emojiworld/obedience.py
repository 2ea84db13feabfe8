"""Does the picture obey? Prompts x seeds, drawn under several settings from the same noise and judged.

Resumable: every judged picture is a line of ``results.jsonl``; a run that finds lines there goes on after them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from ..errors import SteeringError
from ..evaluation.position import position_holds
from ..evaluation.statistics import wilson_interval
from ..hosts.diffusers import denoiser, generate
from ..language import Relation, parse_relations
from ..objectives import Objective
from ..steering import SteeringPlan
from . import GUIDANCE, STEPS, WEIGHTS, family_of
from .judge import Found, Judge, find_objects, load_judge
from .relation_data import object_pairs
from .world import DIRECTIONS, OBJECTS, PHRASES, article


@dataclass(frozen=True)
class Case:
    """One picture to draw: a prompt and the seed of its noise."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class Setting:
    """A way to draw: no objective is plain generation."""

    name: str
    objective: Objective | None
    plan: SteeringPlan | None


def position_cases(part: str, count: int, seed: int = 0) -> list[Case]:
    """``count`` prompts of one relation each, over the pairs of ``part`` in both orders and the four relations in turn."""
    prompts = [
        f"{article(a)} {PHRASES[relation][0]} {article(b)}"
        for pair in object_pairs(part)
        for a, b in (pair, pair[::-1])
        for relation in DIRECTIONS
    ]
    return _cases(prompts, count, seed)


def chain_cases(count: int, seed: int = 0) -> list[Case]:
    """``count`` prompts of two relations in three objects ("a dog above a fox to the left of a car")."""
    rng = np.random.default_rng((seed, 31))
    prompts = []
    for _ in range(count):
        a, b, c = (OBJECTS[i] for i in rng.choice(len(OBJECTS), 3, replace=False))
        first, second = (PHRASES[DIRECTIONS[i]][0] for i in rng.integers(4, size=2))
        prompts.append(f"{article(a)} {first} {article(b)} {second} {article(c)}")
    return [Case(prompt, 50_000 + seed * 10_000 + i) for i, prompt in enumerate(prompts)]


def _cases(prompts: Sequence[str], count: int, seed: int) -> list[Case]:
    order = np.random.default_rng((seed, 30)).permutation(len(prompts))
    return [Case(prompts[order[i % len(order)]], 10_000 + seed * 10_000 + i) for i in range(count)]


def judge_picture(prompt: str, found: list[Found]) -> dict[str, Any]:
    """Each relation of the prompt, judged by its own pair; of duplicates the most confident one counts.

    Returns ``objects`` (name -> how many found), ``present`` (all of the prompt's objects), ``duplicates`` (how many
    too many, of the prompt's objects), ``relations`` (per relation whether both are present and whether it holds).
    """
    triplets = parse_relations(prompt)
    best: dict[str, Found] = {}
    counts: dict[str, int] = {}
    for item in sorted(found, key=lambda f: f.confidence):
        best[item.name] = item
        counts[item.name] = counts.get(item.name, 0) + 1
    names = {name.lower() for t in triplets for name in (t.subject, t.object)}
    relations = []
    for t in triplets:
        a, b = best.get(t.subject.lower()), best.get(t.object.lower())
        both = a is not None and b is not None
        holds = bool(both and position_holds(a.box, Relation(t.relation), b.box))  # type: ignore[union-attr]
        relations.append({"present": both, "holds": holds})
    return {
        "objects": counts,
        "present": all(name in best for name in names),
        "duplicates": sum(counts.get(name, 1) - 1 for name in names),
        "relations": relations,
    }


def run(
    pipe,
    cases: Sequence[Case],
    settings: Sequence[Setting],
    out: Path,
    *,
    judge: Judge | None = None,
    batch: int = 8,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    sheet: int = 12,
    about: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Draw and judge every case under every setting; the pictures of the first ``sheet`` cases are kept.

    One result per picture: setting, prompt, seed, the judgement, evaluations spent, and ``seconds`` - the wall time of
    its batch divided by the batch. The settings take turns batch by batch, so that their times can be compared.
    about: whatever else the results of one folder must have in common.

    Raises SteeringError for a folder with results of other settings, weights or ``about``.
    """
    judge = judge or load_judge(WEIGHTS)
    _writable(out)
    log = out / "results.jsonl"
    setup = {
        "steps": steps,
        "guidance": guidance,
        "batch": batch,
        "model": _digest(denoiser(pipe)),
        "settings": {
            s.name: [str(s.plan), _digest(getattr(s.objective, "classifier", None))] for s in settings
        },
        "about": about,
    }
    done = _resume(log, out / "setup.json", setup)
    with log.open("a") as file, tqdm(total=len(cases) * len(settings), desc="evaluate") as bar:
        for start in range(0, len(cases), batch):
            chunk = cases[start : start + batch]
            for setting in settings:
                bar.update(len(chunk))
                if all((setting.name, c.prompt, c.seed) in done for c in chunk):
                    continue
                began = time.perf_counter()
                output = generate(
                    pipe,
                    [c.prompt for c in chunk],
                    objective=setting.objective,
                    plan=setting.plan,
                    seed=[c.seed for c in chunk],
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    family=family_of(pipe),
                    output_type="latent",
                )
                seconds = (time.perf_counter() - began) / len(chunk)
                pictures = decode(pipe, output.latents)
                for i, (case, found) in enumerate(zip(chunk, find_objects(judge, pictures), strict=True)):
                    result = {"setting": setting.name, "prompt": case.prompt, "seed": case.seed}
                    result |= judge_picture(case.prompt, found)
                    result |= {"evaluations": output.trace.evaluations[i], "seconds": seconds}
                    if start + i < sheet:
                        folder = out / "pictures" / _file_name(setting.name)
                        folder.mkdir(parents=True, exist_ok=True)
                        Image.fromarray(pictures[i]).save(folder / f"{case.seed}.png")
                    done[setting.name, case.prompt, case.seed] = result
                    file.write(json.dumps(result) + "\n")
                file.flush()
    return [done[s.name, c.prompt, c.seed] for s in settings for c in cases]


def _digest(module: torch.nn.Module | None) -> str:
    """SHA-256 of all weights in order."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items() if module is not None else ():
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _file_name(setting: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in setting)


@torch.no_grad()
def decode(pipe, latents: torch.Tensor) -> np.ndarray:
    """Latents (B, 4, h, w) -> pictures uint8 (B, 8h, 8w, 3)."""
    pixels = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


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
    results = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    log.write_text("".join(json.dumps(r) + "\n" for r in results))  # without the line that was being written
    return {(r["setting"], r["prompt"], r["seed"]): r for r in results}


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per setting: images; ``relation`` = share of pictures in which every relation holds, with ``relation_95``; the
    same ``given_present`` (over the pictures with all objects); ``each`` = share of single relations that hold;
    ``present`` with its interval; ``duplicates`` per picture; ``evaluations`` per picture; ``seconds`` per picture and
    ``cost`` = seconds over those of the setting "plain" on the same cases.
    """
    table: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(r["setting"] for r in results):
        rows = [r for r in results if r["setting"] == name]
        obeyed = sum(all(x["holds"] for x in r["relations"]) for r in rows)
        present = sum(r["present"] for r in rows)
        single = [x["holds"] for r in rows for x in r["relations"]]
        table[name] = {
            "images": len(rows),
            "relation": obeyed / len(rows),
            "relation_95": wilson_interval(obeyed, len(rows)),
            "given_present": obeyed / present if present else 0.0,
            "given_present_95": wilson_interval(obeyed, present),
            "each": sum(single) / max(1, len(single)),
            "present": present / len(rows),
            "present_95": wilson_interval(present, len(rows)),
            "duplicates": sum(r["duplicates"] for r in rows) / len(rows),
            "evaluations": sum(r["evaluations"] for r in rows) / len(rows),
            "seconds": sum(r["seconds"] for r in rows) / len(rows),
        }
    plain = table.get("plain", next(iter(table.values())))["seconds"]
    for row in table.values():
        row["cost"] = row["seconds"] / plain
    return table
