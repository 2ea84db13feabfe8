"""Ways to draw of a bench, on a tiny random pipeline: several pictures of a draw, several noises, other words."""

import numpy as np
import pytest

from learn_to_steer.cli.peers import PEERS, peer
from learn_to_steer.evaluation.bench import Bench, Draw, Setting
from learn_to_steer.hosts.diffusers import PipelineSampler
from learn_to_steer.objectives import CentroidObjective, CombinedObjective
from learn_to_steer.steering import SteeringPlan, seed_of

from ..diffusers.conftest import pipe, tokenizer  # noqa: F401

DRAWS = [Draw("a dog above a cat", 3), Draw("a cat to the left of a dog", 11)]


@pytest.fixture
def bench(pipe):  # noqa: F811
    return Bench(PipelineSampler(pipe, height=32, width=32), [], [], steps=4, guidance=4.0)


WATCHED = SteeringPlan(budget=0, end=1.0)


def test_of_several_pictures_the_one_is_kept_that_the_objective_finds_best(bench):
    setting = Setting("best", CentroidObjective(), WATCHED, best_of=3)
    drawn = bench._best(setting, DRAWS)
    alone = Setting("one", CentroidObjective(), WATCHED)
    every = [bench._sample(alone, [Draw(d.prompt, seed_of(d.seed, a)) for d in DRAWS], 4) for a in range(3)]
    for i in range(2):
        scores = [one.trace.score(i) for one in every]
        assert len(set(scores)) == 3 and min(scores) > 0
        assert np.array_equal(drawn.pictures[i], every[int(np.argmax(scores))].pictures[i])
    chosen = {int(np.argmax([one.trace.score(i) for one in every])) for i in range(2)}
    assert chosen != {0}  # else the first would do as well
    assert drawn.model_calls == 3 * 4 and drawn.trace.evaluations == [0, 0]


def test_watching_alone_leaves_the_picture_plain(bench):
    plain = bench._sample(Setting("plain", None, None), DRAWS, 4)
    watched = bench._sample(Setting("watched", CentroidObjective(), WATCHED), DRAWS, 4)
    assert np.array_equal(plain.pictures, watched.pictures) and watched.trace.records


def test_costs_of_several_pictures_are_added(bench):
    plan = SteeringPlan(end=0.3, evaluations_per_step=1, reached=None)
    one = bench._sample(Setting("one", CentroidObjective(), plan), DRAWS, 4)
    three = bench._best(Setting("best", CentroidObjective(), plan, best_of=3), DRAWS)
    assert three.trace.evaluations == [3 * n for n in one.trace.evaluations] and sum(one.trace.gradients) > 0
    assert three.trace.gradients == [3 * n for n in one.trace.gradients]


def test_first_noises_are_tried(bench):
    setting = Setting("seeds", CentroidObjective(), SteeringPlan(strength=0.0), seeds_tried=3)
    drawn = bench._sample(setting, DRAWS, 4)
    assert [len(tried) for tried in drawn.trace.first_noises] == [3, 3]


def test_a_prompt_given_twice(bench):
    said = []
    sample = bench.sampler.sample
    bench.sampler.sample = lambda prompts, *a, **k: said.extend(prompts) or sample(prompts, *a, **k)
    bench._sample(Setting("twice", None, None, repeat=True), DRAWS[:1], 1)
    assert said == ["a dog above a cat, a dog above a cat"]


def test_settings_that_differ_do_not_say_the_same():
    objective, plan = CentroidObjective(), SteeringPlan()
    settings = [
        Setting("a", objective, plan), Setting("a", objective, plan, repeat=True),
        Setting("a", objective, plan, seeds_tried=4), Setting("a", objective, plan, best_of=4),
        Setting("a", CombinedObjective(objective), plan), Setting("a", CombinedObjective(objective, gate="hard"), plan),
        Setting("a", CombinedObjective(objective, weights={"separation": 0.5}), plan),
    ]  # fmt: skip
    assert len({str(setting.said) for setting in settings}) == len(settings)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_draws(bench, name):
    learned = CentroidObjective()
    setting = peer(name, learned, None)
    assert setting.name == name
    drawn = bench._best(setting, DRAWS) if setting.best_of > 1 else bench._sample(setting, DRAWS, 4)
    assert drawn.pictures.shape == (2, 32, 32, 3)
    plain = bench._sample(Setting("plain", None, None), DRAWS, 4)
    assert not np.array_equal(drawn.pictures, plain.pictures)
    moves = not name.startswith(("prompt", "best", "seeds", "attention", "hard")) or name.endswith("fast")
    assert (sum(drawn.trace.gradients) > 0) == moves
