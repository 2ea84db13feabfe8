"""A graph in ComfyUI's API format that draws a prompt from a seed: where both go in, which node gives the picture, how
steering is switched off.

{node number: {"class_type": ..., "inputs": {name: value or [node number, slot]}, "_meta": {"title": ...}}}.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import SteeringError

Nodes = dict[str, dict[str, Any]]
Place = tuple[str, str]
"""A node's number and the name of one of its inputs."""

OWN = "LearnToSteer_"
OPTIONS = OWN + "SteeringOptions"
PROMPT = OWN + "RelationPrompt"
REPORT = OWN + "SteeringReport"
SAVE, PREVIEW, SHOW = "SaveImage", "PreviewImage", "PreviewAny"
LAYOUT = OWN + "RelationLayout"
TRACE_TYPE = "LTS_TRACE"

BY_HAND = {PROMPT: "triplets", LAYOUT: "places"}
"""Inputs in which a user may have written what belongs to another prompt: they are left empty."""

TEXTS = ("text", "prompt", "string", "value", "clip_l", "t5xxl", "text_g", "text_l")
"""Inputs that hold a prompt."""

SEEDS = ("seed", "noise_seed")
NUMBERS = (*SEEDS, "value")
FILL_PROMPT, FILL_SEED = "{prompt}", "{seed}"

PICTURE, TRACE = "learn-to-steer-picture", "learn-to-steer-trace"
"""Numbers of the nodes that show the picture and the trace in a graph that is sent."""

_OFF, _READ = "learn-to-steer-off", "learn-to-steer-report"


class DrawingGraph:
    """A user's graph, ready to be filled with a prompt and a seed.

    The prompt goes where "{prompt}" is written, else into the node with the title "prompt", else into the Relation Prompt,
    else into the text that the sampler's positive conditioning comes from; the seed likewise ("{seed}", the title "seed",
    every "seed" and "noise_seed"). The picture is that of the node with the title "picture", else of the one Save Image or
    Preview Image behind a steering node. Only what that picture is made of is sent.
    """

    def __init__(self, nodes: Any, classes: Mapping[str, Any]) -> None:
        """nodes: the graph. classes: what the server says of its node classes.

        Raises SteeringError for another format, classes that the server does not have, and where prompt, seed, picture or
        steering cannot be found.
        """
        self._classes = classes
        whole = _checked(nodes)
        if missing := sorted({n["class_type"] for n in whole.values()} - classes.keys()):
            raise SteeringError(
                f"Expected a server with the node {missing[0]}, which the graph uses, but it has none; install it there or "
                "leave the node out."
            )
        self._image = whole[_saver(whole, self._steering(whole))]["inputs"]["images"]
        self._nodes = {k: whole[k] for k in _behind(whole, self._image)}
        for node in self._nodes.values():
            if _whole(node["inputs"].get("batch_size")):
                node["inputs"]["batch_size"] = 1
        self.steering = self._steering(self._nodes)
        if not self.steering:
            raise SteeringError(
                f"Expected a graph whose picture is steered, such as by {OWN}SteeringKSampler or "
                f"{OWN}ApplyRelationSteering, found no such node behind it; give the node that saves the picture the title "
                '"picture", or add steering.'
            )
        self.prompts, self.seeds = _prompts(self._nodes), _seeds(self._nodes)

    def filled(self, prompt: str, seed: int, steered: bool) -> Nodes:
        """The graph to send: plain is the same graph at strength 0."""
        nodes = copy.deepcopy(self._nodes)
        for number, name in self.prompts:
            _fill(nodes[number]["inputs"], name, FILL_PROMPT, prompt)
        for node in nodes.values():
            by_hand = BY_HAND.get(node["class_type"])
            if isinstance(node["inputs"].get(by_hand), str):
                node["inputs"][by_hand] = ""
        for number, name in self.seeds:
            _fill(nodes[number]["inputs"], name, FILL_SEED, seed)
        if not steered:
            for number in self.steering:
                self._switch_off(nodes, number)
        nodes[PICTURE] = {"class_type": PREVIEW, "inputs": {"images": self._image}}
        if steered and (trace := self._trace()) is not None:
            read = {"trace": trace, "image": self._image}
            nodes[_READ] = {"class_type": REPORT, "inputs": read}
            nodes[TRACE] = {"class_type": SHOW, "inputs": {"source": [_READ, 2]}}
        return nodes

    def _steering(self, nodes: Nodes) -> list[str]:
        """Numbers of the nodes that steer."""
        return [
            number
            for number, node in nodes.items()
            if node["class_type"].startswith(OWN)
            and node["class_type"] != OPTIONS
            and {"options", "strength"} & self._inputs(node["class_type"]).keys()
        ]

    def _inputs(self, kind: str) -> dict[str, Any]:
        info = self._classes[kind].get("input", {})
        return {**info.get("required", {}), **info.get("optional", {})}

    def _switch_off(self, nodes: Nodes, number: str) -> None:
        node = nodes[number]
        taken = self._inputs(node["class_type"])
        if "strength" in taken:
            node["inputs"]["strength"] = 0.0
        if "options" in taken:
            nodes.setdefault(_OFF, {"class_type": OPTIONS, "inputs": self._defaults() | {"strength": 0.0}})
            node["inputs"]["options"] = [_OFF, 0]
        if "steer" in taken:
            node["inputs"]["steer"] = "always"

    def _defaults(self) -> dict[str, Any]:
        found = {}
        for name, (kind, *more) in self._classes[OPTIONS]["input"]["required"].items():
            about = more[0] if more else {}
            choices = kind if isinstance(kind, list) else about.get("options", [None])
            found[name] = about.get("default", choices[0])
        return found

    def _trace(self) -> list[Any] | None:
        """The link of the trace nearest to the picture; None where nothing gives one or the server cannot show it."""
        if not {REPORT, SHOW} <= self._classes.keys():
            return None
        for number in self.steering:
            outputs = self._classes[self._nodes[number]["class_type"]].get("output", [])
            if TRACE_TYPE in outputs:
                return [number, outputs.index(TRACE_TYPE)]
        return None


