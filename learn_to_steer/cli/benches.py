"""What an evaluation is made of, as plain values, and the bench that is made of it - here or in a worker of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SteeringError
from .models import ModelFolder, load_pipeline, load_reader, model_folder
from .peers import PEERS, peer

if TYPE_CHECKING:
    from ..classifiers import RelationReader
    from ..evaluation.bench import Bench, Setting
    from ..evaluation.judges import Judge
    from ..hosts.diffusers.protocol import Pipeline
    from ..objectives import Objective

EMOJIWORLD = "emojiworld"
"""The judge of EmojiWorld's pictures, and another name of its first model."""

SETTINGS = (
    "plain",
    "fast",
    "former",
    "fast-round-robin",
    "paper",
    "centroid",
    "universal",
    "attention",
    "both",
    "rewritten",
    "rewritten-fast",
    "rewritten-centroid",
    *PEERS,
)
"""Ways to draw with a folder. "rewritten" is plain, from a prompt that was rewritten by rule."""

GRAPH_SETTINGS = ("plain", "steered", "rewritten", "rewritten-steered")
"""Ways to draw with a graph on a server, which steers in its own way."""

_REWRITTEN = "rewritten-"


@dataclass(frozen=True)
class BenchPlan:
    """model, classifier: paths, None for EmojiWorld's own. judges: as written. colours: a CLIP model. server, graph: where
    a server draws instead of the model."""

    settings: tuple[str, ...]
    judges: tuple[str, ...]
    rule: str
    model: Path | None = None
    classifier: Path | None = None
    universal: Path | None = None
    colours: str | None = None
    steps: int | None = None
    guidance: float | None = None
    height: int | None = None
    width: int | None = None
    device: str = "cpu"
    dtype: str = "auto"
    offload: str = "none"
    server: str | None = None
    graph: Path | None = None


def emojiworld_model(path: Path | None) -> ModelFolder:
    """The model of this name or folder; "emojiworld" is EmojiWorld's UNet."""
    return model_folder(None if path is not None and str(path) == EMOJIWORLD else path)


def default_settings(plan_model: Path | None, classifier: Path | None) -> tuple[str, ...]:
    """What is compared where nobody says what."""
    if emojiworld_model(plan_model).is_emojiworld:
        return ("plain", "fast", "paper", "centroid")
    return ("plain", "fast")


def make_bench(plan: BenchPlan) -> Bench:
    """Load everything. Raises SteeringError for whatever is not there or does not fit."""
    from ..evaluation.bench import Bench
    from .models import device_of

    if plan.graph is not None:
        sampler, settings = _on_server(plan)
        return Bench(sampler, _judges(plan, device_of(plan.device)), settings)
    from ..hosts.diffusers import PipelineSampler

    model = emojiworld_model(plan.model)
    pipe = load_pipeline(model, plan.device, plan.dtype, plan.offload)
    settings = [_setting(name, plan, model, pipe) for name in plan.settings]
    return Bench(
        PipelineSampler(pipe, model.family, plan.height, plan.width),
        _judges(plan, device_of(plan.device)),
        settings,
        plan.steps,
        plan.guidance,
    )


def judge_written(written: str, rule: str, device: str, colours: str | None = None) -> Judge:
    """The judge of this name, EmojiWorld's or one that `open_judge` opens."""
    if written == EMOJIWORLD:
        from ..emojiworld import WEIGHTS
        from ..emojiworld.judge import EmojiWorldDetector
        from ..evaluation.judges import RuleJudge

        return RuleJudge(EMOJIWORLD, EmojiWorldDetector(WEIGHTS), rule)
    from ..evaluation.opening import open_judge

    return open_judge(written, rule, device, colours)


def _judges(plan: BenchPlan, device: str) -> list[Judge]:
    return [judge_written(written, plan.rule, device, plan.colours) for written in plan.judges]


def _setting(name: str, plan: BenchPlan, model: ModelFolder, pipe: Pipeline) -> Setting:
    from ..classifiers import UNIVERSAL, load_classifier, shipped_classifier
    from ..evaluation.bench import Setting
    from ..objectives import CentroidObjective
    from ..steering import SteeringPlan

    fast = SteeringPlan.preset("fast")
    learned = _reading(load_reader(plan.classifier, model), model, pipe)
    layers = learned.layers
    if name in PEERS:
        return peer(name, learned, layers)
    if name.startswith(_REWRITTEN):
        way = _setting(name.removeprefix(_REWRITTEN), plan, model, pipe)
        return Setting(name, way.objective, way.plan, rewrite=True)
    every: dict[str, dict[str, Any]] = {
        "plain": {"objective": None, "plan": None},
        "rewritten": {"objective": None, "plan": None, "rewrite": True},
        "fast": {"objective": learned, "plan": fast},
        # What "fast" was in the first release: a share of the norm, every step evaluated.
        "former": {
            "objective": learned,
            "plan": SteeringPlan.preset("fast", step_rule="relative", step_size=0.15),
        },
        "fast-round-robin": {
            "objective": learned,
            "plan": SteeringPlan.preset("fast", combine="round_robin"),
        },
        "paper": {"objective": learned, "plan": SteeringPlan.preset("paper")},
        "centroid": {"objective": CentroidObjective(layers=layers), "plan": fast},
        "attention": {"objective": None, "plan": None, "method": "attention"},
        "both": {"objective": learned, "plan": None, "method": "both"},
    }
    if name == "universal":
        other = load_classifier(plan.universal or shipped_classifier(UNIVERSAL))
        every[name] = {"objective": _reading(other, model, pipe), "plan": fast}
    return Setting(name, **every[name])


def _reading(classifier: RelationReader, model: ModelFolder, pipe: Pipeline) -> Objective:
    """The objective of a classifier, on the layers it reads of this model. Raises SteeringError where it does not fit."""
    from ..classifiers import check_classifier
    from ..emojiworld import family_of
    from ..hosts.diffusers import attention_layers, denoiser
    from ..hosts.diffusers.pipelines import model_family
    from ..hosts.recommended import reading_recommended
    from ..objectives import LearnedObjective

    layers = attention_layers(denoiser(pipe))
    family = family_of(pipe) if model.is_emojiworld else model_family(denoiser(pipe))
    check_classifier(classifier, layers, family)
    return reading_recommended(LearnedObjective(classifier), family, layers)


def _on_server(plan: BenchPlan) -> tuple[Any, list[Setting]]:
    from ..evaluation.bench import Setting
    from ..hosts.server import GraphSampler, Server
    from ..hosts.server.graph import DrawingGraph

    assert plan.graph is not None
    try:
        nodes = json.loads(plan.graph.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "no JSON"
        raise SteeringError(
            f"Expected a graph in API format at {plan.graph}, but it cannot be read ({reason}); save it in ComfyUI with "
            '"Export (API)".'
        ) from error
    server = Server(plan.server) if plan.server is not None else Server()
    graph = DrawingGraph(nodes, server.nodes())
    ways = {steered: GraphSampler(server, graph, steered) for steered in (False, True)}
    settings = [
        Setting(
            name, None, None, rewrite=name.startswith("rewritten"), sampler=ways[name.endswith("steered")]
        )
        for name in plan.settings
    ]
    return ways[False], settings
