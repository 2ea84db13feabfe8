"""The models that were trained on with up to five objects a picture, and the judge on such pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from learn_to_steer.cli.models import load_reader, model_folder
from learn_to_steer.emojiworld import (
    CROWD,
    FAMILIES,
    GUIDANCE,
    SHIPPED,
    WEIGHTS,
    family_of,
    load_pipeline,
    shared_folder,
)
from learn_to_steer.emojiworld.judge import EmojiWorldDetector, find_objects, load_judge
from learn_to_steer.emojiworld.prompts import chains
from learn_to_steer.emojiworld.render import aspects, render
from learn_to_steer.emojiworld.world import sample_scene
from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.run import judged
from learn_to_steer.hosts.diffusers import PipelineSampler

CROWDS = ("unet-crowd", "mmdit-crowd")


@pytest.mark.parametrize("count", [4, 5])
def test_the_judge_counts_the_objects_of_a_crowd(count):
    rng = np.random.default_rng(9)
    scenes = [sample_scene(rng, count, aspect=aspects(), most=5) for _ in range(40)]
    found = find_objects(load_judge(WEIGHTS), np.stack([render(scene) for scene in scenes]))
    right = [
        sorted(one.name for one in of_one) == sorted(placed.name for placed in scene.objects)
        for scene, of_one in zip(scenes, found, strict=True)
    ]
    assert sum(right) >= 36


@pytest.mark.parametrize("name", CROWDS)
def test_it_is_the_same_model_with_other_weights(name):
    crowd, usual = load_pipeline(model=name), load_pipeline(model=name.removesuffix("-crowd"))
    assert type(crowd) is type(usual) and family_of(crowd) == family_of(usual)
    kinds = ("transformer" if "mmdit" in name else "unet", "text_encoder", "vae")
    for part, same in zip(kinds, (False, False, True), strict=True):
        ours, theirs = (dict(getattr(pipe, part).named_parameters()) for pipe in (crowd, usual))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours) == same


@pytest.mark.parametrize("name", CROWDS)
def test_it_draws_five_objects_more_often_than_the_usual_one(name):
    """The same 24 prompts of five objects from the same seeds, plainly."""
    draws, detector = chains("train", 24, 5, 4), EmojiWorldDetector(WEIGHTS)

    def complete(model):
        pipe = load_pipeline(model=model)
        pictures = (
            PipelineSampler(pipe, family_of(pipe))
            .sample([d.prompt for d in draws], [d.seed for d in draws], steps=20, guidance=GUIDANCE)
            .pictures
        )
        found = detector.detect(pictures)
        return sum(judged(draw, one)["present"] for draw, one in zip(draws, found, strict=True))

    assert complete(name) >= complete(name.removesuffix("-crowd")) + 3


def test_every_shipped_model_has_a_name_and_a_classifier():
    for name, (folder, model) in SHIPPED.items():
        found = model_folder(Path(name))
        assert (found.path, found.model, found.family) == (folder, model, FAMILIES[model])
        assert load_reader(None, found).card.family == FAMILIES[model]
    assert {folder.name for folder, _ in SHIPPED.values()} == {"weights", "crowd"}
    assert model_folder(CROWD) == model_folder(Path("unet-crowd"))
    assert model_folder(CROWD / "mmdit") == model_folder(Path("mmdit-crowd"))


def test_its_folder_is_known_however_it_is_written(monkeypatch):
    monkeypatch.chdir(CROWD.parent)
    assert shared_folder(Path("crowd")) == WEIGHTS and shared_folder(WEIGHTS) == WEIGHTS
    assert model_folder(Path("crowd/mmdit")) == model_folder(Path("mmdit-crowd"))


def test_a_model_that_there_is_not_is_refused_with_the_names_of_those_that_there_are():
    with pytest.raises(SteeringError, match='among unet, mmdit, unet-crowd, mmdit-crowd, got "vit"'):
        load_pipeline(model="vit")
