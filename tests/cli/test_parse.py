"""`parse`: prompts in, JSON lines out, at once and without the heavy packages."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a dog to the left of a teddy bear"
TRIPLET = ["dog", "to the left of", "teddy bear"]


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_prompts_become_json_lines(cli):
    result = cli("parse", PROMPT, "a dog and a café")
    assert (result.code, result.err) == (0, "")
    assert lines(result.out) == [
        {"prompt": PROMPT, "triplets": [TRIPLET]},
        {"prompt": "a dog and a café", "triplets": []},
    ]
    assert "café" in result.out


def test_what_is_doubtful_and_what_is_not_read_is_printed(cli):
    doubtful, foreign, unread = lines(
        cli("parse", "a bear on its hind legs", "ein Hund neben einer Katze", "собака слева от кошки").out
    )
    assert (doubtful["triplets"], doubtful["doubtful"][0][:3]) == ([], ["bear", "above", "hind legs"])
    assert (foreign["triplets"], foreign["language"]) == ([["Hund", "next to", "Katze"]], "de")
    assert (unread["triplets"], unread["language"]) == ([], "")
    assert "not read" in unread["note"]


def test_file_of_plain_and_json_lines(cli, tmp_path):
    file = tmp_path / "prompts.txt"
    record = {"tag": "position", "prompt": PROMPT}
    file.write_text(f"\ufeff{PROMPT}\r\n\n  \n{json.dumps(record)}\n{{red|blue}} dog above a cat\n", "utf-8")
    result = cli("parse", "--file", file)
    found = lines(result.out)
    assert [f["prompt"] for f in found] == [PROMPT, PROMPT, "{red|blue} dog above a cat"]
    assert found[0]["triplets"] == found[1]["triplets"] == [TRIPLET]


def test_standard_input(cli, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{PROMPT}\n".encode())))
    assert lines(cli("parse", "--file", "-").out)[0]["triplets"] == [TRIPLET]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"text": "a dog above a cat"}', b'{"prompt": 3}'])
def test_bad_file_is_refused_in_one_line(cli, tmp_path, content):
    file = tmp_path / "bad"
    file.write_bytes(content)
    result = cli("parse", "--file", file)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("arguments", [[], ["--file", "no such file"], ["--file", "."], ["--colour", "red"]])
def test_bad_arguments_are_refused_in_one_line(cli, arguments):
    result = cli("parse", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("learn-to-steer: ") and result.err.count("\n") == 1


def test_help_ends_well(capsys):
    from learn_to_steer.cli import main

    for command in ([], ["parse"], ["generate"], ["evaluate"], ["convert"], ["emojiworld", "train", "judge"]):
        with pytest.raises(SystemExit) as end:
            main([*command, "--help"])
        assert end.value.code == 0
        assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize("module", ["learn_to_steer", "learn_to_steer.cli"])
def test_as_a_module(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "parse", PROMPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert lines(done.stdout)[0]["triplets"] == [TRIPLET]


def test_nothing_heavy_is_imported():
    code = (
        "import sys; from learn_to_steer.cli import main; main(['parse', 'a dog above a cat']); "
        "assert not {'torch', 'numpy', 'matplotlib', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    file = tmp_path / "many"
    file.write_text(f"{PROMPT}\n" * 5000)
    command = [sys.executable, "-m", "learn_to_steer.cli", "parse", "--file", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
