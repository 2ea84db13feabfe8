"""Cost against accuracy on EmojiWorld: how many evaluations, how long a step, how early.

    python benchmarks/front.py [--images 64] --out FOLDER

Every plan draws the same prompts (object pairs that the classifier was not fitted to) from the same seeds in the same run;
cost is wall time over plain generation with guidance at 20 steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS, family_of, load_pipeline
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import one_relation
from learn_to_steer.evaluation.run import Setting, run
from learn_to_steer.evaluation.tables import summarise
from learn_to_steer.hosts.diffusers import PipelineSampler
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan

PLANS = {
    f"{size:g} rms x {steps} steps x {evaluations}": dict(step_size=size, end=steps / 20, evaluations_per_step=evaluations)
    for size, steps, evaluations in (
        (8, 3, 1), (3, 5, 1), (6, 5, 1), (5, 8, 1), (5, 6, 2), (5, 6, 3), (5, 8, 3),
    )
}  # fmt: skip
"""Length of a move in rms x steps of 20 x evaluations at each; the last is the plan "fast"."""


def main() -> None:
    """Print the front."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pairs", choices=("validation", "test"), default="validation")
    parser.add_argument("--classifier", type=Path, default=shipped_classifier("emojiworld-symmetric"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    objective = LearnedObjective(load_classifier(arguments.classifier))
    settings = [Setting("plain", None, None)]
    settings += [
        Setting(name, objective, SteeringPlan.preset("fast", **plan)) for name, plan in PLANS.items()
    ]
    settings.append(Setting("paper", objective, SteeringPlan.preset("paper")))
    draws, pipe = one_relation(arguments.pairs, arguments.images, arguments.seed), load_pipeline()
    sampler, detector = PipelineSampler(pipe, family_of(pipe)), EmojiWorldDetector(WEIGHTS)
    table = summarise(run(sampler, detector, draws, settings, arguments.out, steps=STEPS, guidance=GUIDANCE))
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
