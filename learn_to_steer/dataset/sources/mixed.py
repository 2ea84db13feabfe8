"""Several sources without end as one: their samples take turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..splits import PARTS
from .base import LeftOut, Sample, Source, Worded
from .damage import Damage
from .listed import Parts


class Mixed(Worded):
    """A `Source` of sources; sample n is one of source n mod k. All must have been split alike by pair of names."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        counts = [source.count for source in sources if source.count is not None]
        self.count: int | None = len(self.sources) * min(counts) if counts else None
        self.about: dict[str, Any] = {
            "source": "+".join(str(source.about["source"]) for source in sources),
            "of": [source.about for source in sources],
        }

    def samples(self, numbers: Sequence[int], seed: int, size: tuple[int, int]) -> list[Sample | LeftOut]:
        """See `Source`."""
        made: dict[int, Sample | LeftOut] = {}
        for turn, source in enumerate(self.sources):
            mine = [n for n in numbers if n % len(self.sources) == turn]
            if mine:
                found = source.samples([n // len(self.sources) for n in mine], seed, size)
                made |= dict(zip(mine, found, strict=True))
        return [made[number] for number in numbers]


def mixed_parts(several: Sequence[Parts]) -> Parts:
    """The same parts of several sources together."""
    damage = Damage()
    for parts in several:
        damage.add(parts.damage)
    return Parts({part: Mixed([parts.sources[part] for parts in several]) for part in PARTS}, damage)
