"""The shipped graphs as they are saved: tidy, legible when opened, and with a note that says what to do next.

That they are so in both canvases of a real page, before and after a run, is shown by `browser.py`.
"""

from __future__ import annotations

import json

import pytest
from conftest import ROOT
from PIL import Image

FILES = sorted((ROOT / "workflows").glob("*.json"))
LINE = 13  # pixels of a line in a text box of the classic canvas
GROWN = {"LearnToSteer_SteeringOptions": 350}  # the classic canvas shows every widget, whatever size is saved
WINDOW = (1920, 1080)
BARS = (100, 60, 0, 0)  # the page's own, left and top


@pytest.fixture(params=FILES, ids=lambda f: f.stem)
def graph(request):
    return json.loads(request.param.read_text())


def _boxes(graph):
    """Left, top, right and bottom of each node, its title of 30 pixels included."""
    return {
        f"{n['id']} {n['type']}": (
            n["pos"][0],
            n["pos"][1] - 30,
            n["pos"][0] + n["size"][0],
            n["pos"][1] + max(n["size"][1], GROWN.get(n["type"], 0)),
        )
        for n in graph["nodes"]
    }


def test_no_node_covers_another(graph):
    boxes = list(_boxes(graph).items())
    for k, (name, a) in enumerate(boxes):
        for other, b in boxes[:k]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3], (name, other)


def test_all_of_it_is_seen_when_it_is_opened(graph):
    """In a window of 1920 x 1080, at the scale and place that are saved with it, at three quarters of its size or more."""
    view = graph["extra"]["ds"]
    assert view["scale"] >= 0.75
    for name, (left, top, right, low) in _boxes(graph).items():
        x, y = ((p + o) * view["scale"] for p, o in zip((left, top), view["offset"], strict=True))
        assert x >= 60 and y >= 70, name  # the page's side bar and its upper bars
        end = ((p + o) * view["scale"] for p, o in zip((right, low), view["offset"], strict=True))
        assert all(e <= w for e, w in zip(end, WINDOW, strict=True)), name


def test_text_boxes_have_several_lines(graph):
    for n in graph["nodes"]:
        if n["type"] == "LearnToSteer_RelationPrompt":
            # Three boxes below three outputs of 20 pixels each.
            assert (n["size"][1] - 60) / 3 >= 6 * LINE and n["size"][0] >= 360
        if n["type"] == "CLIPTextEncode":
            assert n["size"][1] - 40 >= 6 * LINE


def test_a_report_can_be_read_where_it_is_shown(graph):
    """A sheet is about 1000 pixels wide with letters of 15: at least two thirds of that on the screen."""
    sources = {link[0]: link[1] for link in graph["links"]}
    by_id = {n["id"]: n for n in graph["nodes"]}
    for n in graph["nodes"]:
        link = next((i.get("link") for i in n.get("inputs", []) if i["name"] == "images"), None)
        if link is not None and by_id[sources[link]]["type"] == "LearnToSteer_SteeringReport":
            assert n["size"][0] * graph["extra"]["ds"]["scale"] >= 660 and n["size"][1] >= 600


def test_a_note_says_what_to_do_next(graph):
    (note,) = (n for n in graph["nodes"] if n["type"] == "Note")
    (text,) = note["widgets_values"]
    assert "Next:" in text or "2. " in text
    assert "ress Run" in text and "looks" not in text and " on the left of" not in text
    kinds = {n["type"] for n in graph["nodes"]}
    if not kinds & {"LearnToSteer_LoadEmojiWorld"}:
        assert "your own" in text and "models/relation_classifiers" in text


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_thumbnails_are_light_enough_to_see(file):
    with Image.open(file.with_suffix(".jpg")) as picture:
        grey = picture.convert("L").resize((32, 32))
    assert sum(grey.tobytes()) / 1024 > 120
