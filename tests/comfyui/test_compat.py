"""What differs between hosts: keywords go where they are known, and renamed nodes are replaced in old graphs."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import SimpleNamespace

import pytest
from conftest import PACK


@pytest.fixture(scope="module")
def compat(node):
    return import_module(f"{PACK}.nodes.compat")


def test_every_node_is_found_under_other_names(node):
    from comfy_api.latest import io

    if "search_aliases" not in io.Schema.__dataclass_fields__:
        pytest.skip("this host knows no search aliases")
    found = {c.GET_SCHEMA().node_id: c.GET_SCHEMA().search_aliases for c in node.classes.values()}
    assert all(found.values()), found
    for name in ("left right", "regional", "layout"):
        assert name in found["LearnToSteer_RelationPrompt"]
    assert "attend and excite" in found["LearnToSteer_SteeringKSampler"]
    assert "attend and excite" in found["LearnToSteer_ApplyRelationSteering"]


def test_boxes_are_the_hosts_own_where_it_has_them(node):
    from comfy_api.latest import io

    schema = node.classes["JudgeByBoxes"].GET_SCHEMA()
    (boxes,) = (i for i in schema.inputs if i.id == "bboxes")
    assert boxes.io_type == "BOUNDING_BOX"
    if hasattr(io, "BoundingBox"):
        assert isinstance(boxes, io.BoundingBox.Input) and boxes.as_dict()["forceInput"] is True


def test_a_saved_node_is_not_taken_for_an_old_one(node):
    """The page drops the values of inputs that became sockets where a node was saved with as many values as it has widgets
    and forced sockets, a declared control after a seed counted as one more. It adds that control to every seed."""
    from comfy_api.latest import io

    for name, made in node.classes.items():
        inputs = [i for i in made.GET_SCHEMA().inputs if isinstance(i, io.WidgetInput)]
        forced = [i for i in inputs if i.as_dict().get("forceInput")]
        declared = sum(2 if getattr(i, "control_after_generate", None) else 1 for i in inputs)
        saved = sum(2 if i.id in ("seed", "noise_seed") else 1 for i in inputs if i not in forced)
        assert not forced or declared != saved, name


def test_a_renamed_node_is_replaced_in_an_old_graph(compat, monkeypatch):
    manager_of = pytest.importorskip("app.node_replace_manager", reason="this host replaces no nodes")
    from server import PromptServer

    import nodes as host_nodes

    manager = manager_of.NodeReplaceManager()
    monkeypatch.setattr(
        PromptServer, "instance", SimpleNamespace(node_replace_manager=manager), raising=False
    )
    monkeypatch.setitem(host_nodes.NODE_CLASS_MAPPINGS, "LearnToSteer_RelationPrompt", object)
    rename = compat.Rename(
        "LearnToSteer_OldPrompt",
        "LearnToSteer_RelationPrompt",
        ("prompt",),
        (("clip", "clip"), ("prompt", "text")),
        ((1, 0),),
    )
    asyncio.run(compat.register_renames([rename]))
    graph = {
        "1": {
            "class_type": "LearnToSteer_OldPrompt",
            "inputs": {"clip": ["9", 1], "prompt": "a dog"},
            "_meta": {},
        },
        "2": {"class_type": "KSampler", "inputs": {"positive": ["1", 1]}, "_meta": {}},
    }
    manager.apply_replacements(graph)
    assert graph["1"]["class_type"] == "LearnToSteer_RelationPrompt"
    assert graph["1"]["inputs"] == {"clip": ["9", 1], "text": "a dog"}
    assert graph["2"]["inputs"]["positive"] == ["1", 0]


def test_a_host_without_replacements_is_left_alone(compat, monkeypatch):
    from comfy_api.latest import io

    monkeypatch.delattr(io, "NodeReplace", raising=False)
    asyncio.run(compat.register_renames([compat.Rename("LearnToSteer_Old", "LearnToSteer_New")]))
