"""The update loop: evaluate, move, evaluate again, until the relations hold or the plan says stop.

Steering moves the latent against the gradient of an objective between two steps of a sampler (Learn-to-Steer,
section on inference-time optimisation). One *evaluation* of an image is one forward pass as far as the last
layer the objective reads and, unless the relation already holds, one backward pass. Everything is batched:
each image of a batch is steered for itself and leaves the loop when its own relations hold. Where they held at its
last evaluation, the next one begins without a gradient; the pass is repeated with one only if they no longer do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..objectives import Reading
from .plan import SteeringPlan
from .step_rules import move_of, norms
from .trace import Record, SteeringTrace

Evaluate = Callable[[Tensor, Sequence[int]], Reading]
"""(latents of some images (b, ...), their indices in the batch) -> Reading over those b images."""


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
                change, finite = move_of(z.detach(), gradient / enlarge, plan)
                change[~open_rows] = 0
                moves = norms(change).cpu()
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


def watch(latent: Tensor, evaluate: Evaluate, trace: SteeringTrace, step: int) -> Reading | None:
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
    _note(trace, reading, images, step, 0, torch.zeros(len(images)), ["watched"] * len(images))
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
