"""A pipeline's call with its attention guided: from prompts and a plan to a `Guide`, and readings that switch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ...attention import MapStack
from ...classifiers import check_classifier
from ...errors import SteeringError
from ...guidance import AttentionGuidance, GuidancePlan, Layout, calibrated
from ...language import NamedObject, RelationTriplet
from ...objectives import Objective, Reading, RelationTarget, StepInfo, learned_part
from ..guiding import GuidanceTargets, guidance_targets
from ..modules import hooked
from ..targets import LeftOut, knows
from .evaluating import Autocast
from .guidance import Guide
from .own_pass import OwnPass
from .pipelines import prompt_tokens, token_positions
from .run import Run
from .schedule import Schedule


def per_image(given: Any, prompts: int, each: int, what: str) -> list[Any] | None:
    """One for all prompts or one for each, as `generate` takes it -> one for each image; None stays None."""
    if given is None:
        return None
    values = [given] * prompts if isinstance(given, (Mapping, Layout)) else list(given)
    if len(values) != prompts:
        raise SteeringError(f"Expected one {what} or {prompts}, got {len(values)}; give one per prompt.")
    return [value for value in values for _ in range(each)]


def in_both(one: Sequence[Sequence[LeftOut]], other: Sequence[Sequence[LeftOut]]) -> list[list[LeftOut]]:
    """Per image, relations that neither way of steering can do, with the first one's reason."""
    return [
        [lost for lost in first if lost.triplet in [x.triplet for x in second]]
        for first, second in zip(one, other, strict=True)
    ]


@dataclass
class Guided:
    """The guidance of one call. guide: None where nothing is guided; notes say why, where that needs a sentence."""

    run: Run
    schedule: Schedule
    wanted: GuidanceTargets
    guide: Guide | None
    objective: Objective | None
    notes: list[str]
    _own_pass: OwnPass | None = None

    @classmethod
    def prepare(
        cls,
        run: Run,
        plan: GuidancePlan,
        triplets: Sequence[Sequence[RelationTriplet]],
        family: str,
        objective: Objective | None,
        boxes: Sequence[Any] | None,
        layouts: Sequence[Layout | None] | None,
        named: Sequence[Sequence[NamedObject]] | None = None,
    ) -> Guided:
        """named: see `guidance_targets`. objective: reads the pipeline's own passes where the plan switches. Raises
        SteeringError as `guidance_targets` does, for layers that the model does not have, and for an objective that does
        not fit it."""
        height, width = run.size
        schedule = run.schedule()
        wanted = guidance_targets(
            run.prompts,
            triplets,
            lambda image, span: token_positions(run, image, span),
            run.text_length,
            named=named,
            boxes=boxes,
            layouts=layouts,
            aspect=width / height,
        )
        made = cls(run, schedule, wanted, None, objective if plan.reached is not None else None, [])
        if not wanted.any:
            return made
        turns = list(schedule.steps)
        steps, why = plan.steps([schedule.shares[turn] for turn in turns])
        if why:
            made.notes = [why]
            return made
        if made.objective is not None and (learned := learned_part(made.objective)) is not None:
            check_classifier(learned.classifier, run.layers, family)
        places, kind = run.guided_places()
        tokens = torch.zeros(len(run.prompts), run.text_length)
        for image in range(len(run.prompts)):
            tokens[image, : prompt_tokens(run, image)] = 1.0
        found = calibrated(family, [place.layer for place in places])
        control = AttentionGuidance(
            plan,
            wanted.targets,
            wanted.layouts,
            wanted.columns,
            [schedule.steps[turns[i]] for i in steps],
            found.strength if plan.strength is None else plan.strength,
            tokens,
            found.background if plan.background is None else plan.background,
            found.width if plan.width is None else plan.width,
        )
        device = torch.device(run.pipe._execution_device)
        made.guide = Guide(control, run.model, places, kind, schedule.steps, device, family, wanted.objects)
        return made

    @property
    def left_out(self) -> list[list[LeftOut]]:
        """Per image, relations that guidance cannot keep."""
        return self.wanted.left_out

    @contextmanager
    def installed(self, watching: bool) -> Iterator[None]:
        """Around the pipeline's loop. watching: read its own passes here, where nothing else does."""
        with ExitStack() as stack:
            if self.guide is not None:
                stack.enter_context(self.guide.installed())
                if watching and self.objective is not None and any(self._read):
                    stack.enter_context(self._watched())
            yield

    def begin(self, turn: int) -> None:
        """See `Guide.begin`."""
        if self.guide is None:
            return
        self.guide.begin(turn)
        step = self.schedule.steps.get(turn)
        if step is not None and self._own_pass is not None and self.reads(step):
            self._own_pass.ask(step)

    def reads(self, step: int) -> bool:
        """Whether the pass of this step is to be read: it is guided, or another one after it."""
        steps = self.guide.control.steps if self.guide is not None else ()
        return bool(steps) and min(steps) <= step <= max(steps)

    def observe(
        self, reading: Reading, images: Sequence[int], step: int, kept: Sequence[Sequence[RelationTriplet]]
    ) -> None:
        """What the pipeline's own pass says about some images. kept: per image of the batch, the relations of the reading's
        columns."""
        if self.guide is None or self.objective is None:
            return
        mine = self.wanted.kept
        columns = [[c for c, t in enumerate(kept[i]) if t in mine[i]] for i in images]
        probability = torch.ones(len(images), max(map(len, columns), default=0))
        for row, chosen in enumerate(columns):
            probability[row, : len(chosen)] = reading.probability[row, chosen].float().cpu()
        relations = [
            [mine[i].index(kept[i][c]) for c in chosen] for i, chosen in zip(images, columns, strict=True)
        ]
        self.guide.control.observe(probability, images, relations)

    def to_dict(self) -> dict[str, Any] | None:
        """What was done, ready for JSON; None where nothing was guided."""
        return self.guide.to_dict() if self.guide is not None else None

    @property
    def _read(self) -> list[list[RelationTriplet]]:
        """Per image, the guided relations that the objective can read."""
        objective = self.objective
        return [
            [t for t in of_image if objective is not None and knows(objective, t.relation.value)]
            for of_image in self.wanted.kept
        ]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        objective, read = self.objective, self._read
        assert objective is not None
        images = [i for i, of_image in enumerate(read) if of_image]
        targets: list[list[RelationTarget]] = [
            [self.wanted.targets[i][self.wanted.kept[i].index(t)] for t in read[i]] for i in images
        ]
        autocast = Autocast(torch.device(self.run.pipe._execution_device))

        def take(maps: MapStack, step: int) -> None:
            sigma = next(self.schedule.sigmas[turn] for turn, s in self.schedule.steps.items() if s == step)
            chosen = MapStack(maps.layers, tuple(m[images] for m in maps.maps))
            # The pipeline may be called under `torch.autocast`, which is for the model alone.
            with autocast.off():
                reading = objective(chosen, targets, StepInfo(step, self.schedule.total, sigma))
            self.observe(reading, images, step, read)

        columns = self.wanted.columns
        weights = columns / columns.sum(-1, keepdim=True).clamp(min=1)
        self._own_pass = OwnPass(self.run, weights, objective.layers, take)
        try:
            with hooked(self._own_pass.hooks()):
                yield
        finally:
            self._own_pass.close()
            self._own_pass = None
