"""Lines of detections in, verdicts and tables out."""

import json

import numpy as np
import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.records import read_mask
from learn_to_steer.evaluation.rules import RULES, rule_named
from learn_to_steer.evaluation.score import score_lines
from learn_to_steer.evaluation.statistics import clustered_interval
from learn_to_steer.evaluation.summary import summary

LEFT, RIGHT = [0, 40, 20, 60], [80, 40, 100, 60]  # d.x = (-80 + 4) / 80 = -0.95


def line(prompt="a dog to the left of a cat", dog=LEFT, cat=RIGHT, **more):
    detections = [{"name": n, "box": b, "score": 0.9} for n, b in (("dog", dog), ("cat", cat)) if b]
    return {"prompt": prompt, "detections": detections} | more


def judged(lines, rule="geneval"):
    return list(score_lines([json.dumps(x).encode() for x in lines], rule, "made.jsonl"))


def out(record, rule="geneval"):
    return judged([record], rule)[0].as_json()


def test_a_line_in_and_a_line_out():
    assert out(line()) == {
        "prompt": "a dog to the left of a cat",
        "present": True,
        "relations": [{"relation": ["dog", "to the left of", "cat"], "holds": True, "score": 1.0}],
        "score": 1.0,
    }
    missing = out(line(cat=None))
    assert (missing["present"], missing["relations"][0]["holds"], missing["score"]) == (False, False, 0.0)
    assert out(line() | {"detections": []})["present"] is False


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_judges_the_same_picture(rule):
    masks = [{"name": n, "mask": m} for n, m in (("dog", [[1, 0, 0]]), ("cat", [[0, 0, 1]]))]
    record = line() if rule != "pse" else {"prompt": "a dog left of a cat", "detections": masks}
    result = out(record, rule)
    assert result["present"] and result["relations"][0]["holds"]
    # T2I-CompBench counts the detections' scores: 0.25 * 0.9 + 0.25 * 0.9 + 0.5
    assert result["score"] == pytest.approx(0.95 if rule == "t2i-compbench" else 1)


def test_a_missing_score_is_sure():
    found = [{"name": "dog", "box": LEFT}, {"name": "cat", "box": RIGHT}]
    assert out(line() | {"detections": found}, "t2i-compbench")["score"] == 1


def test_what_is_asked_can_be_given():
    by_hand = out(line("nothing of note", relations=[["dog", "right_of", "cat"], ["cat", "right of", "dog"]]))
    assert [r["relation"][1] for r in by_hand["relations"]] == ["to the right of"] * 2
    assert [r["holds"] for r in by_hand["relations"]] == [False, True]
    assert out(line("nothing of note", triplets=[["dog", "left of", "cat"]]))["score"] == 1


def test_genevals_own_metadata_says_what_is_asked():
    cat, dog = {"class": "cat", "count": 1}, {"class": "dog", "count": 1, "position": ["left of", 0]}
    result = out(line("x", tag="position", include=[cat, dog]))
    assert result["relations"] == [
        {"relation": ["dog", "to the left of", "cat"], "holds": True, "score": 1.0}
    ]
    counting = {"tag": "counting", "include": [cat], "exclude": [cat | {"count": 2}]}
    assert out(line("x", **counting))["score"] == 0  # 0.9 does not exceed 0.9
    surer = [{"name": "cat", "box": RIGHT, "score": 0.95}]
    assert out(line("x", **counting) | {"detections": surer})["score"] == 1
    assert out(line("x", **counting) | {"detections": surer * 2})["score"] == 0


def test_relations_that_the_rule_does_not_judge():
    result = out(line("a dog inside a cat, and the dog is to the left of the cat"))
    assert [r["relation"][1] for r in result["relations"]] == ["to the left of"]
    assert result["not_judged"] == [["dog", "inside", "cat"]] and result["score"] == 1
    nothing = out(line("a dog and a cat"))
    assert (nothing["relations"], nothing["score"]) == ([], None)
    with pytest.raises(SteeringError, match="Line 1 of made.jsonl: .*inside"):
        out(line(relations=[["dog", "inside", "cat"]]))
    assert out(line(relations=[["dog", "next to", "cat"]]), "t2i-compbench")["relations"][0]["holds"]


def detection(**changes):
    return line() | {"detections": [{"name": "dog", "box": LEFT, "score": 0.5} | changes]}


