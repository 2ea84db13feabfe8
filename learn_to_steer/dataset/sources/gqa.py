"""GQA's scene graphs as a source: one pair a picture, names that occur once in it, neither a kind of the other.

`{imageId: {width, height, objects: {objectId: {name, x, y, w, h, attributes, relations: [{name, object}]}}}}`. "to the left
of" and "to the right of" are said literally; above and below come from the boxes.
"""

from __future__ import annotations

import zlib
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

from .damage import Damage
from .files import file_under, lists_in, pictures_root
from .geometry import LEAST_SIDE, Box, box_of, inside, relation_of
from .json_stream import elements
from .listed import Entry
from .names import alike, name_of

SAID = {"to the left of": 0, "to the right of": 1}
"""Relations of the graphs, and what they are in `base.DIRECTIONS`."""

UP_AND_DOWN = (2, 3)

ENDINGS = (".jpg", ".jpeg", ".png")


def gqa_entries(data: Path, pictures: Path | None, damage: Damage) -> list[Entry]:
    """data: a file of scene graphs, or the folder that holds some. pictures: the folder of `imageId.jpg`, None = one near.

    Raises SteeringError for missing files and for what is no JSON.
    """
    entries: list[Entry] = []
    files = lists_in(
        data,
        ("*_sceneGraphs.json", "*scene*raphs*.json", "*.json"),
        "GQA's scene graphs (*_sceneGraphs.json)",
    )
    for file in files:
        entries += _read(file, pictures, damage)
    return entries


def _read(file: Path, pictures: Path | None, damage: Damage) -> list[Entry]:
    found: dict[str, Entry] = {}
    root: Path | None = None
    for image, graph in elements(file, (), damage):
        where = f"image {image} of {file.name}"
        if image in found:
            damage.note("a picture whose id came before", where)
            continue
        entry = _entry(Path(image), graph, where, damage) if file_under(Path(), image) else None
        if entry is None:
            continue
        names = [image + ending for ending in ENDINGS]
        if root is None or not any((root / name).is_file() for name in names):
            root = pictures_root(file, pictures, names)
        path = next((root / name for name in names if (root / name).is_file()), root / names[0])
        found[image] = Entry(path, entry.names, entry.holds, entry.boxes)
    return list(found.values())


def _entry(path: Path, graph: Any, where: str, damage: Damage) -> Entry | None:
    """The pair of this picture, if it has one."""
    size = box_of([0, 0, graph.get("width"), graph.get("height")]) if isinstance(graph, dict) else None
    if size is None or not isinstance(graph.get("objects"), dict):
        damage.note("a scene graph without width, height or objects", where)
        return None
    objects, boxes = graph["objects"], {}
    names: Counter[str] = Counter()
    for key, item in objects.items():
        name = name_of(item.get("name")) if isinstance(item, dict) else None
        box = box_of([item.get(side) for side in "xywh"]) if isinstance(item, dict) else None
        if name is None or box is None:
            damage.note("an object without a usable name or box", f"object {key} of {where}")
            continue
        names[name] += 1
        if not inside(box, size[2], size[3]):
            damage.note("a box that is not inside of its picture", f"object {key} of {where}")
        elif min(box[2:]) >= LEAST_SIDE:
            boxes[key] = (name, box)
    once = {key: found for key, found in boxes.items() if names[found[0]] == 1}
    candidates = _left_and_right(objects, once, where, damage) + _up_and_down(once)
    if not candidates:
        damage.note("a picture without a clear pair of names that occur once", where)
        return None
    kinds = sorted({holds for _, holds, _ in candidates})
    pick = zlib.crc32(path.name.encode("utf-8", "replace"))  # a fixed choice, alike everywhere
    wanted = kinds[pick % len(kinds)]
    fitting = [c for c in candidates if c[1] == wanted]
    pair, holds, of_pair = fitting[pick // 7 % len(fitting)]
    return Entry(path, pair, holds, of_pair)


Candidate = tuple[tuple[str, str], int, tuple[Box, Box]]


def _left_and_right(
    objects: dict[str, Any], once: dict[str, tuple[str, Box]], where: str, damage: Damage
) -> list[Candidate]:
    found: list[Candidate] = []
    for key, (name, box) in once.items():
        relations = objects[key].get("relations", [])
        if not isinstance(relations, list):
            damage.note("relations that are no list", f"object {key} of {where}")
            continue
        for relation in relations:
            if not isinstance(relation, dict) or not isinstance(relation.get("name"), str):
                damage.note("a relation without a name", f"object {key} of {where}")
                continue
            other = relation.get("object")
            holds = SAID.get(relation["name"])
            if holds is None or not isinstance(other, str) or other not in once or other == key:
                continue
            other_name, other_box = once[other]
            # Said and seen: many graphs say "left" of what stands in front.
            if not alike(name, other_name) and relation_of(box, other_box) == holds:
                found.append(((name, other_name), holds, (box, other_box)))
    return found


def _up_and_down(once: dict[str, tuple[str, Box]]) -> list[Candidate]:
    found: list[Candidate] = []
    for (name_a, a), (name_b, b) in combinations(once.values(), 2):
        for names, boxes in (((name_a, name_b), (a, b)), ((name_b, name_a), (b, a))):
            holds = relation_of(*boxes)
            if holds in UP_AND_DOWN and holds is not None and not alike(*names):
                found.append((names, holds, boxes))
    return found
