"""The update loop: evaluate, move, evaluate again, until the targets are reached or the plan says stop.

Steering moves the latent against the gradient of an objective between two steps of a sampler (Learn-to-Steer, section on
inference-time optimisation). One *evaluation* of an image is one forward pass as far as the last layer that the
objective reads and, where a relation does not hold yet, one backward pass. Everything is batched: each image of a batch
is steered for itself and leaves the loop when its own targets are reached: its relations, and whatever else is wanted.

The first moves decide most. So an image whose relations held when they were last read is only watched afterwards: for
nothing where the host lends the maps of the sampler's own pass (`observe`), else by an evaluation without a gradient;
and it is moved again only where a relation is lost. The evaluation after a move is a line search: where the loss did
not fall, the move is half taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..objectives import Reading
from .loss_scale import gradient_of
from .plan import SteeringPlan
from .step_rules import move_of, norms, rms
from .trace import Record, SteeringTrace

Evaluate = Callable[[Tensor, Sequence[int]], Reading]
"""(latents of some images (b, ...), their indices in the batch) -> Reading over those b images."""

RANGE = 30.0
"""Net displacement of an image's latent over a run, in rms, beyond which steering leaves it alone."""


class SteeringLoop:
    """The steering of one run.

    plan, trace: the trace says by its labels which images have relations, and takes the records. steps: indices of the
    run's steps that are steered, see `schedule.steered_steps`. compute: the type that the network computes in. coarse: the
    run's steps are far apart (`schedule.coarse`), so that each is evaluated, whatever held at the one before.
    """

    def __init__(
        self,
        plan: SteeringPlan,
        trace: SteeringTrace,
        steps: Collection[int],
        compute: torch.dtype = torch.float32,
        coarse: bool = False,
    ) -> None:
        self.plan, self.trace, self.compute, self.coarse = plan, trace, compute, coarse
        self.steps = frozenset(steps)
        self._images = [i for i, labels in enumerate(trace.labels) if labels]
        self._before = list(trace.evaluations)  # those of first noises are not the plan's
        self._held: dict[int, int] = {}  # image -> step since which its relations have held
        self._observed: set[int] = set()  # images read off the sampler's own pass since the last call
        self._share: dict[int, float] = {}
        self._displacement: dict[int, Tensor] = {}
        self._left: set[int] = set()

    def active(self, step: int) -> bool:
        """Whether anything can happen before this step."""
        return step in self.steps and bool(self._images)

    def observe(self, reading: Reading, images: Sequence[int], step: int) -> None:
        """Take note of what the maps of the sampler's own pass at this step say; `steer` for the next step builds on it."""
        holds = _reached(reading, self.plan)
        self._observed.update(images)
        for image, held in zip(images, holds.tolist(), strict=True):
            self._hold(image, step, held)
        notes = ["reached" if held else "watched" for held in holds.tolist()]
        self._note(reading, list(images), step, -1, None, notes)

    def steer(self, latent: Tensor, evaluate: Evaluate, step: int) -> Tensor:
        """Move each image's latent until its relations hold or the plan says stop. Call it before this step.

        latent (B, ...), any float dtype, in the space the model's input lives in (so that "gradient" steps mean the
        same for every sampler). evaluate: see `Evaluate`; it is called with a float32 leaf (float64 for float64).

        Returns a new tensor, or `latent` itself where nothing was moved. An image whose gradient is not finite or has
        vanished is left as it was, and the trace says so.
        """
        if not self.active(step):
            return latent
        current, moved_any = latent.detach().to(torch.promote_types(latent.dtype, torch.float32)), False
        pending = [i for i in self._images if i not in self._left]
        pending = self._not_holding(pending, current, evaluate, step)
        last: dict[int, _Before] = {}
        for evaluation in range(self.plan.evaluations_per_step):
            pending = [i for i in pending if self._affordable(i)]
            if not pending:
                break
            change, moves, notes, reading = self._evaluated(current, pending, evaluate, evaluation, last)
            losses, weights = reading.loss.detach(), reading.weights
            self._note(reading, pending, step, evaluation, moves, notes)
            if bool((change != 0).any()):
                if not moved_any:
                    current, moved_any = current.clone(), True
                current[pending] += change
            for row, image in enumerate(pending):
                last[image] = _Before(losses[row], weights[row], change[row])
                self._hold(image, step, notes[row] == "reached")
            pending = [i for i, note in zip(pending, notes, strict=True) if note in ("", TAKEN_BACK)]
        return current.to(latent.dtype) if moved_any else latent

    def _affordable(self, image: int) -> bool:
        spent = self.trace.evaluations[image] - self._before[image]
        return self.plan.budget is None or spent < self.plan.budget

    def _hold(self, image: int, step: int, held: bool) -> None:
        if held:
            self._held.setdefault(image, step)
        else:
            self._held.pop(image, None)

    def _due(self, image: int, step: int) -> bool:
        """Whether an image that held is evaluated again; as published, at every step."""
        since = step - self._held[image]
        return not self.plan.searches or since > 0 and since & (since - 1) == 0

    def _not_holding(self, pending: list[int], current: Tensor, evaluate: Evaluate, step: int) -> list[int]:
        """Those of the images that need a gradient. The others held when last read: for nothing, by the sampler's own
        pass, or by an evaluation without a gradient, which they have 1, 2, 4, 8 ... steps after they began to hold:
        most losses come early."""
        held = [i for i in pending if i in self._held]
        unseen = [i for i in held if i not in self._observed and self._due(i, step)]
        if self.coarse:
            unseen = held
        due = [i for i in unseen if self._affordable(i)]
        self._observed.clear()
        lost: set[int] = set()
        if due:
            with torch.inference_mode(False), torch.no_grad():
                reading = evaluate(current[due].clone(), tuple(due))
            self.trace.forwards += 1
            holds = _reached(reading, self.plan).tolist()
            notes = ["reached" if still else "lost" for still in holds]
            self._note(reading, due, step, 0, None, notes)
            lost = {image for image, still in zip(due, holds, strict=True) if not still}
            for image in lost:
                self._hold(image, step, False)
        return [i for i in pending if i not in held or i in lost]

    def _evaluated(
        self,
        current: Tensor,
        pending: list[int],
        evaluate: Evaluate,
        evaluation: int,
        last: dict[int, _Before],
    ) -> tuple[Tensor, Tensor, list[str], Reading]:
        """One evaluation: the change of each latent, `_lengths` of the change, notes, and what was read."""
        plan, trace = self.plan, self.trace
        with torch.inference_mode(False), torch.enable_grad():
            z = current[pending].clone().requires_grad_(True)
            reading = evaluate(z, tuple(pending))
            trace.forwards += 1
            losses = (_served(reading, plan, evaluation) * reading.loss).sum(1)
            reached = _reached(reading, plan)
            notes = ["reached" if held else "" for held in reached.tolist()]
            change = torch.zeros_like(z)
            for row, image in enumerate(pending):
                before = last.get(image)
                if before is None or not plan.searches or notes[row]:
                    continue
                if before.not_less(reading.loss.detach()[row]):
                    notes[row] = TAKEN_BACK
                    self._share[image] = self._share.get(image, 1.0) / 2
                    change[row] = -before.move / 2
                    self._displacement[image] = self._net(image, change[row], z.detach()[row])
            open_rows = torch.tensor([not note for note in notes], device=z.device)
            if open_rows.any():
                gradient = gradient_of(losses, z, open_rows, self.compute)
                trace.backwards += 1
                finite = gradient.flatten(1).isfinite().all(1)
                gradient = torch.where(finite.view((-1,) + (1,) * (z.ndim - 1)), gradient, 0.0)
                share = torch.tensor([self._share.get(i, 1.0) for i in pending], device=z.device)
                moves = move_of(z.detach(), gradient, plan, share)
                for row, (image, is_open) in enumerate(zip(pending, open_rows.tolist(), strict=True)):
                    if not is_open:
                        continue
                    trace.gradients[image] += 1
                    if not finite[row]:
                        notes[row] = "gradient not finite, left unchanged"
                    elif not bool(gradient[row].any()):
                        notes[row] = "gradient vanished, left unchanged"
                    elif not self._in_range(image, moves[row], z.detach()[row]):
                        notes[row] = "out of range, left unchanged from here on"
                        self._left.add(image)
                    else:
                        change[row] = moves[row]
        return change, _lengths(z.detach(), change), notes, reading

    def _in_range(self, image: int, move: Tensor, z: Tensor) -> bool:
        """Whether the net displacement of the run, in rms, stays within `RANGE` with this move; notes it where it does."""
        if not self.plan.searches:
            return True
        net = self._net(image, move, z)
        if float(net.norm()) > RANGE:
            return False
        self._displacement[image] = net
        return True

    def _net(self, image: int, move: Tensor, z: Tensor) -> Tensor:
        """The net displacement of an image's latent in rms, this move included."""
        unit = z.square().mean().sqrt().clamp(min=1e-12)
        return self._displacement.get(image, torch.zeros_like(move)) + move / unit

    def _note(
        self,
        reading: Reading,
        images: Sequence[int],
        step: int,
        evaluation: int,
        moves: Tensor | None,
        notes: Sequence[str],
    ) -> None:
        """moves: as `_lengths` has them, None where nothing is moved."""
        losses, probabilities = reading.loss.detach().tolist(), reading.probability.tolist()
        moves = torch.zeros(len(images), 5) if moves is None else moves
        for row, image in enumerate(images):
            self.trace.evaluations[image] += evaluation >= 0
            length, units, largest, before, after = moves[row].tolist()
            for r, label in enumerate(self.trace.labels[image]):
                self.trace.records.append(
                    Record(
                        image, step, evaluation, r, label, losses[row][r], probabilities[row][r], length, units, largest,
                        notes[row], before, after,
                    )
                )  # fmt: skip


