"""The nodes, one file per topic. Each takes widgets and types in, makes one call of the engine, and hands its outputs on."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType

from comfy_api.latest import ComfyExtension, io

from .compat import Rename, register_renames

TOPICS = (
    "prompt",
    "classifier",
    "steering",
    "layout",
    "samplers",
    "first_noise",
    "attention",
    "boxes",
    "report",
    "check",
    "recording",
    "training",
    "emojiworld",
)


RENAMES: tuple[Rename, ...] = ()
"""Nodes that were published under another name. None has been yet; whoever renames one adds it here."""


class LearnToSteerExtension(ComfyExtension):
    """What the host asks for the list of nodes."""

    async def on_load(self) -> None:
        classifier_topic = _topic("classifier")
        if classifier_topic is not None:
            classifier_topic.register_folders()
        await register_renames(RENAMES)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """The nodes of every topic. A part of the host that is gone takes the nodes that need it, and no others."""
        return [node for topic in map(_topic, TOPICS) if topic is not None for node in topic.NODES]


def _topic(name: str) -> ModuleType | None:
    try:
        return import_module(f".{name}", __name__)
    except ImportError as error:
        logging.warning(
            "Learn-to-Steer: the nodes for %s are left out, this version of ComfyUI lacks what they need (%s); update this "
            "pack.",
            name,
            error,
        )
        return None
