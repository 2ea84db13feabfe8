"""`evaluate` on tiny random diffusers folders with tiny random judges: suites, two judges, an interruption, Ray."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.evaluation import workers

from ..diffusers.conftest import flux_pipe, pipe, t5_tokenizer, tokenizer, xl_pipe  # noqa: F401
from ..evaluation import tiny_judges

GENEVAL = [
    (
        "position",
        [("cat", 1, {}), ("dog", 1, {"position": ["left of", 0]})],
        "a photo of a dog left of a cat",
    ),
    ("position", [("dog", 1, {}), ("cat", 1, {"position": ["above", 0]})], "a photo of a cat above a dog"),
    ("two_object", [("dog", 1, {}), ("car", 1, {})], "a photo of a dog and a car"),
    ("counting", [("dog", 2, {})], "a photo of two dogs"),
    ("colors", [("dog", 1, {"color": "red"})], "a photo of a red dog"),
]


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    base = tmp_path_factory.mktemp("judges")
    return {
        "owlv2": tiny_judges.owlv2(base / "owlv2", base / "t1"),
        "mask2former": tiny_judges.mask2former(base / "mask2former"),
        "yes-no": tiny_judges.llava(base / "llava"),
        "clip": tiny_judges.clip(base / "clip", base / "t2"),
    }


@pytest.fixture
def metadata(tmp_path):
    def entry(name, count, more):
        return {"class": name, "count": count, **more}

    lines = [
        json.dumps({"tag": tag, "include": [entry(*i) for i in include], "prompt": prompt})
        for tag, include, prompt in GENEVAL
    ]
    file = tmp_path / "metadata.jsonl"
    file.write_text("\n".join(lines))
    return file


def without_times(table):
    """The table less its columns of seconds and cost, which no two runs share."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    timed = [i for i, name in enumerate(rows[0]) if name.startswith(("seconds", "cost"))]
    assert len(timed) == 2
    first = next(i for i, row in enumerate(rows) if len(row) < 3)
    return [[c for i, c in enumerate(row) if i not in timed] for row in rows[:first]] + rows[first:]


def lines_of(folder):
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.mark.parametrize("kind", ["pipe", "xl_pipe", "flux_pipe"])
def test_a_folder_to_the_end_and_after_an_interruption(
    cli, tmp_path, judges, metadata, kind, request, monkeypatch
):
    request.getfixturevalue(kind).save_pretrained(tmp_path / "model")
    arguments = [
        "evaluate", "--model", tmp_path / "model", "--suite", "geneval", "--data", metadata, "--pictures", "2",
        "--judge", judges["owlv2"], "--judge", judges["mask2former"], "--settings", "plain,centroid,rewritten",
        "--steps", "4", "--height", "32", "--width", "48", "--batch", "2",
    ]  # fmt: skip
    whole = cli(*arguments, "--out", tmp_path / "whole")
    assert whole.code == 0, whole.err
    table = (tmp_path / "whole" / "table.md").read_text()
    assert table in whole.out
    for says in (
        "| plain ",
        "| centroid ",
        "| rewritten ",
        "prompts with a right picture",
        "both judges",
        "kappa",
    ):
        assert says in table
    found = lines_of(tmp_path / "whole")
    assert len(found) == 2 * 2 * 3 and {line["setting"] for line in found} == {
        "plain",
        "centroid",
        "rewritten",
    }
    assert all(list(line["others"]) == [str(judges["mask2former"])] for line in found)
    assert {line["evaluations"] for line in found if line["setting"] != "centroid"} == {0}
    assert any(line["evaluations"] > 0 for line in found if line["setting"] == "centroid")
    with Image.open(tmp_path / "whole" / "pictures" / "plain" / f"{found[0]['seed']}.png") as picture:
        assert picture.size == (48, 32)

    # Stopped after two batches, in the middle of a line; then called again.
    work, seen = workers.InProcess.work, []

    def stopping(self, tasks):
        for lines in work(self, tasks):
            if len(seen) == 2:
                raise KeyboardInterrupt
            seen.append(lines)
            yield lines

    monkeypatch.setattr(workers.InProcess, "work", stopping)
    assert cli(*arguments, "--out", tmp_path / "parts").code == 130
    monkeypatch.setattr(workers.InProcess, "work", work)
    log = tmp_path / "parts" / "results.jsonl"
    assert len(log.read_text().splitlines()) == 4 and not (tmp_path / "parts" / "table.md").exists()
    log.write_bytes(log.read_bytes()[:-40])
    assert cli(*arguments, "--out", tmp_path / "parts").code == 0
    again = (tmp_path / "parts" / "table.md").read_text()
    assert without_times(again) == without_times(table)

    def order(x):
        return x["setting"], x["seed"]

    assert sorted(lines_of(tmp_path / "parts"), key=order) == sorted(found, key=order)


