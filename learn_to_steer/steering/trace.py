"""The trace: what steering did, evaluation by evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..objectives import RelationTarget


@dataclass(frozen=True)
class Record:
    """One relation of one image at one evaluation.

    image: index in the batch. step: step of the schedule. evaluation: count within the step, from 0.
    relation: index within the image. label: in words. loss, probability: of the wanted relation, before the
    move. move: length of the move that followed (L2 norm of the latent's change; one per image and
    evaluation, repeated for each relation), 0 where there was none. length: the same in units of the latent's rms per
    element; largest: its largest element in that unit. note: why there was none. spread_before, spread_after:
    standard deviation of the latent's elements, 0 where it was not moved. Evaluation -1 is the sampler's own pass, read
    for nothing.
    """

    image: int
    step: int
    evaluation: int
    relation: int
    label: str
    loss: float
    probability: float
    move: float
    length: float = 0.0
    largest: float = 0.0
    note: str = ""
    spread_before: float = 0.0
    spread_after: float = 0.0


@dataclass
class SteeringTrace:
    """What happened. labels: per image, one label per wanted relation (none: the image is not steered).

    evaluations: per image, evaluations so far. gradients: those of them with a backward pass. forwards, backwards: passes
    through the model, each over a batch. left_plain: the plan has no step in the run. notes: sentences about the whole
    run, such as why it was left plain. guidance: what attention guidance did, where there was any: layouts, layers,
    strength, and per guided step which relations were on.
    """

    labels: list[list[str]]
    records: list[Record] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    gradients: list[int] = field(default_factory=list)
    forwards: int = 0
    backwards: int = 0
    notes: list[str] = field(default_factory=list)
    left_plain: bool = False
    guidance: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.evaluations:
            self.evaluations = [0] * len(self.labels)
        if not self.gradients:
            self.gradients = [0] * len(self.labels)

    @classmethod
    def of(
        cls, targets: Sequence[Sequence[RelationTarget]], objects: Sequence[Sequence[str]] | None = None
    ) -> SteeringTrace:
        """An empty trace. objects: per image the words of each object slot, for readable labels."""

        def label(image: int, target: RelationTarget) -> str:
            names = objects[image] if objects is not None else None
            subject = names[target.subject] if names else f"object {target.subject}"
            other = names[target.object] if names else f"object {target.object}"
            return f"{subject} {target.relation} {other}"

        return cls([[label(i, t) for t in image] for i, image in enumerate(targets)])

    def image(self, index: int) -> list[Record]:
        """The records of one image, in order of time."""
        return [record for record in self.records if record.image == index]

    def last(self, index: int) -> list[Record]:
        """The records of the last evaluation of one image, one per relation; empty where there was none."""
        mine = self.image(index)
        return [r for r in mine if (r.step, r.evaluation) == (mine[-1].step, mine[-1].evaluation)]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for JSON; what is not finite becomes None."""

        def plain(value: Any) -> Any:
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {
            "labels": [list(labels) for labels in self.labels],
            "notes": list(self.notes),
            "evaluations": list(self.evaluations),
            "gradients": list(self.gradients),
            "forwards": self.forwards,
            "backwards": self.backwards,
            "records": [{k: plain(v) for k, v in asdict(record).items()} for record in self.records],
            **({} if self.guidance is None else {"guidance": self.guidance}),
        }