@dataclass(frozen=True)
class _Before:
    """What an image's last evaluation of this step said, and the move that followed. losses, weights (R,): of its targets
    and padding, which may be more or less the next time."""

    losses: Tensor
    weights: Tensor
    move: Tensor

    def not_less(self, losses: Tensor) -> bool:
        """Whether the move did not lower what it was meant to lower: the losses as they were weighed then."""
        shared = min(len(losses), len(self.losses))
        weights = self.weights[:shared]
        return bool((losses[:shared] * weights).sum() >= (self.losses[:shared] * weights).sum())


TAKEN_BACK = "the loss did not fall, half of the move taken back"


def watch(latent: Tensor, evaluate: Evaluate, trace: SteeringTrace, step: int) -> Reading | None:
    """One evaluation of every image that has relations, without a gradient and without a move; the trace takes it.

    latent (B, ...) as in `SteeringLoop.steer`. Returns the Reading over the images with relations, in their order; None
    where no image has any.
    """
    loop = SteeringLoop(SteeringPlan(), trace, (step,))
    images = [i for i, labels in enumerate(trace.labels) if labels]
    if not images:
        return None
    with torch.inference_mode(False), torch.no_grad():
        wide = torch.promote_types(latent.dtype, torch.float32)
        reading = evaluate(latent.detach().to(wide)[images].clone(), tuple(images))
    trace.forwards += 1
    loop._note(reading, images, step, 0, None, ["watched"] * len(images))
    return reading


