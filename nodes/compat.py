"""What differs between hosts, from 0.3.64 to 0.33, in one place: each thing has a name here, and what to do without it.

Keywords that an older host does not know are left out; everything else is the same code on every host.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

_SCHEMA = io.Schema.__dataclass_fields__

SPEAKS: dict[str, Any] = {"has_intermediate_output": True} if "has_intermediate_output" in _SCHEMA else {}
"""Keywords of a schema whose node shows a text: where the host can (0.8 cannot, 0.33 can), it shows it again when the node's
result is taken from the cache, as after opening another graph."""

ADVANCED: dict[str, Any] = (
    {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}
)
"""Keywords of a widget that does nothing most of the time: where the host can (0.33), it is folded away."""


def aliases(*names: str) -> dict[str, Any]:
    """Keywords of a schema whose node is also found under these names; none where the host knows no aliases (0.8)."""
    return {"search_aliases": list(names)} if "search_aliases" in _SCHEMA else {}


BOXES: Any = getattr(io, "BoundingBox", None) or io.Custom("BOUNDING_BOX")
"""Boxes as the host has them (0.33): for each picture a list of {"x", "y", "width", "height"} in pixels, perhaps with "label" and
"score". A host without the type (0.8) still connects sockets of its name, such as another pack's."""


def boxes_input(name: str, **keywords: Any) -> Any:
    """A socket for boxes: a host that has a widget for the type would show that instead."""
    return BOXES.Input(name, **keywords, **({"force_input": True} if hasattr(io, "BoundingBox") else {}))


@dataclass(frozen=True)
class Rename:
    """A node under a new name. widgets: ids of the old node's widgets in their order. inputs: (old id, new id). outputs:
    places (old, new)."""

    old: str
    new: str
    widgets: Sequence[str] = ()
    inputs: Sequence[tuple[str, str]] = ()
    outputs: Sequence[tuple[int, int]] = ()


async def register_renames(renames: Sequence[Rename]) -> None:
    """Tell the host which nodes have new names, so that shared graphs with the old ones still open. Hosts without node
    replacements (before 0.14) are left alone."""
    if not renames or not hasattr(io, "NodeReplace"):
        return
    from comfy_api.latest import ComfyAPI

    api = ComfyAPI()
    for one in renames:
        await api.node_replacement.register(
            io.NodeReplace(
                new_node_id=one.new,
                old_node_id=one.old,
                old_widget_ids=list(one.widgets),
                input_mapping=[{"new_id": new, "old_id": old} for old, new in one.inputs],
                output_mapping=[{"new_idx": new, "old_idx": old} for old, new in one.outputs],
            )
        )
