"""Writes the English words of the pack from its nodes: locales/en/nodeDefs.json, and the tables in web/docs/*.md.

    python tests/comfyui/texts.py

Run with an interpreter that can import the host, COMFYUI_PATH set. A widget's label is its id, as in the host's own nodes.
What stands in a help page behind the tables is left as it is.
"""

from __future__ import annotations

import json
import os
import re

os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"

import conftest  # noqa: E402

LOCALE = conftest.ROOT / "locales" / "en" / "nodeDefs.json"
DOCS = conftest.ROOT / "web" / "docs"


def words_of(schema) -> dict:
    """A node's entry in nodeDefs.json."""
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {i.id: {"name": i.display_name or i.id, "tooltip": i.tooltip} for i in schema.inputs or []},
        "outputs": {
            str(k): {"name": o.display_name or o.id, "tooltip": o.tooltip}
            for k, o in enumerate(schema.outputs or [])
        },
    }


def head_of(schema) -> str:
    """The beginning of a node's help page: what it does, and its inputs and outputs in tables."""

    def table(title: str, rows: list[tuple[str, str]]) -> str:
        lines = [f"| {name} | {tooltip.replace('|', chr(92) + '|')} |" for name, tooltip in rows]
        return "\n".join([f"## {title}s", "", f"| {title.lower()} | what it is |", "|---|---|", *lines, ""])

    inputs = [(i.display_name or i.id, i.tooltip) for i in schema.inputs or []]
    outputs = [(o.display_name or o.id, o.tooltip) for o in schema.outputs or []]
    parts = [f"# {schema.display_name}", "", schema.description, ""]
    return "\n".join([*parts, table("Input", inputs), table("Output", outputs)])


def rest_of(page: str) -> str:
    """What a help page says behind its tables."""
    behind = re.split(r"^## (?!Inputs$|Outputs$)", page, maxsplit=1, flags=re.M)
    return "## " + behind[1] if len(behind) > 1 else ""


def main() -> None:
    """Write both."""
    classes = conftest.make_node(conftest.load_pack()).classes
    schemas = [c.GET_SCHEMA() for c in classes.values()]
    text = json.dumps({s.node_id: words_of(s) for s in schemas}, indent=2, ensure_ascii=False)
    LOCALE.write_text(text + "\n", encoding="utf-8")
    for schema in schemas:
        page = DOCS / f"{schema.node_id}.md"
        page.write_text(f"{head_of(schema)}\n{rest_of(page.read_text())}", encoding="utf-8")


if __name__ == "__main__":
    main()
