"""What the nodes say about themselves: the same in the schema, in the English words and in the help, and true."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess

import pytest
import texts
from conftest import ROOT


@pytest.fixture(scope="module")
def schemas(node):
    return {c.GET_SCHEMA().node_id: c.GET_SCHEMA() for c in node.classes.values()}


def test_english_words_are_those_of_the_nodes(schemas):
    said = json.loads(texts.LOCALE.read_text())
    assert list(said) == list(schemas)
    for number, schema in schemas.items():
        assert said[number]["description"] == schema.description
        for part in schema.inputs or []:
            # The host's own English words of a widget are its id: "sampler_name", not "sampler name".
            assert said[number]["inputs"][part.id] == {"name": part.id, "tooltip": part.tooltip}
        for place, part in enumerate(schema.outputs or []):
            assert said[number]["outputs"][str(place)]["tooltip"] == part.tooltip


def test_widgets_that_the_hosts_nodes_have_bear_their_names(schemas):
    import nodes as host_nodes

    for mine, theirs in (("SteeringKSampler", "KSampler"), ("SteeringKSamplerAdvanced", "KSamplerAdvanced")):
        names = {i.id for i in schemas[f"LearnToSteer_{mine}"].inputs}
        assert set(getattr(host_nodes, theirs).INPUT_TYPES()["required"]) <= names
    words = json.loads((ROOT / "locales" / "de" / "nodeDefs.json").read_text())
    for schema in words.values():
        assert not any(
            " " in v["name"] and v["name"].replace(" ", "_") == k for k, v in schema["inputs"].items()
        )


def test_help_pages_begin_with_what_the_node_says(schemas):
    for number, schema in schemas.items():
        page = (ROOT / "web" / "docs" / f"{number}.md").read_text()
        assert page.startswith(texts.head_of(schema)), number


def test_an_evaluation_is_called_one():
    """A pass that reads maps is an evaluation, in every text that a user of the nodes reads."""
    files = [*(ROOT / "web").rglob("*.md"), *(ROOT / "locales").rglob("*.json"), ROOT / "docs" / "comfyui.md"]
    for file in files:
        text = file.read_text()
        assert not re.search(r"\b[Ll]ooks\b(?! for each object)|\bBlick", text), file.name


def test_the_help_of_the_plans_says_what_the_plan_does(schemas):
    from importlib import import_module

    from conftest import PACK

    plan = import_module(f"{PACK}.learn_to_steer.steering").SteeringPlan.preset("fast")
    numbers = {1: "one", 2: "two", 3: "three", 4: "four"}
    page = (ROOT / "web" / "docs" / "LearnToSteer_SteeringOptions.md").read_text()
    (row,) = re.findall(r"^\| fast \|.*$", page, flags=re.M)
    assert f"up to {numbers[plan.evaluations_per_step]} at each step" in row


def test_the_options_say_which_of_them_count(schemas):
    schema = schemas["LearnToSteer_SteeringOptions"]
    assert 'only where the plan is "custom"' in schema.description
    for part in schema.inputs:
        always = part.id in ("plan", "strength", "method", "goals")
        assert always != part.tooltip.startswith("Custom"), part.id
        if hasattr(part, "advanced"):
            assert bool(part.advanced) != always, part.id


def test_every_file_that_a_text_names_is_published():
    """.comfyignore leaves things out of the pack as .gitignore does; what a help page sends its reader to is in it."""
    ignored = [line.strip() for line in (ROOT / ".comfyignore").read_text().splitlines() if line.strip()]

    def published(name: str) -> bool:
        parts = name.split("/")
        heads = ["/".join(parts[: k + 1]) + "/" for k in range(len(parts) - 1)]
        return not any(fnmatch.fnmatch(name, i) or i in heads for i in ignored)

    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    pages = [
        *(ROOT / "web").rglob("*.md"),
        *(ROOT / "locales").rglob("*.json"),
        *(ROOT / "nodes").glob("*.py"),
    ]
    named = {n for page in pages for n in re.findall(r"docs/[a-z_]+\.md", page.read_text())}
    assert "docs/samplers.md" in named
    for name in named:
        assert name in tracked and published(name), name
    assert published("web/docs/LearnToSteer_RelationPrompt.md") and published("locales/de/nodeDefs.json")
    assert published("workflows/1-first-steps-emojiworld.json") and not published("tests/comfyui/texts.py")