def _checked(nodes: Any) -> Nodes:
    well = isinstance(nodes, dict) and bool(nodes)
    well = well and all(
        isinstance(n, dict) and isinstance(n.get("class_type"), str) and isinstance(n.get("inputs"), dict)
        for n in nodes.values()
    )
    if not well:
        raise SteeringError(
            'Expected a graph in the API format, {number: {"class_type", "inputs"}}, got another one; save it in ComfyUI '
            'with "Export (API)".'
        )
    return copy.deepcopy(nodes)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _title(node: Mapping[str, Any]) -> str:
    return str((node.get("_meta") or {}).get("title", "")).strip().lower()


def _behind(nodes: Nodes, link: Any, never: str = "") -> list[str]:
    """The node of a link and those it comes from, the furthest last. never: an input that is not followed."""
    found: dict[str, None] = {}
    waiting = [str(link[0])] if _is_link(link) else []
    while waiting:
        number = waiting.pop(0)
        if number in found or number not in nodes:
            continue
        found[number] = None
        inputs = nodes[number]["inputs"].items()
        waiting += [str(value[0]) for name, value in inputs if _is_link(value) and name != never]
    return list(found)


def _saver(nodes: Nodes, steering: list[str]) -> str:
    titled = [k for k, n in nodes.items() if _title(n) == "picture" and _is_link(n["inputs"].get("images"))]
    if len(titled) == 1:
        return titled[0]
    for kind in (SAVE, PREVIEW):
        steered = []
        for number, node in nodes.items():
            link = node["inputs"].get("images")
            if node["class_type"] != kind or not _is_link(link):
                continue
            behind = _behind(nodes, link)
            # A sheet that a node of this pack draws is not the picture.
            if set(behind) & set(steering) and not nodes[behind[0]]["class_type"].startswith(OWN):
                steered.append(number)
        if len({str(nodes[number]["inputs"]["images"]) for number in steered}) == 1:
            return steered[0]
    raise SteeringError(
        f"Expected one {SAVE} or {PREVIEW} behind a steering node, found none or several; give the node that saves the "
        'picture the title "picture".'
    )


def _prompts(nodes: Nodes) -> list[Place]:
    written = [
        (k, name)
        for k, n in nodes.items()
        for name, value in n["inputs"].items()
        if isinstance(value, str) and FILL_PROMPT in value
    ]
    found = written or _titled(nodes, "prompt", TEXTS, str)
    if not found:
        own = [k for k, n in nodes.items() if n["class_type"] == PROMPT]
        found = [place for k in own for place in _literals(nodes, k, ("text",), str)]
    if not found:
        places = dict.fromkeys(p for k in _behind_positive(nodes) for p in _literals(nodes, k, TEXTS, str))
        found = list(places) if len({number for number, _ in places}) == 1 else []
    if not found:
        raise SteeringError(
            f"Expected one place for the prompt in the graph, found none or several; write {FILL_PROMPT} where it goes, or "
            'give the node the title "prompt".'
        )
    return found


def _seeds(nodes: Nodes) -> list[Place]:
    written = [(k, name) for k, n in nodes.items() for name, v in n["inputs"].items() if v == FILL_SEED]
    found = written or _titled(nodes, "seed", NUMBERS, int)
    if not found:
        # The seed of a layout is no noise.
        drawing = [k for k, n in nodes.items() if n["class_type"] != LAYOUT]
        found = list(dict.fromkeys(p for k in drawing for p in _literals(nodes, k, SEEDS, int)))
    if not found:
        raise SteeringError(
            f'Expected a "seed" or "noise_seed" in the graph, found none; write "{FILL_SEED}" where it goes, or give the '
            'node the title "seed".'
        )
    return found


def _titled(nodes: Nodes, title: str, names: tuple[str, ...], kind: type) -> list[Place]:
    return [p for k, n in nodes.items() if _title(n) == title for p in _literals(nodes, k, names, kind)]


def _literals(nodes: Nodes, number: str, names: tuple[str, ...], kind: type) -> Iterator[Place]:
    """Where the values of these inputs are written: in the node, or in one that a link leads to."""
    for name, value in nodes[number]["inputs"].items():
        if name not in names:
            continue
        if isinstance(value, kind) and not isinstance(value, bool):
            yield number, name
        elif _is_link(value) and str(value[0]) in nodes:
            wanted = TEXTS if kind is str else NUMBERS
            yield from _literals(nodes, str(value[0]), wanted, kind)


def _behind_positive(nodes: Nodes) -> list[str]:
    """Nodes that a positive conditioning comes from."""
    found: dict[str, None] = {}
    for node in nodes.values():
        for name, value in node["inputs"].items():
            if name == "positive" or (name == "conditioning" and "Guider" in node["class_type"]):
                found |= dict.fromkeys(_behind(nodes, value, never="negative"))
    return list(found)


def _fill(inputs: dict[str, Any], name: str, mark: str, value: str | int) -> None:
    there = inputs[name]
    marked = isinstance(value, str) and isinstance(there, str) and mark in there
    inputs[name] = there.replace(mark, str(value)) if marked else value
