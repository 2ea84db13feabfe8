"""How EmojiWorld's models are fitted: one loop for all, which resumes from its checkpoint and logs its progress.

Progress is logged to ``<work>/<name>.log``. Under ``torchrun`` every process draws samples of its own and the gradients are
averaged; on a CPU one process per core wastes less than one process on all cores.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from ..records import atomic


@dataclass(frozen=True)
class TrainingRun:
    """Where a training keeps its state, how long it is, and on what it runs.

    ``steps`` is the whole length; a run that finds a checkpoint of step k goes on from there.
    """

    work: Path
    steps: int
    batch: int
    learning_rate: float
    device: str = "cpu"
    seed: int = 0
    save_every: int = 500
    minutes: float = math.inf
    """Stop (and save) after this time; the learning-rate schedule then follows the clock instead of the steps."""


def fit(
    name: str,
    run: TrainingRun,
    model: nn.Module,
    loss: Callable[[float, np.random.Generator], Tensor],
    *,
    ema: nn.Module | None = None,
    hold: float = 0.4,
    weight_decay: float = 0.01,
) -> bool:
    """AdamW with warm-up, a constant rate up to ``hold`` and a cosine to zero; EMA; resumable.

    loss(share of the run that is done, random numbers of the step) -> scalar. Returns whether this process is the one
    that writes the result.
    """
    rank, processes = join_processes()
    run.work.mkdir(parents=True, exist_ok=True)
    state_file = run.work / f"{name}.pt"
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=run.learning_rate, weight_decay=weight_decay, betas=(0.9, 0.99), fused=True
    )
    step, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=run.device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if ema is not None:
            ema.load_state_dict(state["ema"])
        step, spent = state["step"], state["seconds"]
    averages: list[float] = []
    started = time.monotonic() - spent

    def save() -> None:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        state |= {"ema": ema.state_dict() if ema is not None else {}, "seconds": time.monotonic() - started}
        with atomic(state_file) as temporary:
            torch.save(state, temporary)

    with (run.work / f"{name}.log").open("a") as log, tqdm(total=run.steps, initial=step, desc=name) as bar:
        while step < run.steps:
            elapsed = (time.monotonic() - started) / 60
            done = _first_process_says(max(step / run.steps, elapsed / run.minutes), processes)
            if done >= 1:
                break
            rate = min(1.0, (step + 1) / 150) * (
                1.0 if done < hold else 0.5 * (1 + math.cos(math.pi * (done - hold) / (1 - hold)))
            )
            for group in optimizer.param_groups:
                group["lr"] = run.learning_rate * rate
            # The data of a step depend on the step alone, so that a resumed run sees what an unbroken one would.
            torch.manual_seed((run.seed * 1_000_003 + step) * processes + rank)
            value = loss(done, np.random.default_rng((run.seed, step, rank)))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if processes > 1:
                _average_gradients(model, processes)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if ema is not None:
                decay = min(0.9995, (step + 1) / (step + 10))
                with torch.no_grad():
                    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
            averages.append(value.item())
            step += 1
            bar.update()
            if step % 50 == 0 and rank == 0:
                mean = float(np.mean(averages))
                averages.clear()
                bar.set_postfix(loss=f"{mean:.4f}")
                record = {"step": step, "loss": mean, "minutes": (time.monotonic() - started) / 60}
                log.write(json.dumps(record) + "\n")
                log.flush()
            if step % run.save_every == 0 and rank == 0:
                save()
        if rank == 0:
            save()
    return rank == 0


def join_processes() -> tuple[int, int]:
    """This process's rank and the number of processes: (0, 1) unless started by ``torchrun``."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), dist.get_world_size()


def _first_process_says(value: float, processes: int) -> float:
    """The same number in every process, although their clocks differ."""
    if processes == 1:
        return value
    shared = torch.tensor(value, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
    dist.broadcast(shared, 0)
    return shared.item()


def _average_gradients(model: nn.Module, processes: int) -> None:
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient) / processes)
