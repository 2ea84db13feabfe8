"""A report tells of the runs that made its pictures, all of them and no others, and of what was not steered and why.

The host's own context says which execution and which node is at work, as when a graph runs; graphs are in its API format.
"""

from __future__ import annotations

import json

import pytest
import torch
from comfy_execution.utils import CurrentNodeContext
from conftest import PROMPT, latents, options, steered, stock

PICTURE = torch.zeros(1, 128, 128, 3)


class Graph:
    """Two samplers one after the other behind Apply, a third that has the plain model, and reports of each."""

    def __init__(self, node, world):
        self.node, self.world = node, world
        self.model, self.log = node(
            "ApplyRelationSteering", model=world.model, relations=world.relations, classifier=world.classifier,
            options=options(node, reached=1.0),
        )  # fmt: skip

    def nodes(self, seeds=(4, 5), steered=(True, True)):
        """The graph as the host hands it out."""
        given = [["6", 0] if on else ["1", 0] for on in steered]
        return {
            "1": {"class_type": "LearnToSteer_LoadEmojiWorld", "inputs": {}},
            "2": {"class_type": "LearnToSteer_RelationPrompt", "inputs": {"clip": ["1", 1], "text": PROMPT}},
            "6": {"class_type": "LearnToSteer_ApplyRelationSteering",
                  "inputs": {"model": ["1", 0], "relations": ["2", 1]}},
            "7": {"class_type": "KSampler", "inputs": {"model": given[0], "seed": seeds[0], "positive": ["2", 0]}},
            "8": {"class_type": "KSampler",
                  "inputs": {"model": given[1], "seed": seeds[1], "latent_image": ["7", 0]}},
            "9": {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["1", 2]}},
            "10": {"class_type": "LearnToSteer_SteeringReport",
                   "inputs": {"trace": ["6", 1], "image": ["9", 0]}},
            "11": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["1", 2]}},
            "12": {"class_type": "LearnToSteer_SteeringReport",
                   "inputs": {"trace": ["6", 1], "image": ["11", 0]}},
        }  # fmt: skip

    def sample(self, prompt, number, seed, model=None, **more):
        with CurrentNodeContext(prompt, number):
            return stock(self.world, model=model or self.model, seed=seed, steps=4, **more)

    def report(self, prompt, number, nodes, picture=PICTURE):
        """(lines, data) of a report in this execution."""
        from comfy_api.latest._io import Hidden, HiddenHolder

        kind = self.node.classes["SteeringReport"]
        hidden = HiddenHolder.from_dict({Hidden.unique_id: number, Hidden.prompt: nodes})
        cloned = type(kind.__name__, (kind,), {"hidden": hidden})
        with CurrentNodeContext(prompt, number), torch.inference_mode():
            _, text, data = cloned.execute(trace=self.log, image=picture).args
        return text.splitlines(), json.loads(data)


@pytest.fixture
def graph(node, world):
    return Graph(node, world)


def _seeds(data):
    return [run["seed"] for run in data["runs"]]


def test_two_passes_are_both_told(graph):
    graph.sample("a", "7", 4)
    graph.sample("a", "8", 5, latent=latents(), denoise=0.5)
    lines, data = graph.report("a", "10", graph.nodes())
    assert _seeds(data) == [4, 5]
    assert lines[0] == "picture 1: run 1 of 2, seed 4, 128 x 128 pixels, euler, 4 steps"
    assert any(line.startswith("picture 1: run 2 of 2, seed 5, 128 x 128 pixels, euler") for line in lines)
    # The report of the first pass's pictures is of the first pass.
    assert _seeds(graph.report("a", "12", graph.nodes())[1]) == [4]


def test_the_next_prompt_has_its_own_runs_only(graph):
    graph.sample("a", "7", 4)
    graph.sample("b", "7", 44)
    lines, data = graph.report("b", "12", graph.nodes((44, 5)))
    assert _seeds(data) == [44] and "seed 44" in lines[0]


def test_a_sampler_that_now_has_the_plain_model(graph):
    """Apply comes from the cache and no steered run takes place: nothing of the earlier one is shown."""
    graph.sample("a", "7", 4)
    assert _seeds(graph.report("a", "12", graph.nodes())[1]) == [4]
    graph.sample("b", "7", 77, model=graph.world.model)
    nodes = graph.nodes((77, 5), steered=(False, False))
    lines, data = graph.report("b", "12", nodes)
    assert _seeds(data) == [] and len(lines) == 1
    assert lines[0].startswith("picture 1: Not steered:") and "not given the steered model" in lines[0]


def test_a_cached_sampler_is_reported_as_cached_or_not_at_all(graph):
    graph.sample("a", "7", 4)
    lines, data = graph.report("b", "12", graph.nodes())  # nobody asked in time whose picture it was
    assert _seeds(data) == [] and "came from the cache" in lines[0] and "change the seed" in lines[0]
    graph.sample("c", "7", 4)
    assert _seeds(graph.report("c", "12", graph.nodes())[1]) == [4]
    lines, data = graph.report("d", "12", graph.nodes())  # the same once more: all of it from the cache
    assert _seeds(data) == [4] and any("taken from the cache" in line for line in lines)
    lines, data = graph.report("e", "12", graph.nodes((6, 5)))  # another seed, and no run of it known
    assert _seeds(data) == [] and "seed 4" not in "".join(lines)


def test_one_pass_from_the_cache_and_one_new(graph):
    graph.sample("a", "7", 4)
    graph.sample("a", "8", 5)
    graph.report("a", "10", graph.nodes())
    graph.sample("b", "8", 6)  # only the second pass has another seed
    lines, data = graph.report("b", "10", graph.nodes((4, 6)))
    assert _seeds(data) == [4, 6] and any("taken from the cache" in line for line in lines)


