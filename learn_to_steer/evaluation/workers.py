"""Who draws: this process, or workers of Ray, one a GPU. What comes out is the same; only the times differ."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import SteeringError
from .bench import Bench, Draw, Shown

_NICENESS = "RAY_worker_niceness"
_AS_THIS_PROCESS = {"worker_niceness": 0}
"""Ray's own is 15: beside any other work on this machine its workers would hardly get on."""


@dataclass(frozen=True)
class Task:
    """Pictures that are drawn together, and the settings that still lack them."""

    draws: Sequence[Draw]
    settings: Sequence[str]


class Workers(Protocol):
    """Benches of one setup."""

    def setup(self) -> dict[str, Any]:
        """See `bench.Bench.setup`."""

    def check(self, draws: Sequence[Draw]) -> None:
        """Raises SteeringError for a draw whose picture a judge cannot judge."""

    def work(self, tasks: Sequence[Task]) -> Iterator[list[Shown]]:
        """The judged pictures of the tasks, some at a time, in any order."""


class InProcess:
    """One bench, here."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def setup(self) -> dict[str, Any]:
        """See `Workers`."""
        return self.bench.setup()

    def check(self, draws: Sequence[Draw]) -> None:
        """See `Workers`."""
        self.bench.check(draws)

    def work(self, tasks: Sequence[Task]) -> Iterator[list[Shown]]:
        """See `Workers`: after every setting of every task."""
        for task in tasks:
            yield from self.bench.draw(task.draws, task.settings)


class RayWorkers:
    """Benches in processes of their own, on this machine or on a cluster.

    Every worker builds its bench once, by `make(*arguments)`, which must be importable there; then it is given one task
    after the other. A worker that dies ends the run with a sentence; what was drawn stays, and the run can go on.
    """

    def __init__(
        self,
        make: Callable[..., Bench],
        arguments: Sequence[Any],
        address: str = "local",
        workers: int | None = None,
        gpu: bool = True,
    ) -> None:
        """address: "local" starts Ray here, anything else is the address of a running cluster ("auto" finds it). workers:
        None = as many as the cluster has GPUs, or CPUs where there are none. gpu: whether each worker is given a GPU, if
        the cluster has any.

        Raises SteeringError where Ray is not installed or does not answer.
        """
        try:
            import ray
        except ImportError as error:
            raise SteeringError(
                "Expected Ray for --ray, but it is not installed; "
                'run: pip install "learn-to-steer[distributed]".'
            ) from error
        self.ray = ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        try:
            ray.init(
                address=address,
                num_cpus=workers if address == "local" else None,
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _system_config=_AS_THIS_PROCESS
                if address == "local" and _NICENESS not in os.environ
                else None,
            )
        except Exception as error:  # Ray's own kinds, and those of its network library
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SteeringError(
                f"Expected Ray at {address}, but it does not answer ({reason}); start it or use --ray local."
            ) from error
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0)) if gpu else 0
        cpus = max(1, int(there.get("CPU", 1)))
        count = workers or max(1, gpus or cpus)
        if count > cpus:
            self.close()
            raise SteeringError(
                f"Expected at most {cpus} workers, one for each CPU of Ray at {address}, got {count}; ask for fewer."
            )
        actor = ray.remote(num_cpus=1, num_gpus=min(1.0, gpus / count))(_Actor)
        here = os.getcwd()
        self.actors: list[Any] = [actor.remote(make, tuple(arguments), here) for _ in range(count)]

    def setup(self) -> dict[str, Any]:
        """See `Workers`: as the first worker says. Raises the SteeringError that its bench was refused with."""
        return self._got(self.actors[0].setup.remote())

    def check(self, draws: Sequence[Draw]) -> None:
        """See `Workers`."""
        self._got(self.actors[0].check.remote(list(draws)))

    def work(self, tasks: Sequence[Task]) -> Iterator[list[Shown]]:
        """See `Workers`: after every task. At no time is more than one task with a worker."""
        waiting = list(reversed(tasks))
        busy: dict[Any, Any] = {}
        free = list(self.actors)
        while waiting or busy:
            while waiting and free:
                actor = free.pop()
                task = waiting.pop()
                busy[actor.draw.remote(task.draws, task.settings)] = actor
            (finished,), _ = self.ray.wait(list(busy), num_returns=1)
            free.append(busy.pop(finished))
            yield from self._got(finished)

    def close(self) -> None:
        """Let the workers go; what runs elsewhere on the cluster is left alone."""
        self.ray.shutdown()

    def _got(self, reference: Any) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SteeringError):
                raise error.cause from None
            raise
        except self.ray.exceptions.RayActorError as error:
            raise SteeringError(
                f"Expected every worker to stay alive, but one died ({str(error).splitlines()[0]}); call the command "
                "again with the same folder to go on."
            ) from error


class _Actor:
    """What runs in a worker. The bench is built when it is first asked for: what goes wrong there is then an answer.

    folder: paths are relative to it, where it is there.
    """

    def __init__(self, make: Callable[..., Bench], arguments: tuple[Any, ...], folder: str) -> None:
        self.make, self.arguments = make, arguments
        if os.path.isdir(folder):
            os.chdir(folder)

    @functools.cached_property
    def bench(self) -> Bench:
        """The worker's own."""
        return self.make(*self.arguments)

    def setup(self) -> dict[str, Any]:
        return self.bench.setup()

    def check(self, draws: Sequence[Draw]) -> None:
        self.bench.check(draws)

    def draw(self, draws: Sequence[Draw], settings: Sequence[str]) -> list[list[Shown]]:
        return list(self.bench.draw(draws, settings))
