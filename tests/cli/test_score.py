"""`score`: a file or the standard input, lines or a table, one sentence for what cannot be used."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from learn_to_steer.cli.score import RULES
from learn_to_steer.evaluation import rules

LINE = json.dumps(
    {
        "prompt": "a dog to the left of a café",
        "detections": [
            {"name": "dog", "box": [0, 40, 20, 60], "score": 0.9},
            {"name": "café", "box": [80, 40, 100, 60]},
        ],
    },
    ensure_ascii=False,
)


def test_the_rules_are_those_of_the_room():
    assert RULES == tuple(rules.RULES)


def test_lines_and_table(cli, tmp_path):
    file = tmp_path / "found.jsonl"
    file.write_text(LINE + "\n" + LINE, encoding="utf-8")
    result = cli("score", file, "--rule", "geneval")
    assert result.code == 0
    assert [json.loads(line) for line in result.out.splitlines()] == [
        {
            "prompt": "a dog to the left of a café",
            "present": True,
            "relations": [{"relation": ["dog", "to the left of", "café"], "holds": True, "score": 1.0}],
            "score": 1.0,
        }
    ] * 2
    table = cli("score", file, "--rule", "visor", "--summary")
    assert table.code == 0 and "| VISOR-2 | 100.0% |" in table.out


def test_the_standard_input(cli, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(LINE.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert json.loads(cli("score", "-", "--rule", "t2i-compbench").out)["score"] == pytest.approx(0.975)


def test_nothing_is_written_where_a_line_is_bad(cli, tmp_path):
    file = tmp_path / "found.jsonl"
    file.write_text(LINE + '\n{"prompt": "x"}\n', encoding="utf-8")
    cases = [
        (("score", file, "--rule", "geneval"), f"Line 2 of {file}"),
        (("score", tmp_path / "none", "--rule", "geneval"), "cannot be read"),
        (("score", tmp_path, "--rule", "geneval"), "cannot be read"),
        (("score", file), "--rule"),
        (("score", file, "--rule", "best"), "best"),
    ]
    for arguments, says in cases:
        result = cli(*arguments)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert says in result.err


def test_what_a_terminal_has_no_letters_for_is_still_json(tmp_path):
    """Every reader gets the same objects, whatever the output's encoding."""
    file = tmp_path / "found.jsonl"
    file.write_text(LINE.replace("café", "\U0001f600 café"), encoding="utf-8")
    command = [sys.executable, "-m", "learn_to_steer", "score", str(file), "--rule", "geneval"]
    said = [
        subprocess.run(
            command, env=os.environ | {"PYTHONIOENCODING": kind}, capture_output=True, check=True
        ).stdout
        for kind in ("ascii", "cp1252", "utf-8")
    ]
    assert [json.loads(text)["prompt"] for text in said] == ["a dog to the left of a \U0001f600 café"] * 3
    assert said[2].decode("utf-8").count("café") == 2 and said[0].isascii()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_is_one_sentence(tmp_path):
    file = tmp_path / "found.jsonl"
    file.write_text((LINE + "\n") * 200, encoding="utf-8")
    for more in ([], ["--summary"]):
        command = [sys.executable, "-m", "learn_to_steer", "score", str(file), "--rule", "geneval", *more]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "there is none left" in done.stderr
