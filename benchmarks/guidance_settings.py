"""Attention guidance under several settings, on pairs that choose: EmojiWorld's validation pairs for one relation, its
training pairs for chains (guidance learns nothing from them).

    python benchmarks/guidance_settings.py mmdit 2 --plans "" strength=1.3 strength=3.9 end=0.4 --out results

A plan is written as its fields that are not the default, with commas between them ("strength=5,background=0"); "" is the
default. A plain row stands above. An interrupted run goes on in the folder of --out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS, family_of, load_pipeline
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import chains, one_relation
from learn_to_steer.evaluation.bench import Setting
from learn_to_steer.evaluation.run import run
from learn_to_steer.evaluation.tables import results_table, summarise
from learn_to_steer.guidance import GuidancePlan
from learn_to_steer.hosts.diffusers import PipelineSampler


def setting(written: str) -> Setting:
    """ "strength=5,end=0.4" -> a setting of this name. Raises SteeringError for what is no field or no value of one."""
    pairs = (pair.split("=") for pair in written.split(",") if pair)
    plan = GuidancePlan.preset("attention", **{name: float(value) for name, value in pairs})
    return Setting(written or "default", None, None, method="attention", guidance=plan)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=("unet", "mmdit", "unet-crowd", "mmdit-crowd"))
    parser.add_argument("relations", type=int, choices=(1, 2, 3, 4))
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--seed", type=int, default=95)
    parser.add_argument("--plans", nargs="+", default=[""])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = [Setting("plain", None, None), *map(setting, args.plans)]
    if args.relations == 1:
        draws = one_relation("validation", args.pictures, args.seed)
    else:
        draws = chains("train", args.pictures, args.seed, args.relations)
    pipe = load_pipeline(model=args.model)
    results = run(
        PipelineSampler(pipe, family_of(pipe)), EmojiWorldDetector(WEIGHTS), draws, settings, args.out, steps=STEPS,
        guidance=GUIDANCE, batch=16,
    )  # fmt: skip
    print(results_table(summarise(results)))


if __name__ == "__main__":
    main()
