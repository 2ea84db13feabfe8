"""Suites: how many cases, which prompts, what is asked of their pictures."""

import json
from collections import Counter
from pathlib import Path

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.detections import Thing
from learn_to_steer.evaluation.rules import RULES
from learn_to_steer.evaluation.suites import GenEval, OwnPrompts, T2ICompBench, Visor
from learn_to_steer.evaluation.suites.visor import NOUNS
from learn_to_steer.language import parse_relations

PROMPTS = Path(__file__).parent.parent / "fixtures" / "prompts"


def test_genevals_position_prompts():
    suite = GenEval(PROMPTS / "geneval_position.jsonl")
    cases = suite.cases()
    assert len(cases) == 100 and {c.pictures for c in cases} == {4} and suite.rule in RULES
    # The first line: "a photo of a dog right of a teddy bear"
    (asked,) = cases[0].demand.relations
    assert (cases[0].prompt, asked.words) == (
        "a photo of a dog right of a teddy bear", ("dog", "to the right of", "teddy bear"),
    )  # fmt: skip
    assert cases[0].names == ("dog", "teddy bear") and cases[0].cluster == ("dog", "teddy bear")
    relations = Counter(c.demand.relations[0].relation.value for c in cases)
    assert relations == {"below": 28, "to the right of": 27, "above": 26, "to the left of": 19}


def test_genevals_other_kinds(tmp_path):
    file = tmp_path / "metadata.jsonl"
    cup = {"class": "cup", "count": 3}
    lines = [
        {
            "tag": "counting",
            "include": [cup],
            "exclude": [cup | {"count": 4}],
            "prompt": "a photo of three cups",
        },
        {"tag": "colors", "include": [cup | {"color": "red"}], "prompt": "a photo of red cups"},
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    (case,) = GenEval(file, tags=("counting", "two_object")).cases()
    assert (case.tag, case.demand.counting, case.demand.counts[0][1], case.demand.limits[0][1]) == (
        "counting", True, 3, 4,
    )  # fmt: skip
    (coloured,) = GenEval(file, tags=("colors",)).cases()
    assert coloured.demand.colours == ((Thing("cup", "cup"), "red", 3),) and coloured.names == ("cup",)
    with pytest.raises(SteeringError, match="got 'scenes'"):
        GenEval(file, tags=("scenes",)).cases()
    with pytest.raises(SteeringError, match="position"):
        GenEval(file).cases()
    for bad in (
        "{",
        "[1]",
        '{"tag": "counting", "prompt": "x"}',
        '{"tag": "counting", "prompt": "x", "include": 3}',
    ):
        file.write_text(f"{json.dumps(lines[0])}\n{bad}\n")
        with pytest.raises(SteeringError, match="^Line 2 of .*: Expected "):
            GenEval(file, tags=("counting",)).cases()


def test_t2i_compbenchs_prompts():
    cases = T2ICompBench(PROMPTS / "t2i_compbench_spatial_train.txt").cases()
    assert len(cases) == 700
    assert cases[0].demand.relations[0].words == ("balloon", "above", "giraffe")
    assert all(len(c.demand.relations) == 1 for c in cases)
    assert cases[3].demand.relations[0].words == ("rabbit", "next to", "balloon")


def test_visors_prompts():
    assert len(NOUNS) == len(set(NOUNS)) == 80
    cases = Visor().cases()
    assert len(cases) == len({c.prompt for c in cases}) == 80 * 79 * 4
    prompts = {c.prompt: c for c in cases}
    assert prompts["an umbrella below a hot dog"].names == ("umbrella", "hot dog")
    assert prompts["a dog to the left of an apple"].cluster == ("apple", "dog")
    assert {c.pictures for c in cases} == {4}


def test_visors_prompts_say_what_they_ask():
    for case in Visor(count=400, seed=3).cases():
        (found,) = parse_relations(case.prompt)
        assert (found.subject, found.relation.value, found.object) == case.demand.relations[0].words


def test_a_part_of_visor_is_chosen_by_its_seed():
    part = [c.prompt for c in Visor(count=40, seed=1).cases()]
    assert part == [c.prompt for c in Visor(count=40, seed=1).cases()] and len(set(part)) == 40
    order = {c.prompt: i for i, c in enumerate(Visor().cases())}
    assert sorted(part, key=order.__getitem__) == part
    assert part != [c.prompt for c in Visor(count=40, seed=2).cases()]
    for count in (0, 25_281):
        with pytest.raises(SteeringError, match="25280"):
            Visor(count=count).cases()


def test_own_prompts(tmp_path):
    file = tmp_path / "own.txt"
    file.write_text('\ufeffa red dog above a cat\r\n\n{"prompt": "a fox next to a cup"}\n', encoding="utf-8")
    cases = OwnPrompts(file, rule="t2i-compbench", pictures=2).cases()
    assert [(c.prompt, c.pictures, c.names) for c in cases] == [
        ("a red dog above a cat", 2, ("dog", "cat")),
        ("a fox next to a cup", 2, ("fox", "cup")),
    ]
    with pytest.raises(SteeringError, match="line 3"):  # GenEval has no say on "next to"
        OwnPrompts(file).cases()
    file.write_text("a dog above a cat\n{}\n")
    with pytest.raises(SteeringError, match="line 2"):
        OwnPrompts(file).cases()


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff\xfe\xfd"])
def test_files_that_are_none(tmp_path, content):
    file = tmp_path / "prompts"
    if content is not None:
        file.write_bytes(content)
    for suite in (GenEval(file), T2ICompBench(file), OwnPrompts(file)):
        with pytest.raises(SteeringError, match="Expected "):
            suite.cases()
    with pytest.raises(SteeringError, match="rule"):
        file.write_bytes(b"a dog above a cat")
        OwnPrompts(file, rule="mine").cases()
