"""Learn-to-Steer as a pack of ComfyUI nodes: drop this folder into `custom_nodes`.

Only the entrance is here, and nothing heavy happens at import: the nodes themselves, and with them the engine, come in
when the host asks for them.
"""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """The host's way in (V3 nodes)."""
    from .nodes import LearnToSteerExtension

    return LearnToSteerExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
