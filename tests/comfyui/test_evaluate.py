"""`evaluate --graph` through a real server, beside the same pictures through diffusers.

The command line runs in a process of its own. LEARN_TO_STEER_PYTHON names its interpreter, where the host's has no
diffusers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_server import server  # noqa: F401

PYTHON = os.environ.get("LEARN_TO_STEER_PYTHON") or sys.executable
GRAPHS = Path(__file__).parent / "graphs"
SHARED = ["--suite", "emojiworld", "--images", "8", "--seed", "31", "--judge", "emojiworld"]


def evaluate(*arguments):
    """The command line in a process of its own, as a user calls it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [PYTHON, "-m", "learn_to_steer", "evaluate", *map(str, arguments)]
    done = subprocess.run(command, cwd=Path.home(), env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def judged(folder, setting):
    """What was judged of each picture: everything but times, and counts that only one host knows."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    told = (
        "prompt",
        "seed",
        "right",
        "present",
        "relations",
        "objects",
        "duplicates",
        "evaluations",
        "gradients",
    )
    return [{key: line[key] for key in told} for line in lines if line["setting"] == setting]


@pytest.fixture(scope="module")
def diffusers():
    if subprocess.run([PYTHON, "-c", "import diffusers"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no diffusers; name one that has by LEARN_TO_STEER_PYTHON")


@pytest.mark.parametrize("name", ["1-first-steps-emojiworld"])
def test_the_server_gives_the_table_that_diffusers_gives(server, diffusers, tmp_path, name):  # noqa: F811
    graph = ["--graph", GRAPHS / f"{name}.json", "--server", server.address]
    code, said, errors = evaluate(*SHARED, *graph, "--out", tmp_path / "server")
    assert code == 0, errors
    assert (tmp_path / "server" / "table.md").read_text() in said
    code, _, errors = evaluate(*SHARED, "--settings", "plain,fast", "--out", tmp_path / "folder")
    assert code == 0, errors
    for there, here in (("plain", "plain"), ("steered", "fast")):
        assert judged(tmp_path / "server", there) == judged(tmp_path / "folder", here)
    assert sum(line["evaluations"] for line in judged(tmp_path / "server", "steered")) > 0
    # Called again, there is nothing left to draw.
    before = (tmp_path / "server" / "results.jsonl").read_bytes()
    code, again, _ = evaluate(*SHARED, *graph, "--out", tmp_path / "server")
    assert code == 0 and (tmp_path / "server" / "results.jsonl").read_bytes() == before


def test_a_graph_with_apply_and_a_custom_sampler(server, tmp_path):  # noqa: F811
    code, said, errors = evaluate(
        "--suite", "emojiworld", "--images", "2", "--judge", "emojiworld", "--settings", "plain,steered,rewritten",
        "--graph", GRAPHS / "4-sampler-custom-advanced.json", "--server", server.address, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, errors
    assert all(f"| {setting} " in said for setting in ("plain", "steered", "rewritten"))
    assert all(line["evaluations"] > 0 for line in judged(tmp_path / "out", "steered"))
    plain, again = judged(tmp_path / "out", "plain"), judged(tmp_path / "out", "rewritten")
    assert [line["evaluations"] for line in plain + again] == [0] * 4


def test_a_graph_that_the_server_cannot_run_is_one_sentence(server, tmp_path):  # noqa: F811
    graph = json.loads((GRAPHS / "1-first-steps-emojiworld.json").read_text())
    graph["4"]["inputs"]["classifier_name"] = "emojiworld-mmdit-symmetric.safetensors"
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    code, _, errors = evaluate(
        "--suite", "emojiworld", "--images", "2", "--judge", "emojiworld", "--settings", "steered",
        "--graph", tmp_path / "graph.json", "--server", server.address, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2 and "LearnToSteer_SteeringKSampler" in errors and "Expected a classifier for" in errors
