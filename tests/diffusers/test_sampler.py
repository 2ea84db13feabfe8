"""A pipeline as evaluation wants it: size, half precision, relations given beside the prompt."""

import numpy as np
import pytest
import torch

from learn_to_steer.hosts.diffusers import PipelineSampler
from learn_to_steer.language import parse_relations
from learn_to_steer.objectives import CentroidObjective

from .made import plain_images

PROMPTS = ["a dog above a cat", "a cat above a dog"]


def test_pictures_have_the_size_that_is_asked_for(pipe):
    drawn = PipelineSampler(pipe, height=24, width=40).sample(PROMPTS, [1, 2], steps=2, guidance=3.0)
    assert drawn.pictures.shape == (2, 24, 40, 3) and drawn.pictures.dtype == np.uint8
    assert drawn.model_calls == 2 and drawn.seconds is None


@pytest.mark.parametrize("kind", ["pipe", "xl_pipe"])
def test_in_half_precision_the_pipeline_decodes(kind, request):
    made = request.getfixturevalue(kind).to(torch.bfloat16)
    drawn = PipelineSampler(made).sample(PROMPTS, [1, 2], steps=2, guidance=3.0)
    own = plain_images(made, PROMPTS, 1, num_inference_steps=2, guidance_scale=3.0)
    assert all((a == np.asarray(b)).all() for a, b in zip(drawn.pictures, own, strict=True))


def test_relations_given_beside_the_prompt_are_steered(pipe):
    sampler, prompt = PipelineSampler(pipe), "a dog above a cat"
    longer = prompt + ". The dog is there."
    way = {"objective": CentroidObjective(), "steps": 6, "guidance": 3.0}
    given = sampler.sample([longer], [1], triplets=[parse_relations(prompt)], **way)
    assert given.trace.labels == [["dog above cat"]] and given.trace.evaluations[0] > 0
    none = sampler.sample([prompt], [1], triplets=[[]], **way)
    assert none.trace.evaluations == [0]
