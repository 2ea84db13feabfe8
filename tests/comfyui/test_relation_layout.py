"""The Relation Layout node, and what the report says of guidance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import latents
from guided import choice, module
from test_guidance import attention, guided


def _laid(node, world, **more):
    return node("RelationLayout", relations=world.relations, **{"width": 128, "height": 128, **more})


def test_the_relation_holds_and_the_preview_shows_it(node, world):
    """The dog is to the right of the teddy bear; each peak has its own colour."""
    layout, preview, text = _laid(node, world, width=256, height=128)
    places = {line.split(":")[0]: float(line.split(":")[1].split(",")[0]) for line in text.splitlines()}
    assert list(places) == ["dog", "teddy bear"] and places["dog"] - places["teddy bear"] >= 0.3
    assert preview.shape == (1, 256, 512, 3)
    colours = [preview[0, 100, round(512 * x)] for x in places.values()]
    assert (colours[0] - colours[1]).abs().max() > 0.3
    assert layout.text == world.relations.text


def test_an_object_is_moved_by_hand_and_the_other_follows(node, world):
    layout, _, text = _laid(node, world, places="teddy bear: 0.55, 0.3\n")
    assert "teddy bear: 0.55, 0.30" in text
    dog = next(line for line in text.splitlines() if line.startswith("dog"))
    assert float(dog.split(":")[1].split(",")[0]) > 0.6
    _, log = guided(node, world, layout=layout, options=attention(node), steps=10)
    record = log.runs[0].guided[0].to_dict()
    assert record["layouts"][0]["places"][1] == [0.55, 0.3]


@pytest.mark.parametrize("form", [dict, list, "frames"])
def test_boxes_of_the_host(node, world, form):
    """In pixels, the first for the first object: the dog, from 96 to 128 of 128 pixels."""
    box = {"x": 96, "y": 32, "width": 32, "height": 64}
    boxes = {dict: box, list: [box], "frames": [[box]]}[form]
    layout, _, _ = _laid(node, world, boxes=boxes)
    solved = module("hosts.comfyui.guide.layout").guidance_of(world.relations, 1, 1.0, layout).layouts[0]
    assert solved.places[0].tolist() == [0.875, 0.5] and solved.sizes[0].tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"places": "dog 0.2 0.5"}, 'got "dog 0.2 0.5"; correct the line'),
        ({"places": "dog: 1.2, 0.5"}, "between 0 and 1"),
        ({"places": "cat: 0.2, 0.5"}, '"cat"'),
        ({"places": "dog: 0.1, 0.5\nteddy bear: 0.9, 0.5"}, "contradict"),
        ({"boxes": ["left"]}, "x, y, width and height"),
        ({"boxes": [{"x": 0, "y": 0, "width": 9, "height": 9}] * 3}, "2 objects at most"),
    ],
)
def test_what_is_refused_is_refused_in_a_sentence(node, world, inputs, said):
    with pytest.raises(ValueError, match="Expected") as error:
        _laid(node, world, **inputs)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_the_layout_of_another_prompt_is_refused(node, world):
    _, relations, _ = node("RelationPrompt", clip=world.clip, text="a cat above a dog")
    (layout, *_) = node("RelationLayout", relations=relations, width=128, height=128)
    with pytest.raises(ValueError, match="connect both nodes to the same Relation Prompt"):
        guided(node, world, layout=layout)


def test_a_prompt_without_a_relation(node, world):
    _, relations, _ = node("RelationPrompt", clip=world.clip, text="a dog and a teddy bear")
    _, preview, text = node("RelationLayout", relations=relations, width=128, height=128)
    assert text.startswith("No relation found") and float(preview.flatten(1, 2).std(1).max()) < 1e-3


def test_the_report_says_where_and_when(node, world):
    result, log = guided(node, world, options=choice(), steps=10, latent=latents(2))
    with torch.inference_mode():
        picture = world.vae.decode(result)
    sheets, text, data = node("SteeringReport", trace=log, image=picture)
    place = log.runs[0].guided[0].to_dict()["layouts"][0]["places"][0]
    line = next(line for line in text.splitlines() if line.startswith("picture 2: Attention guided"))
    assert "steps 1 to 5 of 10" in line and f"dog at {place[0]:.2f}, {place[1]:.2f}" in line
    (run,) = json.loads(data)["runs"]
    on = [step["on"] for step in run["guidance"][0]["steps"]]
    assert on == [[[True], [True]]] * 5 + [[[False], [False]]] * 5
    plain, _, _ = node("SteeringReport", image=picture)
    assert sheets.shape[2] > plain.shape[2]  # a column for the layout


def test_the_report_says_what_the_classifier_switched_off(node, world):
    chosen = module("hosts.comfyui.choice").Choice(
        module("steering").SteeringPlan(), "attention", module("guidance").GuidancePlan(end=0.3, reached=1e-9)
    )
    result, log = guided(node, world, classifier=world.classifier, options=chosen, steps=10)
    words = module("hosts.comfyui.report").in_words(log.runs, 0, 1)
    assert any("step 1 of 10" in line for line in words)
    assert np.isfinite(result.numpy()).all()
