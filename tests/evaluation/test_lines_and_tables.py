"""Lines of results: the same seeds under every setting, two judges, what a line holds; tables of hand-made lines."""

import json
import sys

import numpy as np
import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.bench import Bench, Draw, Setting, draws_of
from learn_to_steer.evaluation.detections import Demand, Thing
from learn_to_steer.evaluation.judges import RuleJudge, judgement
from learn_to_steer.evaluation.opening import open_judge
from learn_to_steer.evaluation.rules import geneval
from learn_to_steer.evaluation.run import evaluate
from learn_to_steer.evaluation.statistics import agreement
from learn_to_steer.evaluation.suites import Case, Visor
from learn_to_steer.evaluation.suites.base import seeds_of
from learn_to_steer.evaluation.tables import (
    agreement_table,
    figures_table,
    judged_by,
    results_table,
    summarise,
)
from learn_to_steer.evaluation.workers import InProcess, RayWorkers
from learn_to_steer.hosts.protocol import Drawn
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan, SteeringTrace

from .made import demand, seen, square


class Painter:
    """A sampler that remembers what it was asked for; its pictures hold their seed."""

    def __init__(self, name="painter"):
        self.name, self.asked = name, []

    def sample(self, prompts, seeds, **way):
        self.asked.append((list(prompts), list(seeds), way))
        pictures = np.stack([np.full((8, 8, 3), s % 256, np.uint8) for s in seeds])
        return Drawn(pictures, SteeringTrace([[] for _ in prompts]), 7, seconds=len(prompts) * 2.0)

    def digest(self):
        return self.name


class Boxes:
    """A detector that sees a dog on the left of a cat in pictures of an even seed."""

    def __init__(self, always=False):
        self.always = always

    def detect(self, pictures, names):
        places = [(20, 80) if self.always or p[0, 0, 0] % 2 == 0 else (80, 20) for p in pictures]
        return [[seen("dog", square(a, 50), 0.9), seen("cat", square(b, 50), 0.9)] for a, b in places]

    def unknown(self, names):
        return [n for n in names if n == "unicorn"]


DRAWS = [Draw("a dog left of a cat", s) for s in (2, 3, 4, 5)]


def bench(*settings, painter=None, judges=1):
    found = [RuleJudge("first", Boxes(), "geneval"), RuleJudge("second", Boxes(always=True), "geneval")]
    return Bench(painter or Painter(), found[:judges], settings, steps=9, guidance=3.0)


PLAIN = Setting("plain", None, None)


def test_settings_draw_from_the_same_seeds_after_a_warm_up_from_others():
    painter, objective = Painter(), CentroidObjective()
    made = bench(PLAIN, Setting("centroid", objective, SteeringPlan.preset("fast")), painter=painter)
    lines = [line for some in made.draw(DRAWS[:2], ["plain", "centroid"]) for line, _ in some]
    prompts, seeds = [d.prompt for d in DRAWS[:2]], [2, 3]
    asked = [(p, s, way["steps"]) for p, s, way in painter.asked]
    other = [s ^ 2**30 for s in seeds]
    assert asked == [(prompts, other, 2), (prompts, seeds, 9)] * 2
    assert [way["objective"] for _, _, way in painter.asked] == [None, None, objective, objective]
    assert lines[0] == {
        "setting": "plain", "prompt": "a dog left of a cat", "seed": 2, "cluster": "cat + dog",
        "right": True, "present": True, "relations": [{"present": True, "holds": True}], "relation_scores": [1.0],
        "score": 1.0, "objects": {"dog": 1, "cat": 1}, "duplicates": 0, "evaluations": 0, "gradients": 0, "calls": 7,
        "seconds": 2.0,
    }  # fmt: skip
    assert [line["right"] for line in lines] == [True, False] * 2
    list(made.draw(DRAWS[2:], ["plain"]))
    assert len(painter.asked) == 5  # warm already


def test_rewriting_changes_the_words_and_not_what_is_steered_or_judged():
    painter = Painter()
    made = bench(Setting("rewritten", CentroidObjective(), None, rewrite=True), painter=painter)
    (lines,) = made.draw(DRAWS[:1], ["rewritten"])
    prompts, _, way = painter.asked[-1]
    assert prompts == [
        "a dog left of a cat. The dog is on the left side of the picture, the cat is on the right side of the picture."
    ]
    assert [(t.subject, t.object) for t in way["triplets"][0]] == [("dog", "cat")]
    assert lines[0][0]["prompt"] == "a dog left of a cat"
    (plain,) = bench(Setting("rewritten", None, None, rewrite=True), painter=painter).draw(
        DRAWS[:1], ["rewritten"]
    )
    assert plain and "triplets" not in painter.asked[-1][2]


def test_a_setting_may_have_a_model_of_its_own():
    own, usual = Painter("own"), Painter()
    made = bench(PLAIN, Setting("steered", None, None, sampler=own), painter=usual)
    list(made.draw(DRAWS[:1], ["plain", "steered"]))
    assert len(own.asked) == len(usual.asked) == 2
    setup = made.setup()
    assert setup["settings"]["steered"][-1] == "own" and setup["judges"] == ["first"]
    assert json.loads(json.dumps(setup)) == setup


