"""The models for crowds in the host: their own weights, and four objects where a prompt of three relations wants them."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
from conftest import PACK, PROMPT, steered, world_of
from safetensors.torch import load_file

FILES = {
    "unet-crowd": ("unet", "time_embedding.linear_1.weight"),
    "mmdit-crowd": ("mmdit/transformer", "x_embedder.weight"),
}


@pytest.mark.parametrize("architecture", FILES)
def test_they_have_weights_of_their_own(node, pack, architecture):
    emojiworld = import_module(f"{PACK}.learn_to_steer.emojiworld")
    model, clip, _ = node("LoadEmojiWorld", architecture=architecture)
    inside = model.model.diffusion_model
    ours = inside.time_embed[0].weight if architecture == "unet-crowd" else inside.img_in.weight
    part, name = FILES[architecture]
    own, usual = (
        load_file(folder / part / "diffusion_pytorch_model.safetensors")[name].float()
        for folder in (emojiworld.CROWD, emojiworld.WEIGHTS)
    )
    assert torch.equal(ours.cpu(), own) and not torch.equal(own, usual)
    assert clip.encode_from_tokens(clip.tokenize(PROMPT)).shape == (1, 32, 128)


@pytest.mark.parametrize("architecture", FILES)
def test_four_objects_are_drawn_where_three_relations_want_them(node, pack, architecture):
    """Without a gradient or a classifier; plainly all three relations hold in one picture of fifty."""

    def module(name):
        return import_module(f"{PACK}.learn_to_steer.{name}")

    world = world_of(
        node, *node("LoadEmojiWorld", architecture=architecture), "none: compare centres of attention"
    )
    detector = module("emojiworld.judge").EmojiWorldDetector(module("emojiworld").WEIGHTS)
    options = node("SteeringOptions", plan="fast", strength=1.0, method="attention")[0]
    obeyed = 0
    for draw in module("emojiworld.prompts").chains("train", 4, seed=6, relations=3):
        positive, relations, _ = node("RelationPrompt", clip=world.clip, text=draw.prompt)
        latent, log = steered(
            node,
            world,
            options=options,
            classifier=None,
            positive=positive,
            relations=relations,
            steps=20,
            seed=draw.seed,
        )
        assert len(log.runs[-1].guided[0].to_dict()["layouts"][0]["objects"]) == 4
        with torch.inference_mode():
            picture = (world.vae.decode(latent)[0] * 255).round().numpy().astype(np.uint8)
        obeyed += module("evaluation.run").judged(draw, detector.detect(picture[None])[0])["right"]
    assert obeyed >= 1
