"""A real ComfyUI on the CPU, the pack loaded as the host loads it, EmojiWorld in it.

Everything runs under inference mode with weights made under it, as in the host. Without COMFYUI_PATH the folder is left
out: `run.py` is how these tests are started.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACK = "custom_nodes_learn_to_steer"
PROMPT = "a dog to the right of a teddy bear"
HOST = os.environ.get("COMFYUI_PATH") if os.environ.get("LEARN_TO_STEER_HOST_TESTS") else None

collect_ignore_glob = [] if HOST else ["test_*.py"]

if HOST:
    sys.path[:] = [HOST, *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
    sys.argv = sys.argv[:1]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import torch

    torch.set_num_threads(1)


def load_pack() -> Any:
    """The pack as a module under a private name, the way the host does it."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pack() -> Any:
    return load_pack()


def make_node(pack: Any) -> Callable[..., tuple[Any, ...]]:
    """A function node("RelationPrompt", clip=..., ...) -> the node's outputs."""

    async def classes() -> list[Any]:
        extension = await pack.comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    by_name = {c.GET_SCHEMA().node_id.split("_")[1]: c for c in asyncio.run(classes())}

    def call(name: str, **inputs: Any) -> tuple[Any, ...]:
        with torch.inference_mode():
            return by_name[name].execute(**inputs).args

    call.classes = by_name  # type: ignore[attr-defined]
    return call


@pytest.fixture(scope="session")
def node(pack: Any) -> Callable[..., tuple[Any, ...]]:
    return make_node(pack)


def world_of(node: Any, model: Any, clip: Any, vae: Any, classifier_name: str) -> SimpleNamespace:
    """These models, a prompt and a classifier: model, clip, vae, positive, negative, relations, classifier."""
    import nodes as host_nodes

    positive, relations, _ = node("RelationPrompt", clip=clip, text=PROMPT)
    (classifier, _) = node("LoadRelationClassifier", classifier_name=classifier_name)
    with torch.inference_mode():
        (negative,) = host_nodes.CLIPTextEncode().encode(clip, "")
    return SimpleNamespace(
        model=model,
        clip=clip,
        vae=vae,
        positive=positive,
        negative=negative,
        relations=relations,
        classifier=classifier,
    )


@pytest.fixture(scope="session")
def world(node: Any) -> SimpleNamespace:
    """EmojiWorld, see `world_of`."""
    return world_of(node, *node("LoadEmojiWorld"), "emojiworld-symmetric.safetensors")


@pytest.fixture
def own(node: Any, world: SimpleNamespace) -> SimpleNamespace:
    """The world with a model of its own: where the host has written a patch into a weight, it is another object ever
    after."""
    return SimpleNamespace(**{**vars(world), "model": node("LoadEmojiWorld")[0]})


def latents(batch: int = 1, **more: Any) -> dict[str, Any]:
    """Empty latents of EmojiWorld's size."""
    return {"samples": torch.zeros(batch, 4, 16, 16), **more}


def stock(
    world: Any, sampler: str = "euler", latent: Any = None, steps: int = 8, model: Any = None, **more: Any
) -> Any:
    """Latents of the host's own KSampler. more: seed, denoise, positive."""
    import nodes as host_nodes

    with torch.inference_mode():
        (result,) = host_nodes.KSampler().sample(
            model or world.model, more.get("seed", 11), steps, 6.0, sampler, "simple", more.get("positive", world.positive),
            world.negative, latent or latents(), more.get("denoise", 1.0),
        )  # fmt: skip
    return result["samples"]


def steered(
    node: Any, world: Any, sampler: str = "euler", latent: Any = None, steps: int = 8, **more: Any
) -> Any:
    """(latents, trace log) of the Steering KSampler. more: any further input of the node.

    Without options every evaluation is followed by a move, so that no test depends on how good the shipped weights are.
    """
    more.setdefault("options", options(node, reached=1.0))
    inputs = {
        "model": world.model, "seed": 11, "steps": steps, "cfg": 6.0, "sampler_name": sampler, "scheduler": "simple",
        "positive": world.positive, "negative": world.negative, "latent_image": latent or latents(), "denoise": 1.0,
        "relations": world.relations, "classifier": world.classifier, **more,
    }  # fmt: skip
    result, log = node("SteeringKSampler", **inputs)
    return result["samples"], log


def options(node: Any, **changes: Any) -> Any:
    """A custom plan: the fast one with changes."""
    values = {
        "plan": "custom", "strength": 1.0, "start": 0.0, "end": 0.25, "every": 1, "evaluations_per_step": 1, "budget": 0,
        "step_rule": "relative", "step_size": 0.2, "reached": 0.98, "combine": "sum",
    }  # fmt: skip
    return node("SteeringOptions", **(values | changes))[0]


@pytest.fixture(autouse=True)
def left_as_found(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test that used the model: no wrapper, flag or parameter differs from before."""
    if "world" not in request.fixturenames:
        yield
        return
    import comfy.model_management

    world = request.getfixturevalue("world")

    def state() -> Any:
        tensors = [*world.model.model.named_parameters(), *world.model.model.named_buffers()]
        weights = [
            (n, id(t), t.is_inference(), t.untyped_storage().data_ptr(), t.requires_grad) for n, t in tensors
        ]
        flag = getattr(comfy.model_management, "in_training", None)
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in world.model.model.modules())
        return (
            weights,
            flag,
            hooks,
            str(world.model.wrappers),
            sorted(world.model.model_options["transformer_options"]),
        )

    before = state()
    yield
    assert state() == before
