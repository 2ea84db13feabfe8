"""An evaluation goes on from whatever is left of its results: a log that ends at any byte, lost pictures."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.bench import Draw, Setting
from learn_to_steer.evaluation.resuming import LOG, SETUP, resume
from learn_to_steer.evaluation.run import evaluate, picture_file
from learn_to_steer.evaluation.workers import InProcess
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

from .test_lines_and_tables import Painter, bench

DRAWS = [Draw("a dog left of a cat", s) for s in range(2, 7)]
SETTINGS = [Setting("plain", None, None), Setting("centroid", CentroidObjective(), SteeringPlan())]
NAMES = [s.name for s in SETTINGS]


def run(folder, draws=DRAWS, painter=None, sheet=3):
    """What an evaluation returns, less its times, and the seeds that were drawn for it."""
    painter = painter or Painter()
    found = evaluate(InProcess(bench(*SETTINGS, painter=painter)), draws, NAMES, folder, batch=2, sheet=sheet)
    return [{k: v for k, v in one.items() if k != "seconds"} for one in found], painter.asked


def lines_of(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


@pytest.fixture
def whole(tmp_path):
    found, _ = run(tmp_path / "whole")
    return tmp_path / "whole", found


def test_a_log_that_ends_at_any_byte(whole):
    folder, found = whole
    data = (folder / LOG).read_bytes()
    ends = {
        0,
        1,
        len(data) - 1,
        *(i for i, b in enumerate(data) if b == 10),
        *random.Random(0).sample(range(len(data)), 40),
    }
    for end in sorted(ends | {e + 1 for e in ends if e < len(data)}):
        (folder / LOG).write_bytes(data[:end])
        kept = [
            line
            for line in data[:end].split(b"\n")
            if line.endswith(b"}") and line.count(b"{") == line.count(b"}")
        ]
        again, _ = run(folder)
        assert again == found
        assert (
            (folder / LOG).read_bytes().startswith(b"".join(line + b"\n" for line in kept))
        )  # nothing whole is lost
        assert len(lines_of(folder)) == 10


def test_a_whole_line_without_its_end_is_kept(whole):
    folder, _ = whole
    data = (folder / LOG).read_bytes()
    (folder / LOG).write_bytes(data[:-1])
    _, asked = run(folder)
    assert asked == [] and (folder / LOG).read_bytes() == data


@pytest.mark.parametrize(
    "line", [b"\0" * 40, b"", b"{", b"[1]", b'{"setting": "plain"}', b'"x"', b"\xff", b"[" * 100_000]
)
def test_lines_of_nothing_are_drawn_again(whole, line):
    folder, found = whole
    lines = (folder / LOG).read_bytes().splitlines()
    (folder / LOG).write_bytes(b"\n".join([*lines[:3], line, *lines[4:]]) + b"\n")
    again, asked = run(folder)
    assert again == found and len(lines_of(folder)) == 10
    assert {seed for _, seeds, _ in asked for seed in seeds if seed < 2**29} == {
        2,
        3,
    }  # the batch of the third line


def test_results_without_a_setup_are_left_alone(whole):
    folder, _ = whole
    data = (folder / LOG).read_bytes()
    for content in (None, "", '{"steps": 9', "[" * 100_000):
        (folder / SETUP).unlink(missing_ok=True)
        if content is not None:
            (folder / SETUP).write_text(content)
        with pytest.raises(
            SteeringError, match="what the results beside it were drawn with, but it cannot be read"
        ):
            run(folder)
        assert (folder / LOG).read_bytes() == data
    (folder / LOG).write_bytes(data[:20])  # no whole line: nothing to lose
    assert len(run(folder)[0]) == 10 and json.loads((folder / SETUP).read_text())["steps"] == 9


def test_results_of_another_setup_are_left_alone(whole):
    folder, _ = whole
    data = (folder / LOG).read_bytes()[:-5]
    (folder / LOG).write_bytes(data)
    with pytest.raises(SteeringError, match="choose another folder"):
        run(folder, painter=Painter("another"))
    assert (folder / LOG).read_bytes() == data


def test_pictures_of_the_sheet_that_are_gone_are_drawn_again(whole):
    folder, found = whole
    data = (folder / LOG).read_bytes()
    missing, torn = picture_file(folder, "plain", 2), picture_file(folder, "centroid", 4)
    before = torn.read_bytes()
    missing.unlink()
    torn.write_bytes(before[: len(before) // 2])
    again, asked = run(folder)
    assert again == found and (folder / LOG).read_bytes() == data
    assert torn.read_bytes() == before and (np.asarray(Image.open(missing)) == 2).all()
    assert sum(len(seeds) for _, seeds, way in asked if way["steps"] == 9) == 4  # one batch of two each
    # A part of the pictures has others on its sheet than the whole.
    run(folder, draws=DRAWS[2:])
    assert all(picture_file(folder, name, 6).is_file() for name in NAMES)
    assert not list((folder / "pictures").rglob("*.part"))


def test_a_log_that_is_none(tmp_path):
    (tmp_path / LOG).mkdir()
    with pytest.raises(SteeringError, match="cannot be read"):
        resume(tmp_path, {})
