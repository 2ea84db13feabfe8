"""Cost against accuracy on EmojiWorld: how many evaluations, how long a step, how early.

    python benchmarks/front.py [--images 64] --out FOLDER

Every plan draws the same prompts (object pairs that the classifier was not fitted to) from the same seeds in the same run;
cost is wall time over plain generation with guidance at 20 steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from learn_to_steer.checkpoint import load_classifier
from learn_to_steer.emojiworld import CLASSIFIERS, load_pipeline
from learn_to_steer.emojiworld.obedience import Setting, position_cases, run, summarise
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan

PLANS = {
    "0.20 x 3 steps": dict(step_size=0.20, end=0.15),
    "0.30 x 3 steps": dict(step_size=0.30, end=0.15),
    "0.10 x 5 steps": dict(step_size=0.10, end=0.25),
    "0.15 x 5 steps": dict(step_size=0.15, end=0.25),
    "0.20 x 5 steps": dict(step_size=0.20, end=0.25),
    "0.30 x 5 steps": dict(step_size=0.30, end=0.25),
    "0.10 x 7 steps": dict(step_size=0.10, end=0.35),
    "0.15 x 7 steps": dict(step_size=0.15, end=0.35),
    "0.10 x 10 steps": dict(step_size=0.10, end=0.50),
    "0.10 x 10 steps x 3": dict(step_size=0.10, end=0.50, evaluations_per_step=3),
}


def main() -> None:
    """Print the front."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pairs", choices=("validation", "test"), default="validation")
    parser.add_argument("--classifier", type=Path, default=CLASSIFIERS / "emojiworld-symmetric.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    objective = LearnedObjective(load_classifier(arguments.classifier))
    settings = [Setting("plain", None, None)]
    settings += [
        Setting(name, objective, SteeringPlan.preset("fast", **plan)) for name, plan in PLANS.items()
    ]
    settings.append(Setting("paper", objective, SteeringPlan.preset("paper")))
    cases = position_cases(arguments.pairs, arguments.images, arguments.seed)
    table = summarise(run(load_pipeline(), cases, settings, arguments.out))
    print(
        "| plan | evaluations | relation | given both present | both present | cost |\n|---|---|---|---|---|---|"
    )
    for name, row in table.items():
        print(
            f"| {name} | {row['evaluations']:.1f} | {row['relation']:.3f} | {row['given_present']:.3f} "
            f"| {row['present']:.3f} | {row['cost']:.2f} |"
        )


if __name__ == "__main__":
    main()
