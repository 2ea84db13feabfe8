"""The nodes, one file per topic. Each takes widgets and types in, makes one call of the engine, and hands its outputs on."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import attention, classifier, emojiworld, prompt, report, samplers, steering


class LearnToSteerExtension(ComfyExtension):
    """What the host asks for the list of nodes."""

    async def on_load(self) -> None:
        classifier.register_folders()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        classifier.register_folders()
        topics = (prompt, classifier, steering, samplers, attention, report, emojiworld)
        return [node for topic in topics for node in topic.NODES]
