"""A graph on a running ComfyUI as evaluation wants it: prompts and seeds in, pictures out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import SteeringError
from ...guidance import GuidancePlan, Method
from ...language import RelationTriplet
from ...objectives import Objective
from ...steering import SteeringPlan, SteeringTrace
from ..protocol import Drawn
from .client import Server
from .graph import PICTURE, TRACE, DrawingGraph


class GraphSampler:
    """A `hosts.protocol.Sampler`: the graph says how to draw; steps, guidance and steering are its own.

    steered: as the graph steers, else at strength 0.
    """

    def __init__(self, server: Server, graph: DrawingGraph, steered: bool) -> None:
        self.server, self.graph, self.steered = server, graph, steered
        self._asked = False

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        objective: Objective | None = None,
        plan: SteeringPlan | None = None,
        steps: int | None,
        guidance: float | None,
        triplets: Sequence[Sequence[RelationTriplet]] | None = None,
        method: Method = "gradient",
        attention: GuidancePlan | None = None,
        seeds_tried: int = 1,
    ) -> Drawn:
        """See `hosts.protocol.Sampler`: one prompt after the other. steps and guidance are not used.

        Raises SteeringError for an objective, a plan, a method or triplets, which are the graph's.
        """
        theirs = (objective, plan, triplets, attention) != (None,) * 4 or method != "gradient"
        if theirs or seeds_tried != 1:
            raise SteeringError(
                "Expected the graph to say how to steer, got an objective or a plan; leave them out."
            )
        if not self._asked:
            self.server.forget()
            self._asked = True
        entries = [
            self.server.run(self.graph.filled(p, s, self.steered))
            for p, s in zip(prompts, seeds, strict=True)
        ]
        pictures = [self.server.picture(_output(entry, PICTURE)["images"][0]) for entry in entries]
        if len({picture.shape for picture in pictures}) > 1:
            raise SteeringError(
                "Expected pictures of one size, got several; let the graph draw every prompt in one size."
            )
        spent = [_spent(entry) for entry in entries]
        trace = SteeringTrace(
            [[] for _ in prompts],
            evaluations=[evaluations for evaluations, _ in spent],
            gradients=[gradients for _, gradients in spent],
        )
        return Drawn(np.stack(pictures), trace, None, sum(map(_seconds, entries)))

    def digest(self) -> str:
        """SHA-256 of the graph and the server's version."""
        told = [self.graph.filled("", 0, self.steered), self.server.version()]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _output(entry: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    outputs = entry.get("outputs", {})
    if node not in outputs:
        raise SteeringError(
            f"Expected the server to show the output of the node {node}, but it did not; restart the server, whose cache "
            "may hold it back."
        )
    return outputs[node]


def _spent(entry: Mapping[str, Any]) -> tuple[int, int]:
    """Evaluations of steering, and those of them with a gradient, as the report says; 0 where there is none."""
    shown = entry.get("outputs", {}).get(TRACE, {}).get("text")
    if not shown:
        return 0, 0
    runs = json.loads(shown[0])["runs"]
    traces = [trace for run in runs for trace in run["traces"]]
    return tuple(sum(sum(t[key]) for t in traces) for key in ("evaluations", "gradients"))  # type: ignore[return-value]


def _seconds(entry: Mapping[str, Any]) -> float:
    """From the start to the end of the graph, by the server's clock."""
    stamps = {kind: said.get("timestamp") for kind, said in entry["status"]["messages"]}
    began, ended = stamps.get("execution_start"), stamps.get("execution_success")
    if began is None or ended is None:
        raise SteeringError(
            "Expected the server to say when a graph began and ended, but it did not; use ComfyUI 0.3.64 or newer."
        )
    return (ended - began) / 1000