def test_runs_for_other_pictures_of_the_same_graph(graph):
    """Another sampler of the graph has the steered model, too, but its pictures go elsewhere."""
    nodes = graph.nodes()
    nodes["20"] = {"class_type": "KSampler", "inputs": {"model": ["6", 0], "seed": 9}}
    graph.sample("a", "20", 9)
    graph.sample("a", "7", 4)
    assert _seeds(graph.report("a", "12", nodes)[1]) == [4]


def test_a_run_that_does_not_know_its_prompt(graph):
    """Sampled in a thread of its own: it belongs to the first report, not to the second."""
    stock(graph.world, model=graph.model, seed=4, steps=4)
    assert _seeds(graph.report("a", "12", graph.nodes())[1]) == [4]
    assert _seeds(graph.report("b", "12", graph.nodes((5, 5)))[1]) == []


def test_memory_is_bounded(graph):
    for k in range(40):
        graph.sample(f"p{k}", "7", k)
        graph.report(f"p{k}", "12", graph.nodes((k, 5)))
    assert len(graph.log.runs) == 1 and len(graph.log._remembered) <= 32


def test_a_steering_samplers_log_is_of_its_latents(node, world):
    with CurrentNodeContext("a", "7"):
        result, log = steered(node, world, seed=21, steps=4)
    with CurrentNodeContext("b", "9"):
        _, text, data = node("SteeringReport", trace=log, image=PICTURE)
    assert _seeds(json.loads(data)) == [21] and "taken from the cache" in text


def test_only_where_needed_tells_of_both_runs(node, world):
    _, log = steered(node, world, seed=21, steps=8, steer="only if needed", met_at=1.0)
    _, text, data = node("SteeringReport", trace=log, image=PICTURE)
    runs = json.loads(data)["runs"]
    assert [run["watched"] for run in runs] == [True, False] and "only read" in text


WHY = {
    "a relation the classifier does not know": (
        {"text": "a dog next to a teddy bear"}, {},
        ['Not steered: "dog next to teddy bear"', "does not know this relation", "left"]),
    "no relation": ({"text": "a dog"}, {}, ["states no relation"]),
    "strength 0": ({}, {"strength": 0.0}, ["strength is 0"]),
    "no step of the plan": ({}, {"start": 0.3, "end": 0.3}, ["no step between 30% and 30%"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WHY)
@pytest.mark.parametrize("way", ["Apply", "sampler"])
def test_not_steered_says_why(node, world, case, way):
    prompt, plan, words = WHY[case]
    positive, relations, _ = node("RelationPrompt", clip=world.clip, **{"text": PROMPT, **prompt})
    plan = options(node, **plan)
    if way == "Apply":
        model, log = node("ApplyRelationSteering", model=world.model, relations=relations, classifier=world.classifier,
                          options=plan)  # fmt: skip
        stock(world, model=model, positive=positive, steps=4)
    else:
        _, log = steered(node, world, positive=positive, relations=relations, options=plan, steps=4)
    _, text, data = node("SteeringReport", trace=log, image=PICTURE)
    assert "Not steered" in text and all(word in text for word in words)
    assert "records" not in json.loads(data) or not json.loads(data)["records"]


def test_one_of_two_relations_is_not_steered_and_the_other_is(node, world):
    positive, relations, _ = node(
        "RelationPrompt", clip=world.clip, text=PROMPT,
        triplets="dog | right of | teddy bear\ndog | next to | teddy bear",
    )  # fmt: skip
    _, log = steered(node, world, positive=positive, relations=relations, steps=4)
    _, text, _ = node("SteeringReport", trace=log, image=PICTURE)
    assert "dog to the right of teddy bear: probability" in text
    assert 'Not steered: "dog next to teddy bear": the classifier does not know this relation' in text


def test_another_prompts_conditioning_is_told_in_the_report(graph, world):
    positive, _, _ = graph.node("RelationPrompt", clip=world.clip, text="a frog above a car")
    graph.sample("a", "7", 4, positive=positive)
    lines, _ = graph.report("a", "12", graph.nodes())
    assert any(line.startswith("picture 1: Not steered: Expected the conditioning of") for line in lines)


def test_a_bypassed_apply_gives_a_sentence(node, world):
    sheets, text, data = node("SteeringReport", image=PICTURE)
    assert text.startswith("picture 1: Not steered: no trace came") and "bypassed" in text
    assert json.loads(data)["runs"] == [] and sheets.shape[0] == 1
    assert node.classes["SteeringReport"].GET_SCHEMA().inputs[0].optional


@pytest.mark.parametrize("shape", [(512, 128), (144, 336), (144, 256), (128, 128), (192, 128)])
def test_pictures_of_any_shape(node, world, shape):
    _, log = steered(node, world, steps=4)
    sheets, _, _ = node("SteeringReport", trace=log, image=torch.rand(2, *shape, 3))
    assert sheets.shape[0] == 2 and min(sheets.shape[1:3]) > 400


def test_one_evaluation_is_one(node, world):
    _, log = steered(node, world, steps=4)
    _, text, _ = node("SteeringReport", trace=log, image=PICTURE)
    assert "(1 evaluation)" in text and "looks" not in text


@pytest.mark.parametrize("name", ["RelationPrompt", "ClassifyRelation", "SteeringReport", "RelationLayout"])
def test_nodes_that_speak_are_outputs(node, name):
    """They run when nothing is connected behind them, and the host keeps what they say."""
    assert node.classes[name].GET_SCHEMA().is_output_node
    assert node.classes[name].GET_NODE_INFO_V1()["output_node"] is True