def _reached(reading: Reading, plan: SteeringPlan) -> Tensor:
    """(b,) bool: every target of the image is reached by probability or by loss."""
    done = ~reading.mask
    if plan.reached is not None:
        done = done | (reading.probability >= plan.reached)
    if plan.stop_loss is not None:
        done = done | (reading.loss.detach() <= plan.stop_loss)
    return done.all(1)


def _served(reading: Reading, plan: SteeringPlan, evaluation: int) -> Tensor:
    """(b, R) float: the weight of each target's loss in this evaluation."""
    if plan.combine == "sum":
        return reading.weights
    turn = evaluation % reading.mask.sum(1).clamp(min=1)
    return torch.nn.functional.one_hot(turn, reading.mask.shape[1]).to(reading.loss) * reading.weights


def _lengths(z: Tensor, change: Tensor) -> Tensor:
    """(b, 5) on the CPU: L2 norm of each change, the same in the latent's rms, its largest element in the latent's rms,
    and the spread of the latent's elements before and after it; no spread where nothing is changed."""
    unit = rms(z, torch.ones_like(z, dtype=torch.bool)).clamp(min=1e-12)
    length, moved = norms(change), change.flatten(1).any(1)
    spreads = [torch.where(moved, x.flatten(1).std(1), 0.0) for x in (z, z + change)]
    return (
        torch.stack([length, length / unit, change.flatten(1).abs().amax(1) / unit, *spreads], 1)
        .float()
        .cpu()
    )
