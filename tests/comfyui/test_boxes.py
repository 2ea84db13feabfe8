"""Maps as masks and boxes, boxes as relations, boxes as a judge: the nodes around them, on EmojiWorld."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from conftest import PROMPT, latents, stock


def box(x, y, width, height, **more):
    return {"x": x, "y": y, "width": width, "height": height, **more}


LEFT, RIGHT = box(4, 40, 40, 40), box(84, 44, 40, 40)
DOG_RIGHT = [{**RIGHT, "label": "dog", "score": 0.9}, {**LEFT, "label": "teddy bear", "score": 0.8}]
DOG_LEFT = [{**LEFT, "label": "dog", "score": 0.9}, {**RIGHT, "label": "teddy bear", "score": 0.8}]


def test_attention_as_masks_and_boxes(node, world):
    samples = stock(world, latent=latents(2), steps=4)
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations,
        latent={"samples": samples}, noise_level=0.5, seed=0,
    )  # fmt: skip
    image = torch.rand(2, 128, 96, 3)
    masks, boxes, objects = node("AttentionToMask", attention=attention, image=image)
    assert masks.shape == (4, 128, 96) and set(masks.unique().tolist()) <= {0.0, 1.0}
    assert objects == "dog\nteddy bear\ndog\nteddy bear"
    assert [len(frame) for frame in boxes] == [2, 2]
    for k, found in enumerate(one for frame in boxes for one in frame):
        rows, columns = masks[k].nonzero(as_tuple=True)
        assert found["label"] == objects.splitlines()[k] and 0 < found["score"] <= 1
        assert (found["x"], found["x"] + found["width"]) == (int(columns.min()), int(columns.max()) + 1)
        assert (found["y"], found["y"] + found["height"]) == (int(rows.min()), int(rows.max()) + 1)
    soft, _, names = node(
        "AttentionToMask", attention=attention, image=image, object=" Teddy  Bear ", threshold=0.0
    )
    assert soft.shape == (2, 128, 96) and names == "teddy bear\nteddy bear" and len(soft.unique()) > 100
    # A soft mask is the map itself: the hard one holds its warmest place.
    warmest = soft[0].flatten().argmax()
    assert masks[1].flatten()[warmest] == 1
    with pytest.raises(ValueError, match="Expected one of the objects dog, teddy bear, got"):
        node("AttentionToMask", attention=attention, image=image, object="zebra")


def test_drawn_boxes_are_relations(node, world):
    conditioning, relations, said = node(
        "RelationsFromBoxes", clip=world.clip, bboxes=[[RIGHT, LEFT]], names="dog\nteddy bear", text=""
    )
    assert said == "dog | to the right of | teddy bear" and relations.text == PROMPT
    assert torch.equal(conditioning[0][0], world.positive[0][0])
    assert relations.triplets == world.relations.triplets
    assert relations.positions == world.relations.positions and relations.states == world.relations.states
    _, relations, said = node(
        "RelationsFromBoxes", clip=world.clip, bboxes=DOG_LEFT, names="", text="a teddy bear and a dog"
    )
    assert said == "dog | to the left of | teddy bear" and relations.text == "a teddy bear and a dog"
    for boxes, names, sentence in (
        ([[LEFT, RIGHT]], "dog", "Expected a name for each of 2 boxes, got 1"),
        ([[LEFT, LEFT]], "dog\ncat", "Expected at least two boxes that lie apart"),
        ([["left"]], "dog", "Expected a box with x, y, width and height"),
        ("left", "dog", "Expected bounding boxes, a list of boxes for each picture"),
    ):
        with pytest.raises(ValueError, match=sentence):
            node("RelationsFromBoxes", clip=world.clip, bboxes=boxes, names=names, text="")


def test_judge_by_boxes(node, world):
    obeyed, text, shown = node("JudgeByBoxes", relations=world.relations, bboxes=[DOG_RIGHT])
    assert obeyed is True and text == "obeyed\npicture 1: obeyed" and shown.shape[0] == 1
    three, image = [DOG_RIGHT, DOG_LEFT, DOG_RIGHT[:1]], torch.ones(3, 128, 128, 3)
    obeyed, text, shown = node("JudgeByBoxes", relations=world.relations, bboxes=three, image=image)
    assert obeyed is False
    # 128 pixels are shown as 512: the box of RIGHT begins at 84 * 4, in the colour of the verdict
    assert shown.shape[0] == 3 and shown.shape[2] == 512
    assert [int(shown[i, 4 * 60, 4 * 84].argmax()) for i in (0, 1)] == [1, 0]  # green, red
    assert shown[0, 4 * 10, 4 * 10].min() == 1 and shown[0, 516:].min() < 0.5  # white, and words below
    assert text.splitlines() == [
        "not obeyed",
        "picture 1: obeyed",
        "picture 2: not obeyed: dog to the right of teddy bear",
        "picture 3: not obeyed: dog to the right of teddy bear (teddy bear not found)",
    ]


def test_only_the_pictures_that_do_not_obey_are_taken_from_the_steered_ones(node, world):
    kind = node.classes["SteerOnlyIfNeeded"]
    plain, steered = {"samples": torch.zeros(2, 4, 16, 16)}, {"samples": torch.ones(2, 4, 16, 16)}
    asked = SimpleNamespace(plain=plain, relations=world.relations)
    assert kind.check_lazy_status(**vars(asked), bboxes=[DOG_RIGHT, DOG_RIGHT], steered=None) == []
    assert kind.check_lazy_status(**vars(asked), bboxes=[DOG_RIGHT, DOG_LEFT], steered=None) == ["steered"]
    latent, needed, _ = node("SteerOnlyIfNeeded", **vars(asked), bboxes=[DOG_RIGHT, DOG_RIGHT])
    assert latent is plain and needed is False
    latent, needed, text = node(
        "SteerOnlyIfNeeded", **vars(asked), bboxes=[DOG_RIGHT, DOG_LEFT], steered=steered
    )
    assert needed is True and latent["samples"].mean((1, 2, 3)).tolist() == [0.0, 1.0]
    assert text.splitlines()[1] == "picture 2: not obeyed: dog to the right of teddy bear"
    # Nothing found in a picture is not obeyed either.
    latent, _, _ = node("SteerOnlyIfNeeded", **vars(asked), bboxes=[DOG_RIGHT], steered=steered)
    assert latent["samples"].mean((1, 2, 3)).tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="Expected plain and steered latents of one shape"):
        other = {"samples": torch.ones(1, 4, 16, 16)}
        node("SteerOnlyIfNeeded", **vars(asked), bboxes=[DOG_LEFT, DOG_LEFT], steered=other)
