"""When to look, how far to move, when to stop: the plan, the update loop, and the record of what happened.

Steering moves the latent against the gradient of an objective between two steps of a sampler (Learn-to-Steer,
section on inference-time optimisation). One *evaluation* of an image is one forward pass as far as the last
layer the objective reads and, unless the relation already holds, one backward pass. Everything is batched:
each image of a batch is steered for itself and leaves the loop when its own relations hold. Where they held at its
last evaluation, the next one begins without a gradient; the pass is repeated with one only if they no longer do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import SteeringError
from .objectives import Reading, RelationTarget

Evaluate = Callable[[Tensor, Sequence[int]], Reading]
"""(latents of some images (b, ...), their indices in the batch) -> Reading over those b images."""


@dataclass(frozen=True)
class SteeringPlan:
    """When, how often, how far, and when to stop.

    start, end: the part of the schedule that is steered, in fractions of its steps: steps in [start, end).
    every: steer each n-th of those steps.
    evaluations_per_step: at most so many at one step.
    budget: at most so many evaluations per image over the whole run (None: no limit).
    step_rule: "gradient" = move by step_size * gradient, as published; "relative" = move along the gradient
        by step_size * the norm of the image's own latent, which needs no tuning per model.
    step_size: see step_rule.
    reached: probability from which a relation counts as reached (None: none does).
    stop_loss: loss under which it does (None: none does). Whichever of the two is met first counts. An image
        whose relations are all reached is left alone for this step.
    combine: "sum" = the gradient of all relations' losses together; "round_robin" = evaluation i serves
        relation i mod n, as published.
    strength: multiplies every move; 0 switches steering off at no cost.
    layers: names of the attention layers to read instead of the objective's own choice (None); the forward
    pass stops after the last of them. A classifier with a learnt mix of channels takes its own layers only.
    """

    start: float = 0.0
    end: float = 0.4
    every: int = 1
    evaluations_per_step: int = 1
    budget: int | None = None
    step_rule: Literal["gradient", "relative"] = "relative"
    step_size: float = 0.15
    reached: float | None = 0.98
    stop_loss: float | None = None
    combine: Literal["sum", "round_robin"] = "sum"
    strength: float = 1.0
    layers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end", "step_size", "strength"):
            value = getattr(self, name)
            if not _number(value) or value < 0:
                raise SteeringError(
                    f"Expected {name} to be a number of 0 or more, got {value!r}; correct the plan."
                )
        if not self.start <= self.end <= 1:
            raise SteeringError(
                f"Expected 0 <= start <= end <= 1 (fractions of the steps), got {self.start} and "
                f"{self.end}; correct the plan."
            )
        for name in ("every", "evaluations_per_step"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise SteeringError(
                    f"Expected {name} to be a whole number of 1 or more, got {value!r}; correct the plan."
                )
        if self.budget is not None and (not isinstance(self.budget, int) or self.budget < 0):
            raise SteeringError(
                f"Expected budget to be a whole number of 0 or more, or none, got {self.budget!r}; correct "
                "the plan."
            )
        if self.layers is not None and not self.layers:
            raise SteeringError(
                "Expected names of attention layers or none, got an empty list; correct the plan."
            )
        if self.step_rule not in ("gradient", "relative"):
            raise SteeringError(
                f'Expected step_rule "gradient" or "relative", got {self.step_rule!r}; choose one of them.'
            )
        if self.combine not in ("sum", "round_robin"):
            raise SteeringError(
                f'Expected combine "sum" or "round_robin", got {self.combine!r}; choose one of them.'
            )
        if self.reached is not None and (not _number(self.reached) or not 0 < self.reached <= 1):
            raise SteeringError(
                f"Expected reached in (0, 1] or none, got {self.reached!r}; 0.98 is a good value."
            )
        if self.stop_loss is not None and (not _number(self.stop_loss) or self.stop_loss < 0):
            raise SteeringError(
                f"Expected stop_loss of 0 or more, or none, got {self.stop_loss!r}; 5e-5 is as published."
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> SteeringPlan:
        """A named plan, with fields changed at will: `SteeringPlan.preset("fast", strength=0.5)`.

        "paper": as published - up to 16 evaluations at each step of the first half, step size 5 (SD 1.4:
        7.5), stop at a loss of 5e-5, round robin. "paper-schnell": the same on the first step of four only.
        "fast": up to three evaluations at each step of the first 40%, 0.15 of the latent's norm, stop at
        p >= 0.98.

        Raises SteeringError for an unknown name or field.
        """
        if name not in _PRESETS:
            raise SteeringError(
                f'Expected one of the plans {", ".join(_PRESETS)}, got "{name}"; choose one of them.'
            )
        known = {f.name for f in fields(cls)}
        if wrong := [key for key in changes if key not in known]:
            raise SteeringError(
                f"Expected plan settings among {', '.join(sorted(known))}, got {', '.join(wrong)}; correct "
                "the name."
            )
        return replace(_PRESETS[name], **changes)

    def steps(self, total: int) -> range:
        """The indices of the steps that are steered, of a schedule of `total` steps. Fractions are rounded
        up, so a plan that is not empty steers at least one step of any schedule."""
        first, last = math.ceil(self.start * total - 1e-9), math.ceil(self.end * total - 1e-9)
        return range(first, last, self.every)

    def active(self, step: int, total: int) -> bool:
        """Whether to steer before step `step` (from 0) of `total`."""
        return self.strength > 0 and self.step_size > 0 and step in self.steps(total)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_PRESETS = {
    "fast": SteeringPlan(evaluations_per_step=3),
    "paper": SteeringPlan(
        end=0.5,
        evaluations_per_step=16,
        step_rule="gradient",
        step_size=5.0,
        reached=None,
        stop_loss=5e-5,
        combine="round_robin",
    ),
}
_PRESETS["paper-schnell"] = replace(_PRESETS["paper"], end=0.25)


@dataclass(frozen=True)
class Record:
    """One relation of one image at one evaluation.

    image: index in the batch. step: step of the schedule. evaluation: count within the step, from 0.
    relation: index within the image. label: in words. loss, probability: of the wanted relation, before the
    move. move: length of the move that followed (L2 norm of the latent's change; one per image and
    evaluation, repeated for each relation), 0 where there was none. note: why there was none.
    """

    image: int
    step: int
    evaluation: int
    relation: int
    label: str
    loss: float
    probability: float
    move: float
    note: str = ""


@dataclass
class SteeringTrace:
    """What happened. labels: per image, one label per wanted relation (none: the image is not steered).

    evaluations: per image, evaluations so far. forwards, backwards: passes through the model, each over a
    batch.
    """

    labels: list[list[str]]
    records: list[Record] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    forwards: int = 0
    backwards: int = 0

    def __post_init__(self) -> None:
        if not self.evaluations:
            self.evaluations = [0] * len(self.labels)

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
            "evaluations": list(self.evaluations),
            "forwards": self.forwards,
            "backwards": self.backwards,
            "records": [{k: plain(v) for k, v in asdict(record).items()} for record in self.records],
        }


def steer(
    latent: Tensor, evaluate: Evaluate, plan: SteeringPlan, trace: SteeringTrace, step: int, total: int
) -> Tensor:
    """Move each image's latent until its relations hold or the plan says stop. Call it before step `step` of
    `total`.

    latent (B, ...), any float dtype, in the space the model's input lives in (so that "gradient" steps mean
    the same for every sampler). evaluate: see `Evaluate`; it is called with a float32 leaf (float64 for
    float64) that requires a gradient. trace: says by its labels which images have relations, and takes the
    records.

    Returns a new tensor, or `latent` itself where nothing was moved: strength 0, no relation, a step the plan
    leaves out, or everything reached. An image whose gradient is not finite is left as it was, and the trace
    says so.
    """
    if not plan.active(step, total):
        return latent
    pending = [i for i, labels in enumerate(trace.labels) if labels]
    current, moved_any = latent.detach().to(torch.promote_types(latent.dtype, torch.float32)), False
    # Half precision loses gradients under 6e-8: take them of an enlarged loss.
    enlarge = 1024.0 if latent.dtype == torch.float16 else 1.0
    for evaluation in range(plan.evaluations_per_step):
        pending = [i for i in pending if plan.budget is None or trace.evaluations[i] < plan.budget]
        if evaluation == 0:
            pending = _unsettled(pending, current, evaluate, plan, trace, step)
        if not pending:
            break
        with torch.inference_mode(False), torch.enable_grad():
            z = current[pending].clone().requires_grad_(True)
            reading = evaluate(z, tuple(pending))
            trace.forwards += 1
            open_rows = ~_reached(reading, plan)
            moves, notes = torch.zeros(len(pending)), ["" if o else "reached" for o in open_rows.tolist()]
            if open_rows.any():
                loss = (_served(reading, plan, evaluation) * reading.loss)[open_rows].sum()
                (gradient,) = torch.autograd.grad(loss * enlarge, z)
                trace.backwards += 1
                change, finite = _change(z.detach(), gradient / enlarge, plan)
                change[~open_rows] = 0
                moves = _norm(change).cpu()
                for row, fine in enumerate(finite.tolist()):
                    if not fine and open_rows[row]:
                        notes[row] = "gradient not finite, left unchanged"
                if bool((moves > 0).any()):
                    if not moved_any:
                        current, moved_any = current.clone(), True
                    current[pending] += change
        _note(trace, reading, pending, step, evaluation, moves, notes)
        pending = [
            i
            for i, is_open, note in zip(pending, open_rows.tolist(), notes, strict=True)
            if is_open and not note
        ]
    return current.to(latent.dtype) if moved_any else latent


def _unsettled(
    pending: list[int],
    current: Tensor,
    evaluate: Evaluate,
    plan: SteeringPlan,
    trace: SteeringTrace,
    step: int,
) -> list[int]:
    """Those of the pending images that need a gradient: the others held at their last evaluation, and hold still."""
    held = [i for i in pending if (last := trace.last(i)) and all(r.note == "reached" for r in last)]
    if not held:
        return pending
    with torch.inference_mode(False), torch.no_grad():
        reading = evaluate(current[held].clone(), tuple(held))
    trace.forwards += 1
    holds = _reached(reading, plan)
    still = [i for i, is_held in zip(held, holds.tolist(), strict=True) if is_held]
    kept = Reading(reading.loss[holds], reading.probability[holds], reading.mask[holds])
    _note(trace, kept, still, step, 0, torch.zeros(len(still)), ["reached"] * len(still))
    return [i for i in pending if i not in still]


def look(latent: Tensor, evaluate: Evaluate, trace: SteeringTrace, step: int) -> Reading | None:
    """One evaluation of every image that has relations, without a gradient and without a move; the trace takes it.

    latent (B, ...) as in `steer`. Returns the Reading over the images with relations, in their order; None where no
    image has any.
    """
    images = [i for i, labels in enumerate(trace.labels) if labels]
    if not images:
        return None
    with torch.inference_mode(False), torch.no_grad():
        wide = torch.promote_types(latent.dtype, torch.float32)
        reading = evaluate(latent.detach().to(wide)[images].clone(), tuple(images))
    trace.forwards += 1
    _note(trace, reading, images, step, 0, torch.zeros(len(images)), ["looked at only"] * len(images))
    return reading


def _reached(reading: Reading, plan: SteeringPlan) -> Tensor:
    """(b,) bool: every relation of the image is reached by probability or by loss."""
    done = ~reading.mask
    if plan.reached is not None:
        done = done | (reading.probability >= plan.reached)
    if plan.stop_loss is not None:
        done = done | (reading.loss.detach() <= plan.stop_loss)
    return done.all(1)


def _served(reading: Reading, plan: SteeringPlan, evaluation: int) -> Tensor:
    """(b, R) float: the weight of each relation's loss in this evaluation."""
    if plan.combine == "sum":
        return reading.mask.float()
    turn = evaluation % reading.mask.sum(1).clamp(min=1)
    return torch.nn.functional.one_hot(turn, reading.mask.shape[1]).to(reading.loss)


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def _change(z: Tensor, gradient: Tensor, plan: SteeringPlan) -> tuple[Tensor, Tensor]:
    """The move of each image, and (b,) whether its gradient was finite (no move where it was not)."""
    finite = gradient.flatten(1).isfinite().all(1)
    shape = (-1,) + (1,) * (z.ndim - 1)
    gradient = torch.where(finite.view(shape), gradient, 0.0)
    length = torch.full_like(finite, plan.step_size, dtype=z.dtype)
    if plan.step_rule == "relative":
        size = _norm(gradient)
        length = torch.where(size > 0, length * _norm(z) / size.clamp(min=torch.finfo(z.dtype).tiny), 0.0)
    return -plan.strength * length.view(shape) * gradient, finite


def _note(
    trace: SteeringTrace,
    reading: Reading,
    images: Sequence[int],
    step: int,
    evaluation: int,
    moves: Tensor,
    notes: Sequence[str],
) -> None:
    losses, probabilities = reading.loss.detach().tolist(), reading.probability.tolist()
    for row, image in enumerate(images):
        trace.evaluations[image] += 1
        for r, label in enumerate(trace.labels[image]):
            trace.records.append(
                Record(
                    image,
                    step,
                    evaluation,
                    r,
                    label,
                    losses[row][r],
                    probabilities[row][r],
                    float(moves[row]),
                    notes[row],
                )
            )
