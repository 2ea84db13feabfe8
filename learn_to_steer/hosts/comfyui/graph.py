"""The graph around a report, as the host hands it to a node: which samplers its pictures come from.

A graph in the host's API format is {node number: {"class_type": ..., "inputs": {name: value or [node number, slot]}}}.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_APPLY = "LearnToSteer_ApplyRelationSteering"

Nodes = Mapping[str, Mapping[str, Any]]


class Graph:
    """What a report can tell of its own graph.

    makers: numbers of the nodes that its pictures come from. uses_model: whether one of them is given the
    MODEL that belongs to the report's trace; True where that cannot be told.
    """

    def __init__(self, nodes: Nodes, pictures: Any, trace: Any) -> None:
        """nodes: the graph. pictures, trace: the links of the report's inputs, [node number, slot]."""
        self._nodes = nodes
        self.makers = _behind(nodes, pictures)
        source = str(trace[0]) if _is_link(trace) else None
        applies = nodes.get(source or "", {}).get("class_type") == _APPLY
        self.uses_model = not applies or any(
            _is_link(value) and str(value[0]) == source and value[1] != trace[1]
            for number in self.makers
            for value in nodes[number].get("inputs", {}).values()
        )

    def may_have_made(self, node: str | None) -> bool:
        """Whether a run of this node can have made the pictures; nodes that are not in the graph (expanded ones) may."""
        return node not in self._nodes or node in self.makers

    def signature(self, node: str) -> str:
        """A digest of a node and everything it comes from: equal ones are given the same."""
        behind = {number: dict(self._nodes[number]) for number in sorted(_behind(self._nodes, [node, 0]))}
        told = {
            number: {"class_type": n.get("class_type"), "inputs": n.get("inputs")}
            for number, n in behind.items()
        }
        return hashlib.sha256(json.dumps([node, told], sort_keys=True, default=str).encode()).hexdigest()


def _is_link(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and not isinstance(value[0], (list, dict))


def _behind(nodes: Nodes, link: Any) -> list[str]:
    """The node of a link and those it comes from, the furthest last."""
    found: dict[str, None] = {}
    waiting = [str(link[0])] if _is_link(link) else []
    while waiting:
        number = waiting.pop(0)
        if number in found or number not in nodes:
            continue
        found[number] = None
        waiting += [str(v[0]) for v in nodes[number].get("inputs", {}).values() if _is_link(v)]
    return list(found)
