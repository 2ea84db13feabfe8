"""COCO's instances as a source: pairs of boxes that are clear by CoMPaSS' rules (`geometry.clear_pair`).

`images[]: {id, file_name, width, height}`, `annotations[]: {id, image_id, category_id, bbox [x, y, w, h], area, iscrowd}`,
`categories[]: {id, name}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from .damage import Damage
from .files import file_under, lists_in, pictures_root
from .geometry import LEAST_SIDE, Box, box_of, clear_pair, inside, relation_of
from .json_stream import elements
from .listed import Entry
from .names import alike, name_of

Id = int | str


@dataclass
class _Instances:
    """What of a file is of use. images: file name, width and height by id. boxes: (category, box) by image."""

    images: dict[Id, tuple[str, float, float]] = field(default_factory=dict)
    boxes: dict[Id, list[tuple[Id, Box]]] = field(default_factory=dict)
    names: dict[Id, str] = field(default_factory=dict)


def coco_entries(data: Path, pictures: Path | None, damage: Damage) -> list[Entry]:
    """data: an instances file, or the folder that holds one. pictures: their folder, None = one near the file.

    Raises SteeringError for missing files and for what is no JSON.
    """
    entries: list[Entry] = []
    patterns = ("annotations/instances_*.json", "instances_*.json", "*instances*.json", "*.json")
    files = lists_in(data, patterns, "COCO's instances (instances_*.json)")
    for file in files:
        entries += _entries(file, pictures, damage)
    return entries


def _entries(file: Path, pictures: Path | None, damage: Damage) -> Iterator[Entry]:
    found = _read(file, damage)
    some = (image[0] for image in islice(found.images.values(), 50))
    root = pictures_root(file, pictures, some)
    for image, boxes in found.boxes.items():
        if image not in found.images:
            damage.note(
                "an annotation of a picture that is not listed", f"image {image} of {file.name}", len(boxes)
            )
            continue
        file_name, width, height = found.images[image]
        path = file_under(root, file_name)
        if path is None:
            damage.note("a picture without a usable file name", f"image {image} of {file.name}")
            continue
        usable = []
        for category, box in boxes:
            where = f"a box of image {image} in {file.name}"
            if category not in found.names:
                damage.note("an annotation of an unknown or unusable category", where)
            elif not inside(box, width, height):
                damage.note("a box that is not inside of its picture", where)
            else:
                usable.append((found.names[category], box))
        yield from _pairs(path, usable, width, height, damage)


def _pairs(
    path: Path, boxes: list[tuple[str, Box]], width: float, height: float, damage: Damage
) -> Iterator[Entry]:
    seen: set[frozenset[str]] = set()
    for turn, ((name_a, a), (name_b, b)) in enumerate(combinations(boxes, 2)):
        if alike(name_a, name_b):
            continue
        unclear = clear_pair(a, b, width, height)
        holds = relation_of(a, b)
        if unclear is not None or holds is None:
            damage.note(unclear or "a pair in no clear direction", f"{name_a}, {name_b} in {path.name}")
            continue
        if frozenset((name_a, name_b)) in seen:
            damage.note("a second pair of the same names in a picture", path.name)
            continue
        seen.add(frozenset((name_a, name_b)))
        # Annotations are in an order that means something; each name is to be subject as often as object.
        if (len(path.name) + sum(map(ord, path.name)) + turn) % 2:
            yield Entry(path, (name_a, name_b), holds, (a, b))
        else:
            yield Entry(path, (name_b, name_a), relation_of(b, a) or 0, (b, a))


def _read(file: Path, damage: Damage) -> _Instances:
    found = _Instances()
    seen: set[Id] = set()
    known = {"images": _image, "annotations": _annotation, "categories": _category}
    for number, (key, item) in enumerate(elements(file, known, damage)):
        if key not in known:
            continue
        where = f"entry {number} of {file.name}"
        if not isinstance(item, dict):
            damage.note(f"a record of {key} that is no object", where)
            continue
        kind = known[key](found, item, seen)
        if kind is not None:
            damage.note(kind, where)
    return found


def _id(value: Any) -> Id | None:
    return value if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _image(found: _Instances, item: dict[str, Any], seen: set[Id]) -> str | None:
    key, name = _id(item.get("id")), item.get("file_name")
    size = box_of([0, 0, item.get("width"), item.get("height")])
    if key is None or not isinstance(name, str) or size is None:
        return "a picture without id, file name, width or height"
    if key in found.images:
        return "a picture whose id came before"
    found.images[key] = (name, size[2], size[3])
    return None


def _category(found: _Instances, item: dict[str, Any], seen: set[Id]) -> str | None:
    key, name = _id(item.get("id")), name_of(item.get("name"))
    if key is None or name is None:
        return "a category without id or usable name"
    if key in found.names:
        return "a category whose id came before"
    found.names[key] = name
    return None


def _annotation(found: _Instances, item: dict[str, Any], seen: set[Id]) -> str | None:
    key, image, category = (_id(item.get(name)) for name in ("id", "image_id", "category_id"))
    if image is None or category is None:
        return "an annotation without image_id or category_id"
    if key is not None and key in seen:
        return "an annotation whose id came before"
    if key is not None:
        seen.add(key)
    if item.get("iscrowd"):
        return "an annotation of a crowd"
    box = box_of(item.get("bbox"))
    if box is None:
        return "an annotation whose bbox is not four finite numbers with an area"
    if min(box[2:]) < LEAST_SIDE:
        return f"a box with a side under {LEAST_SIDE} pixels"
    found.boxes.setdefault(image, []).append((category, box))
    return None
