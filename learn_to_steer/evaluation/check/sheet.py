"""The pictures of a check on one sheet: a row for each prompt and way, a column for each seed."""

from __future__ import annotations

from PIL import Image

from ...pictures import comparison_sheet
from .run import Check, Way
from .verdict import LEAD


def check_sheet(check: Check, title: str, edge: int = 192) -> Image.Image:
    """title: over everything. edge: longest side of a picture in pixels. A tick: the relation holds, as the judge sees
    it, or, without one, by where the words act."""
    prompts, seeds = list(dict.fromkeys(check.prompts)), list(dict.fromkeys(check.seeds))
    ways: list[tuple[str, Way]] = [("plain", check.plain)]
    if check.steered is not None:
        ways.append(("steered", check.steered))
    rows, pictures, marks = [], [], []
    for prompt in prompts:
        for name, way in ways:
            rows.append(f"{prompt}: {name}")
            mine = [i for i, p in enumerate(check.prompts) if p == prompt]
            pictures.append([Image.fromarray(way.pictures[i]) for i in mine])
            holds = way.seen or [x >= LEAD for x in way.acts]
            marks.append([[holds[i]] if holds else [] for i in mine])
    return comparison_sheet(title, [f"seed {seed}" for seed in seeds], rows, pictures, marks, edge)
