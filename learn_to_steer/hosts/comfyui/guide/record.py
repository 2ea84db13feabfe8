"""What attention guidance did in one run, kept for the report: plain data, no tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ....guidance import GuidedStep, Layout
from ...guiding import GuidanceTargets


def labels_of(wanted: GuidanceTargets) -> list[list[str]]:
    """Per image, its guided relations in words, as a trace has them."""
    return [
        [f"{objects[t.subject]} {t.relation} {objects[t.object]}" for t in targets]
        for targets, objects in zip(wanted.targets, wanted.objects, strict=True)
    ]


@dataclass
class GuidedRecord:
    """layouts, objects, labels: per image its layout (None: not guided), the words of its objects and its relations in
    words. strength: of the bias, in spreads of the model's logits. layers: how many attentions are guided. record: what was
    to be on at each step that was reached. done: steps at which the bias was put into a pass."""

    layouts: list[Layout | None]
    objects: list[list[str]]
    labels: list[list[str]]
    strength: float
    layers: int
    record: Sequence[GuidedStep] = field(default_factory=list)
    done: set[int] = field(default_factory=set)

    def steps_on(self, image: int, relation: int | None = None) -> list[int]:
        """The steps at which a relation of an image was on, or anything of it."""
        return [
            s.step
            for s in self.record
            if s.step in self.done and (any(s.on[image]) if relation is None else s.on[image][relation])
        ]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "strength": self.strength,
            "layers": self.layers,
            "labels": [list(labels) for labels in self.labels],
            "layouts": [
                layout.to_dict(names) if layout is not None else None
                for layout, names in zip(self.layouts, self.objects, strict=True)
            ],
            "steps": [
                {"step": s.step, "on": [[on and s.step in self.done for on in row] for row in s.on]}
                for s in self.record
            ],
        }
