"""The judge on pictures whose truth is known, the shipped model, and the evaluation run."""

import json

import numpy as np
import pytest
import torch

from learn_to_steer.classifiers import load_classifier
from learn_to_steer.emojiworld import CLASSIFIERS, FAMILY, WEIGHTS, load_pipeline
from learn_to_steer.emojiworld.judge import find_objects, load_judge
from learn_to_steer.emojiworld.obedience import (
    Case,
    Setting,
    chain_cases,
    judge_picture,
    position_cases,
    run,
    summarise,
)
from learn_to_steer.emojiworld.relation_data import object_pairs, record, trained_sigmas
from learn_to_steer.emojiworld.render import aspects, render
from learn_to_steer.emojiworld.world import DIRECTIONS, Box, Placed, Scene, article, holds, sample_scene
from learn_to_steer.errors import SteeringError
from learn_to_steer.language import parse_relations
from learn_to_steer.objectives import LearnedObjective
from learn_to_steer.steering import SteeringPlan
from learn_to_steer.training import leakage


@pytest.fixture(scope="module")
def judge():
    return load_judge(WEIGHTS)


@pytest.fixture(scope="module")
def pipe():
    return load_pipeline()


@pytest.fixture(scope="module")
def objective():
    return LearnedObjective(load_classifier(CLASSIFIERS / "emojiworld-symmetric.safetensors"))


def test_the_judge_finds_what_was_rendered_and_nothing_else(judge):
    rng = np.random.default_rng(5)
    scenes = [sample_scene(rng, aspect=aspects()) for _ in range(60)]
    right = agree = asked = 0
    for scene, found in zip(scenes, find_objects(judge, np.stack([render(s) for s in scenes])), strict=True):
        right += sorted(f.name for f in found) == sorted(p.name for p in scene.objects)
        for a, b in zip(scene.objects, scene.objects[1:], strict=False):
            for relation in DIRECTIONS:
                sentence = f"{article(a.name)} {relation.value} {article(b.name)}"
                asked += 1
                agree += judge_picture(sentence, found)["relations"][0]["holds"] == holds(
                    a.box, relation, b.box
                )
    assert right >= 57
    assert agree >= 0.95 * asked


@pytest.mark.parametrize("centres", [((30, 64), (98, 64)), ((44, 64), (84, 64)), ((60, 46), (60, 82))])
def test_duplicates_are_counted_even_where_they_touch(judge, centres):
    twins = tuple(Placed("frog", Box(x, y, 44, 40)) for x, y in centres)
    found = find_objects(judge, render(Scene(twins, (240, 240, 240), (240, 240, 240)))[None])[0]
    verdict = judge_picture("a frog above a car", found)
    assert verdict["objects"] == {"frog": 2}
    assert verdict["duplicates"] == 1
    assert not verdict["present"]
    assert verdict["relations"] == [{"present": False, "holds": False}]


def test_each_relation_is_judged_by_its_own_pair(judge):
    placed = (
        Placed("dog", Box(30, 30, 44, 44)),
        Placed("fox", Box(98, 30, 44, 44)),
        Placed("pig", Box(98, 98, 44, 40)),
    )
    found = find_objects(judge, render(Scene(placed, (240, 240, 240), (240, 240, 240)))[None])[0]
    verdict = judge_picture("a dog to the left of a fox below a pig", found)
    assert [r["holds"] for r in verdict["relations"]] == [True, False]


def test_cases_are_reproducible_balanced_and_use_unseen_pairs_only():
    cases = position_cases("test", 192)
    assert cases == position_cases("test", 192)
    unseen = {frozenset(p) for p in object_pairs("test")}
    relations = []
    for case in cases:
        (t,) = parse_relations(case.prompt)
        assert frozenset((t.subject, t.object)) in unseen
        relations.append(t.relation)
    assert {relations.count(d) for d in DIRECTIONS} == {48}
    assert all(len(parse_relations(c.prompt)) == 2 for c in chain_cases(40))


def test_a_picture_does_not_depend_on_its_batch_and_a_run_resumes(pipe, judge, objective, tmp_path):
    cases = position_cases("test", 4, seed=3)
    settings = [Setting("plain", None, None), Setting("fast", objective, SteeringPlan.preset("fast"))]
    together = run(pipe, cases, settings, tmp_path / "a", judge=judge, batch=4, steps=6)
    alone = run(pipe, cases, settings, tmp_path / "b", judge=judge, batch=1, steps=6)
    for one, other in zip(together, alone, strict=True):
        assert (one["prompt"], one["objects"]) == (other["prompt"], other["objects"])
    log = tmp_path / "a" / "results.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:4]) + "\n" + lines[4][: len(lines[4]) // 2])  # cut off in mid-line
    again = run(pipe, cases, settings, tmp_path / "a", judge=judge, batch=4, steps=6)
    drop = {"seconds"}
    assert [{k: v for k, v in r.items() if k not in drop} for r in again] == [
        {k: v for k, v in r.items() if k not in drop} for r in together
    ]
    with pytest.raises(SteeringError, match="differ"):
        run(pipe, cases, settings, tmp_path / "a", judge=judge, batch=4, steps=7)


def test_summary_counts_by_hand():
    def row(setting, holds, present, seconds):
        relations = [{"present": present, "holds": holds}]
        return dict(
            setting=setting,
            prompt="",
            seed=0,
            relations=relations,
            present=present,
            duplicates=0,
            evaluations=2,
        ) | {"seconds": seconds}

    table = summarise(
        [row("plain", True, True, 1.0), row("plain", False, True, 1.0), row("plain", False, False, 1.0)]
        + [row("fast", True, True, 1.2)] * 3
    )
    assert table["plain"]["relation"] == pytest.approx(1 / 3)
    assert table["plain"]["given_present"] == pytest.approx(1 / 2)
    assert table["fast"]["cost"] == pytest.approx(1.2)


def test_steering_makes_the_shipped_model_obey(pipe, judge, objective, tmp_path):
    """The product in one test, on object pairs that the classifier has not seen."""
    cases = position_cases("test", 24, seed=11)
    settings = [Setting("plain", None, None), Setting("fast", objective, SteeringPlan.preset("fast"))]
    table = summarise(run(pipe, cases, settings, tmp_path, judge=judge))
    assert table["plain"]["relation"] < 0.65
    assert table["fast"]["relation"] >= table["plain"]["relation"] + 0.2


def test_the_shipped_classifier_reads_the_picture_not_the_word(pipe, objective):
    report = leakage(objective.classifier, record(pipe, object_pairs("test"), 64, seed=9))
    assert report.right > 0.4
    assert abs(report.right - report.wrong) < 0.15  # 64 samples each; the figure of the card is from 1000
    assert report.follows_wrong_word < 0.4


def test_the_classifiers_card_fits_the_shipped_model(pipe, objective):
    card = objective.card
    assert card.family == FAMILY
    assert card.sigmas == pytest.approx(trained_sigmas(pipe), rel=1e-3)
    assert json.loads(card.about)["unseen pairs"]["right"] > 0.4


def test_shipped_files_are_small_half_precision_and_standard(pipe):
    files = [f for folder in (WEIGHTS, CLASSIFIERS) for f in folder.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 40 * 2**20
    assert not [f for f in files if f.suffix in (".bin", ".pt", ".pth", ".pkl")]
    assert pipe.unet.dtype == torch.float32


def test_an_unwritable_folder_is_refused_before_anything_is_drawn(pipe, judge, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SteeringError, match="can be written"):
        run(
            pipe,
            [Case("a dog above a car", 0)],
            [Setting("plain", None, None)],
            tmp_path / "file",
            judge=judge,
        )