def test_what_no_judge_can_judge_is_refused():
    with pytest.raises(SteeringError, match="unicorn"):
        bench(PLAIN).check([*DRAWS, Draw("a unicorn above a dog", 1)])


def test_two_judges_in_lines_and_tables(tmp_path):
    made = bench(PLAIN, judges=2)
    lines = evaluate(InProcess(made), DRAWS, ["plain"], tmp_path, batch=3)
    assert [line["right"] for line in lines] == [True, False, True, False]
    assert [line["others"]["second"]["right"] for line in lines] == [True] * 4
    table = agreement_table(lines, "first", "second")
    rows = [[cell.strip() for cell in row.split("|")][1:-1] for row in table.splitlines()]
    assert rows[0] == ["both judges", "agree", "kappa", "only first", "only second"]
    # They agree on two of four; by chance they would as well, as the second says yes to everything.
    assert rows[2] == ["plain: right", "50.0%", "0.00", "0", "2"]
    # All objects are always there to both: nothing to agree on beyond chance.
    assert rows[3] == ["plain: objects present", "100.0%", "-", "0", "0"]
    shown = figures_table(judged_by(DRAWS, lines, "second"), "visor")
    assert "| right (unconditional) " in shown and "100.0%" in shown


def test_agreement_by_hand():
    # yes/yes 3, yes/no 1, no/yes 2, no/no 4: agree 0.7, by chance 0.4 * 0.5 + 0.6 * 0.5 = 0.5, kappa 0.2 / 0.5
    first = [True] * 4 + [False] * 6
    second = [True] * 3 + [False] + [True] * 2 + [False] * 4
    found = agreement(first, second)
    assert (found.pictures, found.first_only, found.second_only) == (10, 1, 2)
    assert (found.share, found.kappa) == pytest.approx((0.7, 0.4))
    assert agreement([True, False], [False, True]).kappa == pytest.approx(-1)
    assert agreement([True], [True]).kappa is None
    for a, b in (([], []), ([True], [True, False])):
        with pytest.raises(SteeringError, match="both judges"):
            agreement(a, b)


def test_seeds_do_not_depend_on_what_else_is_drawn():
    whole = draws_of(Visor(), 5)[:0] or draws_of(Visor(count=30, seed=1), 5)
    part = draws_of(Visor(count=30, seed=1, pictures=2), 5)
    assert len(whole) == 120 and len({d.seed for d in whole}) == 120
    assert {(d.prompt, d.seed) for d in part} < {(d.prompt, d.seed) for d in whole}
    assert {d.seed for d in whole}.isdisjoint(d.seed for d in draws_of(Visor(count=30, seed=1), 6))
    assert all(0 <= d.seed < 2**31 for d in whole) and whole[0].tag
    assert seeds_of(Case("x", Demand(), 1, seeds=(9,)), 5) == (9,)


def test_duplicates_are_beyond_what_is_asked_for():
    dogs = [seen("dog", square(20, 50), 0.9)] * 3
    two = Demand(counts=((Thing("dog", "dog"), 2),))
    assert judgement(two, dogs, geneval).as_json()["duplicates"] == 1
    assert judgement(demand(("red dog", "left of", "blue dog")), dogs, geneval).as_json()["duplicates"] == 1
    assert judgement(demand(("dog", "left of", "cat")), dogs, geneval).as_json()["duplicates"] == 2


def test_a_prompt_without_relations_is_right_by_its_score():
    two = Demand(counts=((Thing("dog", "dog"), 2),))
    dogs = [seen("dog", square(20, 50), 0.9), seen("dog", square(80, 50), 0.9)]
    lines = []
    for i, found in enumerate((dogs, dogs[:1])):
        line = {
            "setting": "plain",
            "prompt": "two dogs",
            "seed": i,
            "cluster": "dog",
            "evaluations": None,
            "gradients": None,
        }
        lines.append(line | {"seconds": 1.0} | judgement(two, found, geneval).as_json())
    assert summarise(lines)["plain"]["relation"] == 0.5
    row = results_table(summarise(lines)).splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")][-5:-3] == ["-", "-"]  # passes that no host told


def test_figures_of_two_settings_side_by_side():
    lines = [
        {"setting": s, "prompt": "a dog left of a cat", "seed": i, "present": True, "score": float(right),
         "relations": [{"present": True, "holds": right}], "relation_scores": [float(right)]}
        for s, rights in (("plain", [True, False, False, False]), ("fast", [True, True, True, False]))
        for i, right in enumerate(rights)
    ]  # fmt: skip
    draws = [Draw("a dog left of a cat", i) for i in range(4)]
    table = figures_table(judged_by(draws, lines), "visor")
    rows = {cells[1].strip(): cells[2:5] for cells in (line.split("|") for line in table.splitlines())}
    assert [c.strip().split(" ")[0] for c in rows["right (unconditional)"]] == ["25.0%", "75.0%", "4"]
    assert [c.strip().split(" ")[0] for c in rows["VISOR-3"]] == ["0.0%", "100.0%", "1"]


@pytest.mark.parametrize(("module", "extra"), [("ray", "distributed"), ("transformers", "judges")])
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        SteeringError, match=rf"Expected {module}.*learn-to-steer\[{extra}\]|Expected Ray.*\[{extra}\]"
    ):
        RayWorkers(bench, []) if module == "ray" else open_judge("owlv2=somebody/owlv2", "geneval")