def test_every_kind_of_genevals_prompts(cli, tmp_path, judges, metadata, pipe):  # noqa: F811
    pipe.save_pretrained(tmp_path / "model")
    arguments = [
        "evaluate", "--model", tmp_path / "model", "--suite", "geneval", "--data", metadata,
        "--judge", judges["mask2former"], "--kinds", "position,two_object,counting,colors", "--settings", "plain",
        "--steps", "1", "--pictures", "1",
    ]  # fmt: skip
    refused = cli(*arguments, "--out", tmp_path / "out")
    assert (
        refused.code == 2 and "--colours" in refused.err and not (tmp_path / "out" / "results.jsonl").exists()
    )
    done = cli(*arguments, "--colours", judges["clip"], "--out", tmp_path / "out")
    assert done.code == 0, done.err
    table = (tmp_path / "out" / "table.md").read_text()
    for kind in ("position", "two_object", "counting", "colors"):
        assert f"right, {kind}" in table
    assert "mean over kinds of prompts" in table
    assert {line["tag"] for line in lines_of(tmp_path / "out")} == {
        "position",
        "two_object",
        "counting",
        "colors",
    }


def test_visor_and_a_model_that_is_asked(cli, tmp_path, judges, pipe):  # noqa: F811
    pipe.save_pretrained(tmp_path / "model")
    done = cli(
        "evaluate", "--model", tmp_path / "model", "--suite", "visor", "--count", "2", "--judge", judges["yes-no"],
        "--settings", "plain", "--steps", "1", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = (tmp_path / "out" / "table.md").read_text()
    for row in ("objects found (OA)", "right, given found (conditional)", "VISOR-1", "VISOR-4"):
        assert row in table
    lines = lines_of(tmp_path / "out")
    assert len(lines) == 8 and all(line["objects"] is None for line in lines)
    assert re.search(r"\| plain +\| +8 ", table)


def test_own_prompts_under_another_rule(cli, tmp_path, judges, pipe):  # noqa: F811
    pipe.save_pretrained(tmp_path / "model")
    (tmp_path / "own.txt").write_text("a dog left of a cat\na cat above a dog\n")
    done = cli(
        "evaluate", "--model", tmp_path / "model", "--suite", "own", "--data", tmp_path / "own.txt", "--rule", "pse",
        "--judge", judges["mask2former"], "--settings", "plain", "--steps", "1", "--pictures", "1",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "| score " in (tmp_path / "out" / "table.md").read_text()


def test_two_workers_of_ray_give_what_one_process_gives(cli, tmp_path, judges, pipe):  # noqa: F811
    pytest.importorskip("ray")
    pipe.save_pretrained(tmp_path / "model")
    arguments = [
        "evaluate", "--model", tmp_path / "model", "--suite", "visor", "--count", "3", "--pictures", "2",
        "--judge", judges["owlv2"], "--settings", "plain,centroid", "--steps", "2", "--batch", "2", "--device", "cpu",
    ]  # fmt: skip
    assert cli(*arguments, "--out", tmp_path / "one").code == 0
    spread = cli(*arguments, "--ray", "local", "--workers", "2", "--out", tmp_path / "two")
    assert spread.code == 0, spread.err

    def table(name):
        return without_times((tmp_path / name / "table.md").read_text())

    assert table("two") == table("one")
    for setting in ("plain", "centroid"):
        for path in sorted((tmp_path / "one" / "pictures" / setting).iterdir()):
            with (
                Image.open(path) as one,
                Image.open(tmp_path / "two" / "pictures" / setting / path.name) as two,
            ):
                assert (np.asarray(one) == np.asarray(two)).all()
    refused = cli(
        *arguments,
        "--judge",
        tmp_path / "nowhere",
        "--ray",
        "local",
        "--workers",
        "1",
        "--out",
        tmp_path / "x",
    )
    assert refused.code == 2 and refused.err.startswith(
        "learn-to-steer: Expected a folder of a transformers model"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--suite"),
        (["--suite", "visor"], "--judge"),
        (["--suite", "geneval", "--judge", "x/y"], "evaluation_metadata.jsonl"),
        (["--suite", "t2i-compbench", "--judge", "x/y"], "spatial_val.txt"),
        (["--suite", "own", "--judge", "x/y"], "one a line"),
        (["--suite", "visor", "--data", "x", "--judge", "x/y"], "no --data"),
        (["--suite", "visor", "--rule", "pse", "--judge", "x/y"], "suite's own rule"),
        (["--suite", "visor", "--kinds", "position", "--judge", "x/y"], "no --kinds"),
        (["--suite", "visor", "--count", "1", "--judge", "nowhere"], "model id"),
        (["--suite", "visor", "--count", "1", "--judge", "emojiworld"], "open vocabulary"),
        (["--suite", "visor", "--judge", "a", "--judge", "b", "--judge", "c"], "one judge or two"),
        (["--suite", "visor", "--judge", "a", "--settings", "steered"], "settings among"),
        (["--suite", "visor", "--judge", "a", "--server", "http://127.0.0.1:1"], "--graph"),
        (["--suite", "visor", "--judge", "a", "--graph", "nowhere.json"], "nowhere.json"),
        (["--suite", "visor", "--judge", "a", "--graph", "nowhere.json", "--steps", "3"], "--steps"),
    ],
)
def test_bad_input_is_one_sentence(cli, tmp_path, monkeypatch, pipe, arguments, says):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    pipe.save_pretrained(tmp_path / "model")
    result = cli("evaluate", "--model", "model", *arguments, "--out", "out")
    assert (result.code, result.err.count("\n")) == (2, 1) and says in result.err, result.err
    assert not (tmp_path / "out").exists()
