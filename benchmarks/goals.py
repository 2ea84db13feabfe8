"""Goals, first noises and losses of others beside the plan "fast", on pairs that choose: EmojiWorld's validation pairs for
one relation, its training pairs for chains, which validation pairs do not make, and for two things without a relation (0).

    python benchmarks/goals.py unet 2 --pictures 48 --settings plain,fast,separation --out results

Settings are those of `learn-to-steer evaluate` in `cli/peers.py`, besides plain and fast. An interrupted run goes on in the
folder of --out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from learn_to_steer.classifiers import load_classifier, shipped_classifier
from learn_to_steer.cli.peers import PEERS, peer
from learn_to_steer.emojiworld import GUIDANCE, STEPS, WEIGHTS, family_of, load_pipeline
from learn_to_steer.emojiworld.judge import EmojiWorldDetector
from learn_to_steer.emojiworld.prompts import chains, one_relation, together
from learn_to_steer.evaluation.bench import Setting
from learn_to_steer.evaluation.run import run
from learn_to_steer.evaluation.tables import comparison_table, results_table, summarise
from learn_to_steer.hosts.diffusers import PipelineSampler
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan

CLASSIFIERS = {"unet": "emojiworld-symmetric", "mmdit": "emojiworld-mmdit-symmetric"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=CLASSIFIERS)
    parser.add_argument("relations", type=int, choices=(0, 1, 2, 3))
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--settings", default="plain,fast,separation")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    learned = LearnedObjective(load_classifier(shipped_classifier(CLASSIFIERS[args.model])))
    own = {
        "plain": Setting("plain", None, None),
        "fast": Setting("fast", learned, SteeringPlan.preset("fast")),
    }
    names = args.settings.split(",")
    if unknown := [name for name in names if name not in own and name not in PEERS]:
        parser.error(f"expected settings among plain, fast, {', '.join(PEERS)}, got {unknown[0]}")
    settings = [own.get(name) or peer(name, learned, learned.layers) for name in names]
    if args.relations == 0:
        draws = together("train", args.pictures, args.seed)
    elif args.relations == 1:
        draws = one_relation("validation", args.pictures, args.seed)
    else:
        draws = chains("train", args.pictures, args.seed, args.relations)
    pipe = load_pipeline(model=args.model)
    sampler = PipelineSampler(pipe, family_of(pipe))
    results = run(
        sampler, EmojiWorldDetector(WEIGHTS), draws, settings, args.out, steps=STEPS, guidance=GUIDANCE, batch=16
    )  # fmt: skip
    print(results_table(summarise(results)))
    print(comparison_table(results, "fast" if "fast" in names else names[0]))


if __name__ == "__main__":
    main()
