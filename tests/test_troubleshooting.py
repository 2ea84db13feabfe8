"""Every message that docs/troubleshooting.md quotes is one that the code can say."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def quoted():
    """The first cell of each row, as far as it is a quotation."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    assert len(cells) > 40
    return cells


@cache
def sentences():
    """Every text in the code; "…" where an f-string or a logged sentence has a value."""
    found = []
    for file in [*(ROOT / "learn_to_steer").rglob("*.py"), *(ROOT / "nodes").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value.replace("%s", "…"))
    return found


@pytest.mark.parametrize("message", quoted())
def test_the_code_says_it(message):
    # Two values side by side, or one with its unit, are one gap in the document.
    pattern = re.compile(".{0,3}…+.{0,3}".join(map(re.escape, message.split("…"))))
    assert any(pattern.search(sentence) for sentence in sentences()), message