BAD = {
    "no JSON": b"{",
    "deep": b"[" * 100_000,
    "no object": b"[1]",
    "no prompt": json.dumps({"detections": []}).encode(),
    "prompt of another kind": json.dumps(line() | {"prompt": 3}).encode(),
    "no detections": json.dumps({"prompt": "a dog above a cat"}).encode(),
    "detections of another kind": json.dumps(line() | {"detections": {"name": "dog"}}).encode(),
    "no name": json.dumps(detection(name=None)).encode(),
    "empty name": json.dumps(detection(name=" ")).encode(),
    "no box": json.dumps(detection(box=None)).encode(),
    "three numbers": json.dumps(detection(box=[1, 2, 3])).encode(),
    "a text": json.dumps(detection(box=[1, 2, 3, "4"])).encode(),
    "true": json.dumps(detection(box=[0, 0, 3, True])).encode(),
    "NaN": json.dumps(detection(box=[1, 2, 3, float("nan")])).encode(),
    "infinity": json.dumps(detection(box=[1, 2, 3, float("inf")])).encode(),
    "beyond floats": json.dumps(detection(box=[1, 2, 3, 10**400])).encode(),
    "swapped corners": json.dumps(detection(box=[5, 0, 4, 9])).encode(),
    "upside down": json.dumps(detection(box=[0, 5, 9, 4])).encode(),
    "score above 1": json.dumps(detection(score=1.5)).encode(),
    "score NaN": json.dumps(detection(score=float("nan"))).encode(),
    "score a text": json.dumps(detection(score="high")).encode(),
    "relations a text": json.dumps(line(relations="dog left of cat")).encode(),
    "relations of two": json.dumps(line(relations=[["dog", "cat"]])).encode(),
    "unknown relation": json.dumps(line(relations=[["dog", "beyond", "cat"]])).encode(),
    "include a text": json.dumps(line(include="dog")).encode(),
    "include without count": json.dumps(line(include=[{"class": "dog"}])).encode(),
    "position of nothing": json.dumps(
        line(include=[{"class": "dog", "count": 1, "position": ["left of", 4]}])
    ).encode(),
    "colour": json.dumps(line(include=[{"class": "dog", "count": 1, "color": "red"}])).encode(),
    "no UTF-8": b'{"prompt": "\xff"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_named_in_one_sentence(bad):
    good = json.dumps(line()).encode()
    with pytest.raises(SteeringError) as caught:
        list(score_lines([good, b"\n", bad, good], "geneval", "made.jsonl"))
    message = str(caught.value)
    assert message.startswith("Line 3 of made.jsonl: Expected ")
    assert "\n" not in message and len(message) < 400 and message.endswith(".")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"prompt": "a dog" "detections": []}', "at character 20); write one whole object a line."),
        ("{", "at character 2); write one whole object a line."),
        ('{"prompt": "a dog", "detections": [%s]}' % ("1" * 5000), "(a number of too many digits)"),
        ("[" * 100_000, "(nested too deeply)"),
        ("[{}, {}]", "got a list of 2; write each of its objects on a line of its own."),
    ],
)
def test_what_is_no_json_says_where_and_what_to_do(text, says):
    with pytest.raises(SteeringError) as caught:
        list(score_lines([text.encode()], "geneval", "x"))
    assert says in str(caught.value)


def test_boxes_without_size_are_judged():
    assert out(line(dog=[10, 50, 10, 50], cat=[90, 50, 90, 50]))["score"] == 1
    same = out(line(dog=[10, 50, 10, 50], cat=[10, 50, 10, 50]))
    assert (same["present"], same["score"]) == (True, 0)


def test_empty_lines_and_files():
    lines = [b"\xef\xbb\xbf" + json.dumps(line()).encode() + b"\r\n", b"  \n"]
    assert len(list(score_lines(lines, "geneval", "x"))) == 1
    with pytest.raises(SteeringError, match="got none"):
        list(score_lines([b"\n"], "geneval", "x"))
    # Files with a byte order mark, one after the other.
    assert len(list(score_lines([lines[0], lines[0], b"\xef\xbb\xbf\n"], "geneval", "x"))) == 2
    with pytest.raises(SteeringError, match="visor"):
        rule_named("other")


def test_masks_of_both_forms():
    rows = [[0, 1, 0], [0, 1, 1]]
    # Down the columns: 0 0 | 1 1 | 0 1
    runs = {"size": [2, 3], "counts": [2, 2, 1, 1]}
    assert read_mask(rows).tolist() == read_mask(runs).tolist() == np.array(rows, dtype=bool).tolist()


@pytest.mark.parametrize(
    "mask",
    [
        None,
        [],
        [[]],
        [[0, 0]],
        [[1, 2]],
        [[1], [1, 0]],
        [[1.0]],
        [[[1]]],
        "x",
        {"size": [2, 2], "counts": "52203"},
        {"size": [2, 2], "counts": [1, 1]},
        {"size": [2, 2], "counts": [-1, 5]},
        {"size": [2], "counts": [1, 1]},
        {"size": [10**6, 10**6], "counts": [0, 10**12]},
        {"counts": [1]},
    ],
)
def test_bad_masks(mask):
    record = {"prompt": "a dog left of a cat", "detections": [{"name": "dog", "mask": mask}]}
    with pytest.raises(SteeringError, match="^Line 1 of made.jsonl: Expected "):
        judged([record], "pse")


