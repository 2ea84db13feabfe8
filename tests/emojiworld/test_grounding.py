"""The loss that ties a noun's attention to its object."""

import numpy as np
import pytest
import torch

from learn_to_steer.attention import encoder_of
from learn_to_steer.emojiworld import load_pipeline
from learn_to_steer.emojiworld.grounding import (
    ground,
    grounding_loss,
    noun_tokens,
    placing_loss,
    scene_boxes,
)
from learn_to_steer.emojiworld.world import Box, Placed, Scene, sample_scene

SCENE = Scene((Placed("dog", Box(32, 32, 64, 64)), Placed("fox", Box(96, 64, 64, 128))), (0,) * 3, (0,) * 3)


def attention(*shares: float) -> torch.Tensor:
    """One head on a 4 x 4 grid, five tokens: token i has the given share of its mass inside SCENE's object i."""
    maps = torch.zeros(1, 4, 4, 5)
    for token, (share, rows, columns) in enumerate(
        zip(shares, (2, 4), (slice(0, 2), slice(2, 4)), strict=True)
    ):
        inside = torch.zeros(4, 4)
        inside[:rows, columns] = 1
        maps[0, ..., token] = share * inside / inside.sum() + (1 - share) * (1 - inside) / (1 - inside).sum()
    return maps.flatten(1, 2)


@pytest.mark.parametrize("first, second", [(1.0, 1.0), (0.25, 0.5), (0.0, 0.7)])
def test_loss_is_the_squared_share_outside(first, second):
    nouns = torch.eye(5)[None]
    nouns[:, 2:] = 0  # there is no third object
    loss = grounding_loss([attention(first, second)], nouns, scene_boxes([SCENE]))
    assert loss.item() == pytest.approx(((1 - first) ** 2 + (1 - second) ** 2) / 2, abs=1e-5)


def test_nothing_named_costs_nothing():
    nouns = torch.zeros(1, 5, 5)
    assert grounding_loss([attention(0.2, 0.3)], nouns, scene_boxes([SCENE])).item() == 0


def test_placing_loss_is_the_squared_distance_of_the_centres():
    nouns = torch.zeros(1, 5, 5)
    nouns[0, 0, 1] = 1
    nouns[0, 1, 2:4] = 0.5  # two tokens; the third object is not named
    places = torch.rand(1, 5, 2)
    places[0, 1] = torch.tensor([0.25, 0.25])  # the dog's centre
    places[0, 2:4] = torch.tensor([[0.75, 0.8], [0.75, 0.4]])  # the fox is at (0.75, 0.5)
    assert placing_loss(places, nouns, scene_boxes([SCENE])).item() == pytest.approx(0.1**2 / 2, abs=1e-6)
    assert placing_loss(places, torch.zeros(1, 5, 5), scene_boxes([SCENE])).item() == 0


def test_noun_tokens_are_those_of_the_caption():
    tokenizer = load_pipeline().tokenizer
    words = {name: encoder_of(tokenizer)(name) for name in ("dog", "fox", "teddy bear")}
    captions = ["a fox above a dog", "a teddy bear", ""]
    bear = Scene((Placed("teddy bear", Box(64, 64, 32, 32)),), (0,) * 3, (0,) * 3)
    ids = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    weights = noun_tokens(ids, [SCENE, bear, bear], words)
    assert weights[0, 0].nonzero().flatten().tolist() == [5]  # the dog is the scene's first object
    assert weights[0, 1].nonzero().flatten().tolist() == [2]
    assert weights[1, 0].nonzero().flatten().tolist() == [2, 3] and weights[1, 0].sum() == 1
    assert weights[2].sum() == 0


def test_grounded_attention_computes_what_the_stock_one_does():
    pipe = load_pipeline()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 16, 16, generator=generator)
    context = pipe.encode_prompt(["a dog above a fox", "a pig"], "cpu", 1, False)[0]
    with torch.no_grad():
        before = pipe.unet(latents, 700, context).sample
        kept = ground(pipe.unet)
        after = pipe.unet(latents, 700, context).sample
    assert torch.allclose(before, after, atol=1e-4)
    assert [tuple(p.probabilities.shape) for p in kept] == [(8, n, 32) for n in (64, 64, 256, 256)]


def test_masks_lie_where_the_objects_are():
    rng = np.random.default_rng(3)
    scene = sample_scene(rng, count=2)
    boxes = scene_boxes([scene])
    for placed, (x0, x1, y0, y1) in zip(scene.objects, boxes[0].tolist(), strict=False):
        assert (x0 + x1) * 64 == pytest.approx(placed.box.x) and (y0 + y1) * 64 == pytest.approx(placed.box.y)
