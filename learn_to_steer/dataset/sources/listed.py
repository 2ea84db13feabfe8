"""Pictures in files with a list of what they show: the source that every reader of such lists ends in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SteeringError
from ..splits import PARTS, SHARES, Pair, Part, pair_of, split_pairs
from .base import DIRECTIONS, LeftOut, Sample, Worded
from .damage import Damage
from .geometry import Box
from .pictures import Unusable, fitted, opened

Locate = Callable[[np.ndarray, tuple[str, str]], int | None]
"""(picture (height, width, 3) uint8, names) -> index of the relation that holds between them, None where none does."""


@dataclass(frozen=True)
class Entry:
    """One picture of a list. boxes: of subject and object, in pixels of the file; None where only the relation is known."""

    file: Path
    names: tuple[str, str]
    holds: int
    boxes: tuple[Box, Box] | None = None

    @property
    def key(self) -> str:
        """The file and what is asked of it."""
        return f"{self.file.name}: {self.names[0]}, {self.names[1]}"


class ListedPictures(Worded):
    """A `Source` of such entries. locate: a judge that must confirm the relation of entries without boxes."""

    def __init__(self, entries: Sequence[Entry], about: dict[str, Any], locate: Locate | None = None) -> None:
        self.entries, self.locate = list(entries), locate
        self.count: int | None = len(self.entries)
        listed = [[str(e.file), *e.names, e.holds, e.boxes] for e in self.entries]
        digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
        self.about = {**about, "entries": digest, "judged": locate is not None}

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """See `Source`. The order of the list is fixed; the seed says nothing here."""
        return [self._sample(self.entries[number], size) for number in numbers]

    def _sample(self, entry: Entry, size: tuple[int, int]) -> Sample | LeftOut:
        try:
            picture = fitted(opened(entry.file, entry.boxes is None), size, entry.boxes or ())
        except Unusable as error:
            return LeftOut(str(error), str(entry.file))
        if entry.boxes is None and self.locate is not None:
            found = self.locate(picture, entry.names)
            if found != entry.holds:
                return LeftOut("a picture in which the detector does not see the relation", str(entry.file))
        return Sample(entry.key, picture, entry.names, entry.holds)


@dataclass(frozen=True)
class Parts:
    """A source in three, and what of it could not be used. sources: "train", "validation", "test"; no picture and no pair
    of names is in two of them."""

    sources: dict[Part, Any]
    damage: Damage


def parts_of(
    entries: Iterable[Entry], about: dict[str, Any], seed: int, damage: Damage, locate: Locate | None = None
) -> Parts:
    """Split entries by picture and by pair of names; in each part the relations take turns, so that any beginning of it has
    them as evenly as can be.

    Raises SteeringError where there are fewer than three pairs of names: then nothing is left to be judged on.
    """
    kept: list[Entry] = []
    seen: set[tuple[Any, ...]] = set()
    for entry in entries:
        mark = (str(entry.file), frozenset(entry.names))
        if mark in seen:
            damage.note("a picture and pair that came before", entry.key)
            continue
        seen.add(mark)
        kept.append(entry)
    counts: dict[Pair, int] = {}
    for entry in kept:
        counts[pair_of(entry.names)] = counts.get(pair_of(entry.names), 0) + 1
    if len(counts) < 3:
        left = f"; {' '.join(damage.lines()[:3])}" if damage.total else ""
        raise SteeringError(
            f"Expected pictures of at least three pairs of names, one to train on and two to judge by, got {len(kept)} of "
            f"{len(counts)}; add pictures{left}"
        )
    part_of = split_pairs(counts, seed)
    of_picture: dict[str, list[Entry]] = {}
    for entry in _shuffled(kept, seed):
        of_picture.setdefault(str(entry.file), []).append(entry)
    parts: dict[Part, list[Entry]] = {part: [] for part in PARTS}
    for together in of_picture.values():
        # A picture with pairs of several parts goes where it is needed most.
        open_to = [part_of[pair_of(entry.names)] for entry in together]
        chosen = min(open_to, key=lambda p: len(parts[p]) / SHARES[p])
        for entry, part in zip(together, open_to, strict=True):
            if part == chosen:
                parts[part].append(entry)
            else:
                damage.note("a second pair of a picture that is in another part", entry.key)
    if empty := [part for part in PARTS if not parts[part]]:
        raise SteeringError(
            f"Expected pictures for each of {', '.join(PARTS)}, got none for {empty[0]}; add pictures of other "
            "pairs of names."
        )
    sources = {
        part: ListedPictures(_in_turns(found), {**about, "part": part}, locate)
        for part, found in parts.items()
    }
    return Parts(dict(sources), damage)


def _shuffled(entries: Sequence[Entry], seed: int) -> list[Entry]:
    ordered = sorted(entries, key=lambda e: (str(e.file), e.names, e.holds))
    return [ordered[i] for i in np.random.default_rng((seed, 77)).permutation(len(ordered))]


def _in_turns(entries: Sequence[Entry]) -> list[Entry]:
    """The entries so that the relations take turns as long as each has one left."""
    rows = [[e for e in entries if e.holds == relation] for relation in range(len(DIRECTIONS))]
    longest = max((len(row) for row in rows), default=0)
    return [row[i] for i in range(longest) for row in rows if i < len(row)]
