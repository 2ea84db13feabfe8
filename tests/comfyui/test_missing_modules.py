"""A module of the host that is gone or moved takes down what needs it, and nothing else.

Each is hidden in a fresh process, after the host is up (its own start imports most of them): whatever imports it from then
on gets an ImportError, as from a host that has it no longer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FAMILIES = (
    "comfy.ldm.omnigen.omnigen2", "comfy.ldm.omnigen", "comfy.ldm.lumina.model", "comfy.ldm.qwen_image.model",
    "comfy.ldm.aura.mmdit", "comfy.ldm.chroma.model", "comfy.ldm.flux.model", "comfy.ldm.flux.math",
    "comfy.ldm.modules.diffusionmodules.mmdit", "comfy.ldm.modules.diffusionmodules.openaimodel",
    "comfy.ldm.models.autoencoder",
)  # fmt: skip

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import conftest
import nodes, comfy.supported_models
hidden = {hidden!r}
for name in [n for n in sys.modules if n == hidden or n.startswith(hidden + ".")]:
    sys.modules[name] = None
sys.modules[hidden] = None
parent, _, last = hidden.rpartition(".")
if parent and sys.modules.get(parent) is not None:
    vars(sys.modules[parent]).pop(last, None)
call = conftest.make_node(conftest.load_pack())
print("NODES", sorted(call.classes))
if {run!r}:
    import types, torch
    world = types.SimpleNamespace()
    world.model, world.clip, world.vae = call("LoadEmojiWorld")
    world.positive, world.relations, _ = call("RelationPrompt", clip=world.clip, text=conftest.PROMPT)
    (world.classifier, _) = call("LoadRelationClassifier", classifier_name="emojiworld-symmetric.safetensors")
    world.negative = world.positive
    print("RECORDS", len(conftest.steered(call, world, steps=4)[1].latest.records))
"""


def _without(hidden: str, run: bool) -> str:
    script = SCRIPT.format(tests=str(Path(__file__).parent), hidden=hidden, run=run)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("hidden", FAMILIES)
def test_a_family_without_its_module(node, hidden):
    """Every node is there; a UNet is steered as ever, unless it is built of what is hidden."""
    run = hidden != "comfy.ldm.models.autoencoder"
    said = _without(hidden, run)
    assert f"NODES {sorted(node.classes)}" in said
    assert not run or int(re.search(r"RECORDS (\d+)", said).group(1)) > 0


@pytest.mark.parametrize(
    ("hidden", "lost"),
    [
        ("comfy.samplers", {"SteeringKSampler", "SteeringKSamplerAdvanced", "SteeringOptions",
                            "ApplyRelationSteering", "CaptureAttention", "AttentionHeatmaps", "ClassifyRelation",
                            "CheckSteering", "BestFirstNoise", "RecordRelations"}),
        ("comfy.sample", {"SteeringKSampler", "SteeringKSamplerAdvanced", "CaptureAttention",
                          "AttentionHeatmaps", "ClassifyRelation", "CheckSteering", "BestFirstNoise"}),
        ("comfy.patcher_extension", {"SteeringKSampler", "SteeringKSamplerAdvanced", "ApplyRelationSteering",
                                     "SteeringOptions", "CaptureAttention", "AttentionHeatmaps", "ClassifyRelation",
                                     "CheckSteering", "BestFirstNoise", "RecordRelations"}),
        ("comfy_extras.nodes_custom_sampler", {"BestFirstNoise"}),
    ],
)  # fmt: skip
def test_a_module_that_nodes_need(node, hidden, lost):
    """The prompt, the loaders and the report are there all the same, and one sentence says what is not."""
    said = _without(hidden, False)
    assert f"NODES {sorted(set(node.classes) - lost)}" in said
    assert "are left out, this version of ComfyUI lacks" in said


def test_a_class_that_has_changed_is_refused_in_a_sentence(pack, node):
    from importlib import import_module

    import torch
    from conftest import PACK

    reading = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.read.evaluation")
    changed = type("Flux", (torch.nn.Module,), {"__module__": "comfy.ldm.flux.model", "__qualname__": "Flux"})
    with pytest.raises(ValueError, match="update this pack") as error:
        reading.located_layers(changed())
    assert "\n" not in str(error.value) and str(error.value).startswith("Expected comfy.ldm.flux.model.Flux")


def test_no_network_of_the_host_is_imported_at_the_top():
    """Names below comfy.ldm are imported inside functions only."""
    folders = [ROOT / "learn_to_steer", ROOT / "nodes"]
    found = [
        (file.name, line)
        for folder in folders
        for file in folder.rglob("*.py")
        for line in file.read_text().splitlines()
        if re.match(r"(from|import) comfy\.ldm", line)
    ]
    assert found == []
