"""The trace: what steering did, evaluation by evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..objectives import Target


@dataclass(frozen=True)
class Record:
    """One target of one image at one evaluation.

    image: index in the batch. step: step of the schedule. evaluation: count within the step, from 0.
    relation: index of the target within the image. label: in words. loss, probability: of the target, before the
    move. move: length of the move that followed (L2 norm of the latent's change; one per image and
    evaluation, repeated for each target), 0 where there was none. length: the same in units of the latent's rms per
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


@dataclass(frozen=True)
class FirstNoise:
    """One first noise that was tried for an image, by one pass without a gradient. seed: it is drawn from. score: in
    [0, 1], see `first_noises.scores`. chosen: whether it was taken."""

    seed: int
    score: float
    chosen: bool


@dataclass
class SteeringTrace:
    """What happened. labels: per image, one label per target (none: the image is not steered).

    evaluations: per image, evaluations so far. gradients: those of them with a backward pass. forwards, backwards: passes
    through the model, each over a batch. left_plain: the plan has no step in the run. notes: sentences about the whole
    run, such as why it was left plain. first_noises: per image, the first noises that were tried, in the order in which
    they were; none where the seed's own was taken. Each is one of the evaluations. guidance: what attention guidance did,
    where there was any: layouts, layers, strength, and per guided step which relations were on.
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
    first_noises: list[list[FirstNoise]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.evaluations:
            self.evaluations = [0] * len(self.labels)
        if not self.gradients:
            self.gradients = [0] * len(self.labels)

    @classmethod
    def of(
        cls, targets: Sequence[Sequence[Target]], objects: Sequence[Sequence[str]] | None = None
    ) -> SteeringTrace:
        """An empty trace. objects: per image the words of each object slot, for readable labels."""
        named: Sequence[Sequence[str] | None] = [None] * len(targets) if objects is None else objects
        return cls(
            [[target.words(names) for target in image] for image, names in zip(targets, named, strict=True)]
        )

    def image(self, index: int) -> list[Record]:
        """The records of one image, in order of time."""
        return [record for record in self.records if record.image == index]

    def last(self, index: int) -> list[Record]:
        """The records of the last evaluation of one image, one per target; empty where there was none."""
        mine = self.image(index)
        return [r for r in mine if (r.step, r.evaluation) == (mine[-1].step, mine[-1].evaluation)]

    def score(self, index: int) -> float:
        """How well all targets of one image were reached when it was last read: the product of their probabilities, 0 where
        it was not read."""
        last = self.last(index)
        return math.prod(record.probability for record in last) if last else 0.0

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
            **(
                {"first_noises": [[asdict(one) for one in tried] for tried in self.first_noises]}
                if self.first_noises
                else {}
            ),
            "records": [{k: plain(v) for k, v in asdict(record).items()} for record in self.records],
            **({} if self.guidance is None else {"guidance": self.guidance}),
        }
