"""`generate --method attention`: boxes, and what is said and written."""

from __future__ import annotations

import json

import pytest

from learn_to_steer.cli import main
from learn_to_steer.cli.guiding import boxes_of, guidance_lines, guided_lines
from learn_to_steer.errors import SteeringError


@pytest.mark.parametrize(
    "text",
    [
        "dog=0,0,0.5,1; teddy bear=0.5,0,1,1",
        '{"dog": [0, 0, 0.5, 1], "teddy bear": [0.5, 0, 1, 1]}',
        " dog = 0, 0, .5, 1 ;teddy bear=0.5,0,1.0,1;",
    ],
)
def test_boxes_are_written_in_two_ways(text):
    assert boxes_of(text) == {"dog": (0.0, 0.0, 0.5, 1.0), "teddy bear": (0.5, 0.0, 1.0, 1.0)}


def test_no_boxes():
    assert boxes_of(None) == boxes_of("  ") == {}


@pytest.mark.parametrize(
    "text",
    [
        "dog",
        "dog=0,0,1",
        "dog=a,b,c,d",
        '{"dog": 3}',
        '{"dog": [0, 0, 1]',
        "=0,0,1,1",
        "dog=0,0,nan,1",
        "[1]",
    ],
)
def test_boxes_of_another_form_are_refused(text):
    with pytest.raises(SteeringError, match="Expected boxes such as"):
        boxes_of(text)


def test_boxes_without_guidance_are_refused(tmp_path, capsys):
    assert (
        main(["generate", "a dog above a car", "--boxes", "dog=0,0,1,1", "--out", str(tmp_path / "x")]) == 2
    )
    assert "--method attention or both" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_picture_is_drawn_and_told_of(tmp_path, capsys):
    given = ["--method", "attention", "--boxes", "car=0.5,0.6,1,1", "--steps", "4", "--out", str(tmp_path)]
    assert main(["generate", "a dog above a car", *given]) == 0
    said = capsys.readouterr().out
    assert "car at 75% from the left and 80% from the top" in said
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace["settings"]["method"] == "attention"
    assert trace["trace"]["guidance"]["layouts"][0]["objects"] == ["dog", "car"]
    assert trace["model_calls"]["steered"] == trace["model_calls"]["plain"] == 4
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "steered.png").read_bytes()


def test_guidance_is_told_in_words():
    guidance = {
        "layers": ["down.0.0"],
        "strength": 4.0,
        "layouts": [{"objects": ["dog"], "places": [[0.25, 0.5]], "sizes": [[0.5, 0.5]], "aspect": 1.0}],
        "steps": [{"step": 0, "on": [[True]]}, {"step": 1, "on": [[False]]}],
    }
    assert guidance_lines(guidance) == [
        "Attention guided to: dog at 25% from the left and 50% from the top",
        "Guided: 1 of 2 steps, 1 attention layers, strength 4",
    ]
    assert guidance_lines(None) == []


def test_boxes_alone_are_no_nothing():
    none = "Understood: no spatial relation, so nothing was steered and both pictures are the same."
    assert guided_lines([none, "Spent: 1"], None) == [none, "Spent: 1"]
    guidance = {"layers": ["a"], "strength": 1.0, "steps": [], "layouts": [{"objects": [], "places": []}]}
    said = guided_lines([none, "Spent: 1"], guidance)
    assert said[0] == "Understood: no spatial relation."
    assert said[1].startswith("Attention guided to")
    assert said[-1] == "Spent: 1"