def table(text):
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("|")][2:]
    return {name: (value, of) for name, value, _, of in rows}


def test_genevals_table():
    # Prompt one (cat and dog): right, wrong, without its cat. Prompt two (the same objects): right.
    below = "a dog below a cat"
    pictures = judged(
        [line(), line(dog=RIGHT, cat=LEFT), line(cat=None), line(below, [40, 80, 60, 100], [40, 0, 60, 20])]
    )
    text = summary(pictures, "geneval")
    assert table(text) == {
        "all objects present": ("75.0%", "4 pictures"),
        "right": ("50.0%", "4 pictures"),
        "right, given all present": ("66.7%", "3 pictures"),
        "to the left of": ("33.3%", "3 relations"),
        "below": ("100.0%", "1 relation"),
        "prompts with a right picture": ("100.0%", "2 prompts"),
    }
    assert "4 pictures of 2 prompts, intervals over 1 set of objects" in text


def test_genevals_kinds_of_prompts_count_alike():
    cat, dog = {"class": "cat", "count": 1}, {"class": "dog", "count": 1}
    two = line("a cat and a dog", include=[cat, dog], tag="two_object")
    position = line(include=[cat, dog | {"position": ["right of", 0]}], tag="position")
    rows = table(summary(judged([two, two, two, position]), "geneval"))
    assert (rows["right, two_object"][0], rows["right, position"][0]) == ("100.0%", "0.0%")
    assert rows["mean over kinds of prompts"] == ("50.0%", "2 kinds")


def test_too_many_is_not_right():
    cat = {"class": "cat", "count": 1}
    asked = {"tag": "two_object", "include": [cat], "exclude": [cat | {"count": 2}]}
    twice = line("a photo of a cat", **asked)
    twice["detections"] *= 2
    rows = table(summary(judged([twice, line("a photo of a cat", **asked)]), "geneval"))
    assert (rows["all objects present"][0], rows["right"][0]) == ("100.0%", "50.0%")


def test_visors_table():
    # One prompt 2 of 4 right and once without its cat, another 4 of 4.
    first = [line(), line(), line(dog=RIGHT, cat=LEFT), line(cat=None)]
    second = [line("a bird to the right of a cup", dog=None, cat=None)] * 4
    for record in second:
        record["detections"] = [{"name": "bird", "box": RIGHT}, {"name": "cup", "box": LEFT}]
    pictures = judged(first + second, "visor")
    rows = table(summary(pictures, "visor"))
    assert {name: value for name, (value, _) in rows.items()} == {
        "objects found (OA)": "87.5%",
        "right (unconditional)": "75.0%",
        "right, given found (conditional)": "85.7%",  # 6 of 7
        "to the left of": "50.0%",
        "to the right of": "100.0%",
        "VISOR-1": "100.0%",
        "VISOR-2": "100.0%",
        "VISOR-3": "50.0%",
        "VISOR-4": "50.0%",
    }
    # One pair of two has three right pictures: a resample of both is 0, 1/2 or 1.
    assert "| VISOR-3 | 50.0% | 0.0% - 100.0% | 2 prompts |" in summary(pictures, "visor")
    uneven = summary(judged(first[:3] + second, "visor"), "visor")
    assert "VISOR-1" not in uneven and "No VISOR-n" in uneven


def test_soft_rules_have_a_mean_score_with_an_interval_over_pairs():
    lines = [line(), line(cat=None), line("a frog left of a cup", relations=[["frog", "left of", "cup"]])]
    text = summary(judged(lines, "t2i-compbench"), "t2i-compbench")
    assert table(text)["score"] == ("0.317", "3 pictures")  # (0.95 + 0 + 0) / 3
    assert table(text)["to the left of"] == ("0.333", "3 relations")
    low, high = clustered_interval([0.95, 0, 0], ["cat dog", "cat dog", "cup frog"])
    assert f"| 0.317 | {low:.3f} - {high:.3f} | 3 pictures |" in text
    same = summary(judged([line(), line("a dog left of a cat")], "t2i-compbench"), "t2i-compbench")
    assert "| score | 0.950 | - | 2 pictures |" in same  # no spread is no certainty


def test_what_is_not_counted_is_said():
    text = summary(judged([line("a dog and a cat"), line("a dog inside a cat left of a cup")]), "geneval")
    assert "Not counted, as nothing was asked that the rule judges: 1 picture." in text
    assert "no say on them: 1 relation." in text
    empty = summary(judged([line("a dog and a cat")]), "geneval")
    assert table(empty)["right"] == ("-", "0 pictures")
