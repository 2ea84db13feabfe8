"""The lists of pictures that can be read, by name, alone or together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from .coco import coco_entries
from .damage import Damage
from .folder import folder_entries
from .gqa import gqa_entries
from .image_cot import image_cot_entries
from .listed import Entry, Locate, Parts, parts_of

LISTS: Mapping[str, Callable[[Path, Path | None, Damage], list[Entry]]] = {
    "coco": coco_entries,
    "gqa": gqa_entries,
    "image-cot": image_cot_entries,
    "folder": folder_entries,
}
"""By the name of the source: (data, folder of the pictures or None, damage) -> entries."""


def read_lists(
    data: Mapping[str, Path], seed: int, pictures: Path | None = None, locate: Locate | None = None
) -> Parts:
    """The pictures of one or several lists, split together. data: file or folder by the name of its source (`LISTS`).
    pictures: where the pictures lie, None = near each list. locate: judges pictures without boxes.

    Raises SteeringError for missing files, for files of another kind, and as `parts_of`.
    """
    damage = Damage()
    entries = [entry for kind, path in data.items() for entry in LISTS[kind](path, pictures, damage)]
    return parts_of(entries, {"source": "+".join(data)}, seed, damage, locate)
