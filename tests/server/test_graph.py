"""Where prompt and seed go in a graph, which picture is meant, and how steering is switched off."""

import copy
import json
from pathlib import Path

import pytest

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.server.graph import PICTURE, TRACE, DrawingGraph

GRAPHS = Path(__file__).parents[1] / "comfyui" / "graphs"

OPTIONS = {
    "plan": ["COMBO", {"options": ["fast", "paper"], "default": "fast"}],
    "strength": ["FLOAT", {"default": 1.0}],
    "step_rule": [["rms", "relative"], {}],
}


def takes(required=(), optional=(), output=()):
    return {
        "input": {"required": dict.fromkeys(required, ["*"]), "optional": dict.fromkeys(optional, ["*"])},
        "output": list(output),
    }


CLASSES = {
    "LearnToSteer_LoadEmojiWorld": takes(output=["MODEL", "CLIP", "VAE"]),
    "LearnToSteer_RelationPrompt": takes(["clip", "text"], ["triplets"]),
    "LearnToSteer_LoadRelationClassifier": takes(["classifier_name"]),
    "LearnToSteer_SteeringOptions": {"input": {"required": OPTIONS}, "output": ["LTS_OPTIONS"]},
    "LearnToSteer_ApplyRelationSteering": takes(["model"], ["options"], ["MODEL", "LTS_TRACE"]),
    "LearnToSteer_SteeringKSampler": takes(["model", "seed"], ["options", "steer"], ["LATENT", "LTS_TRACE"]),
    "LearnToSteer_RelationLayout": takes(["relations", "seed"], ["places"]),
    "LearnToSteer_GuideAttention": takes(["model", "strength"], [], ["MODEL"]),
    "LearnToSteer_SteeringReport": takes(["image"], ["trace"], ["IMAGE", "STRING", "STRING"]),
    **{
        name: takes()
        for name in (
            "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode", "SaveImage", "PreviewImage", "PreviewAny",
            "CFGGuider", "BasicGuider", "RandomNoise", "KSamplerSelect", "BasicScheduler", "SamplerCustomAdvanced",
            "PrimitiveInt", "PrimitiveString", "ControlNetApplyAdvanced", "FluxGuidance",
        )
    },
}  # fmt: skip


def read(name):
    return json.loads((GRAPHS / f"{name}.json").read_text())


def node(kind, title=None, **inputs):
    return {"class_type": kind, "inputs": inputs} | ({"_meta": {"title": title}} if title else {})


