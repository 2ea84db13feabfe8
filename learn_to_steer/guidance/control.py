"""The attention guidance of one run: what is guided at which step, and how much of it is still needed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..objectives import RelationTarget
from .bias import background_field, hard_fields, object_fields
from .layout import Layout
from .plan import GuidancePlan


@dataclass(frozen=True)
class GuidedStep:
    """What was on at one step: per image, per relation (an image without relations but with boxes has one entry)."""

    step: int
    on: tuple[tuple[bool, ...], ...]


@dataclass
class AttentionGuidance:
    """The state of one run.

    plan: with a strength of 0 nothing is guided. targets: per image, its relations. layouts: per image, of the same object
    slots (None: the image is not guided). columns (B, K, T): tokens of the objects, see `bias.token_columns`. steps:
    indices of the run's steps that are guided, see `steering.steered_steps`. strength: of the bias, in the unit of
    `plan.strength`. tokens (B, T): 1 at those of the whole prompt and at its begin, 0 at its end and the padding (None: 1
    everywhere). background, width: see `GuidancePlan`.

    The maps that `observe` is given must come from logits without the bias.
    """

    plan: GuidancePlan
    targets: Sequence[Sequence[RelationTarget]]
    layouts: Sequence[Layout | None]
    columns: Tensor
    steps: Collection[int]
    strength: float
    tokens: Tensor | None = None
    background: float = 0.0
    width: float = 0.35
    record: list[GuidedStep] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = frozenset(self.steps)
        self.guided_columns = self._guided_columns()
        """(B, K + 1, T), or (B, K, T) without a background: the second factor of the bias: `columns`, and the tokens around
        them, see `bias`."""
        self._held: set[tuple[int, int]] = set()
        self._made: dict[tuple[int, int], Tensor] = {}

    @property
    def images(self) -> list[int]:
        """Those that are guided at all."""
        return [i for i, layout in enumerate(self.layouts) if layout is not None and len(layout)]

    def active(self, step: int) -> bool:
        """Whether any image is guided at this step."""
        return step in self.steps and self.strength > 0 and any(any(row) for row in self._on())

    @property
    def switches(self) -> bool:
        """Whether readings of the sampler's own pass are of use."""
        return self.plan.reached is not None

    def observe(
        self, probability: Tensor, images: Sequence[int], relations: Sequence[Sequence[int]] | None = None
    ) -> None:
        """Take note of what the maps of the sampler's own pass say: a relation that holds is not guided at the next step,
        and one that is lost is guided again. probability (b, R): of the relations of `images`, see `Reading`.
        relations: per one of `images`, which relation each column is (None: all in order); others stay as they are."""
        if self.plan.reached is None:
            return
        holds = (probability >= self.plan.reached).tolist()
        for row, image in enumerate(images):
            columns = range(len(self.targets[image])) if relations is None else relations[row]
            for column, r in enumerate(columns):
                if holds[row][column]:
                    self._held.add((image, r))
                else:
                    self._held.discard((image, r))

    def note(self, step: int) -> None:
        """Put down what is on at this step."""
        guided = step in self.steps and self.strength > 0
        on = [[guided and one for one in row] for row in self._on()]
        self.record.append(GuidedStep(step, tuple(map(tuple, on))))

    def gates(self) -> Tensor:
        """(B, K) float32: 1 for objects that are guided now: of a relation that is on, or of none but with a place."""
        gates = torch.zeros(self.columns.shape[:2])
        for image in self.images:
            layout, targets = self.layouts[image], self.targets[image]
            assert layout is not None
            related = {slot for t in targets for slot in (t.subject, t.object)}
            for slot in range(len(layout)):
                gates[image, slot] = float(slot not in related)
            for r, target in enumerate(targets):
                if (image, r) not in self._held:
                    gates[image, target.subject] = gates[image, target.object] = 1.0
        return gates

    def _guided_columns(self) -> Tensor:
        if not self._has_background:
            return self.columns
        objects = self.columns.amax(1)
        inside = objects.cummax(-1).values * objects.flip(-1).cummax(-1).values.flip(-1)
        tokens = torch.ones_like(inside) if self.tokens is None else self.tokens
        return torch.cat([self.columns, (tokens * (1 - inside))[:, None]], 1)

    def fields(self, height: int, width: int) -> Tensor:
        """As `guided_columns`, with (height * width) for T, float32: the fields of the objects and of the background over a
        grid, for the next step; 0 for what is off. Times the strength and the model's spread it is the first factor of the
        bias."""
        if (height, width) not in self._made:
            whole = torch.zeros(*self.guided_columns.shape[:2], height * width)
            for image in self.images:
                layout = self.layouts[image]
                assert layout is not None
                whole[image, : len(layout)] = (
                    hard_fields(layout, height, width)
                    if self.plan.hard
                    else object_fields(layout, height, width, self.width)
                )
                if self._has_background:
                    field_of = background_field(layout, height, width, self.width)
                    whole[image, -1] = self.background * field_of
            self._made[height, width] = whole
        gates = self.gates()
        if self._has_background:
            gates = torch.cat([gates, gates.amax(1, keepdim=True)], 1)
        return self._made[height, width] * gates[..., None]

    @property
    def _has_background(self) -> bool:
        return self.background > 0 and bool(self.columns.shape[1])

    def _on(self) -> list[list[bool]]:
        guided = set(self.images)
        return [
            [image in guided and (image, r) not in self._held for r in range(len(targets))]
            if targets
            else [True] * (image in guided)
            for image, targets in enumerate(self.targets)
        ]

    def to_dict(self, objects: Sequence[Sequence[str]] | None = None) -> dict[str, Any]:
        """Layouts, strength, and what was on at each step, ready for JSON."""
        return {
            "strength": self.strength,
            "layouts": [
                layout.to_dict(objects[i] if objects is not None else None) if layout is not None else None
                for i, layout in enumerate(self.layouts)
            ],
            "steps": [{"step": one.step, "on": [list(row) for row in one.on]} for one in self.record],
        }
