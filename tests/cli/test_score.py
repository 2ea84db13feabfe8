"""`score`: a file or the standard input, lines or a table, one sentence for what cannot be used."""

from __future__ import annotations

import io
import json
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