def small(**changes):
    """Apply, the host's KSampler, and a text encoder in front of a ControlNet."""
    nodes = {
        "1": node("LearnToSteer_LoadEmojiWorld"),
        "2": node("CLIPTextEncode", clip=["1", 1], text="a dog"),
        "3": node("CLIPTextEncode", clip=["1", 1], text="ugly"),
        "4": node("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0]),
        "5": node("LearnToSteer_ApplyRelationSteering", model=["1", 0]),
        "6": node(
            "KSampler", model=["5", 0], seed=1, positive=["4", 0], negative=["4", 1], latent_image=["9", 0]
        ),
        "7": node("VAEDecode", samples=["6", 0], vae=["1", 2]),
        "8": node("SaveImage", images=["7", 0]),
        "9": node("EmptyLatentImage", width=64, batch_size=3),
    }
    return nodes | changes


def drawing(nodes):
    return DrawingGraph(nodes, CLASSES)


def test_the_first_workflow():
    nodes = read("1-first-steps-emojiworld")
    before = copy.deepcopy(nodes)
    graph = drawing(nodes)
    steered, plain = (
        graph.filled("a frog above a car", 77, True),
        graph.filled("a frog above a car", 77, False),
    )
    assert nodes == before
    # Of the two samplers only the steered one is behind the picture; the sheet of the report is no picture.
    assert "6" not in steered and "12" not in steered and "13" not in steered
    assert steered["2"]["inputs"]["text"] == "a frog above a car" and steered["3"]["inputs"]["text"] == ""
    assert steered["7"]["inputs"]["seed"] == 77 and steered["5"]["inputs"]["batch_size"] == 1
    assert steered[PICTURE] == {"class_type": "PreviewImage", "inputs": {"images": ["9", 0]}}
    assert steered[TRACE]["inputs"]["source"][1] == 2
    assert steered["learn-to-steer-report"]["inputs"] == {"trace": ["7", 1], "image": ["9", 0]}
    assert "options" not in steered["7"]["inputs"]
    number, slot = plain["7"]["inputs"]["options"]
    assert (slot, plain[number]) == (
        0,
        {
            "class_type": "LearnToSteer_SteeringOptions",
            "inputs": {"plan": "fast", "strength": 0.0, "step_rule": "rms"},
        },
    )
    assert plain["7"]["inputs"]["steer"] == "always" and TRACE not in plain


def test_custom_samplers_and_apply():
    graph = drawing(read("4-sampler-custom-advanced"))
    filled = graph.filled("a frog above a car", 5, False)
    assert filled["8"]["inputs"]["noise_seed"] == 5 and filled["2"]["inputs"]["text"] == "a frog above a car"
    assert filled["6"]["inputs"]["options"] == ["learn-to-steer-off", 0] and filled[PICTURE]["inputs"][
        "images"
    ] == ["12", 0]
    assert graph.filled("x", 5, True)["learn-to-steer-report"]["inputs"]["trace"] == ["6", 1]


def test_the_text_behind_the_positive_conditioning():
    filled = drawing(small()).filled("a frog", 3, True)
    assert (filled["2"]["inputs"]["text"], filled["3"]["inputs"]["text"]) == ("a frog", "ugly")
    assert filled["6"]["inputs"]["seed"] == 3 and filled["9"]["inputs"] == {"width": 64, "batch_size": 1}


def test_values_in_nodes_of_their_own_are_followed():
    nodes = small(
        **{
            "2": node("CLIPTextEncode", clip=["1", 1], text=["20", 0]),
            "20": node("PrimitiveString", value="a dog"),
            "6": small()["6"] | {"inputs": small()["6"]["inputs"] | {"seed": ["21", 0]}},
            "21": node("PrimitiveInt", value=9),
        }
    )
    filled = drawing(nodes).filled("a frog", 3, True)
    assert (filled["20"]["inputs"]["value"], filled["21"]["inputs"]["value"]) == ("a frog", 3)
    assert filled["2"]["inputs"]["text"] == ["20", 0]


def test_a_place_may_be_written():
    nodes = small()
    nodes["2"]["inputs"]["text"] = "oil painting of {prompt}, masterpiece"
    nodes["6"]["inputs"]["seed"] = "{seed}"
    filled = drawing(nodes).filled('a "frog"', 3, True)
    assert filled["2"]["inputs"]["text"] == 'oil painting of a "frog", masterpiece'
    assert filled["6"]["inputs"]["seed"] == 3


def test_a_place_may_be_a_title():
    nodes = small(
        **{
            "2": node("FluxGuidance", positive=["20", 0]),
            "20": node("CLIPTextEncode", "Prompt", clip=["1", 1], clip_l="x", t5xxl="y"),
            "22": node("CLIPTextEncode", clip=["1", 1], text="style"),
            "4": node("ControlNetApplyAdvanced", positive=["2", 0], negative=["3", 0], image=["22", 0]),
        }
    )
    filled = drawing(nodes).filled("a frog", 3, True)
    assert (filled["20"]["inputs"]["clip_l"], filled["20"]["inputs"]["t5xxl"]) == ("a frog", "a frog")
    assert filled["22"]["inputs"]["text"] == "style"


def test_a_picture_may_be_a_title():
    nodes = small(
        **{"10": node("SaveImage", "picture", images=["11", 0]), "11": node("VAEDecode", samples=["6", 0])}
    )
    assert drawing(nodes).filled("x", 1, True)[PICTURE]["inputs"]["images"] == ["11", 0]
    del nodes["10"]["_meta"]
    with pytest.raises(SteeringError, match='title "picture"'):
        drawing(nodes)


def test_what_belongs_to_another_prompt_is_taken_away():
    nodes = read("1-first-steps-emojiworld")
    nodes["2"]["inputs"]["triplets"] = "dog | left of | cat"
    nodes["40"] = node("LearnToSteer_RelationLayout", relations=["2", 1], places="dog: 0.2, 0.5", seed=3)
    nodes["7"]["inputs"]["layout"] = ["40", 0]
    filled = drawing(nodes).filled("x", 1, True)
    assert (filled["2"]["inputs"]["triplets"], filled["40"]["inputs"]["places"]) == ("", "")
    assert (filled["40"]["inputs"]["seed"], filled["7"]["inputs"]["seed"]) == (3, 1)


def test_every_steering_node_is_switched_off():
    nodes = small(
        **{
            "5": node("LearnToSteer_ApplyRelationSteering", model=["30", 0], options=["31", 0]),
            "30": node("LearnToSteer_GuideAttention", model=["1", 0], strength=2.0),
            "31": node("LearnToSteer_SteeringOptions", plan="paper", strength=3.0, step_rule="rms"),
        }
    )
    graph = drawing(nodes)
    plain, steered = graph.filled("x", 1, False), graph.filled("x", 1, True)
    assert plain["30"]["inputs"]["strength"] == 0 and plain["5"]["inputs"]["options"] == [
        "learn-to-steer-off",
        0,
    ]
    assert steered["30"]["inputs"]["strength"] == 2 and steered["5"]["inputs"]["options"] == ["31", 0]


def without(*numbers, **changes):
    return {k: v for k, v in small(**changes).items() if k not in numbers}


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "API format"),
        ({}, "API format"),
        ({"nodes": [], "links": []}, "API format"),
        ({"1": {"class_type": "KSampler"}}, "API format"),
        (small(**{"40": node("Unheard")}), "node Unheard"),
        (without("8"), 'title "picture"'),
        (small(**{"6": node("KSampler", model=["1", 0], seed=1, positive=["4", 0])}), 'title "picture"'),
        (small(**{"8": node("SaveImage", "picture", images=["7", 0]),
                  "6": node("KSampler", model=["1", 0], seed=1, positive=["4", 0])}), "is steered"),
        (small(**{"4": node("ControlNetApplyAdvanced", positive=["1", 1])}), "{prompt}"),
        (small(**{"4": node("ControlNetApplyAdvanced", positive=["2", 0], conditioning_2=["3", 0])}), "{prompt}"),
        (small(**{"6": node("KSampler", model=["5", 0], positive=["4", 0])}), "{seed}"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_is_refused_in_one_sentence(nodes, says):
    with pytest.raises(SteeringError) as caught:
        drawing(nodes)
    assert says in str(caught.value) and "\n" not in str(caught.value)
