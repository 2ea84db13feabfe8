"""What travels between the nodes of this pack, and the name they are found under."""

from __future__ import annotations

import inspect
from typing import Any

from comfy_api.latest import io

CATEGORY = "Learn-to-Steer"

SPEAKS: dict[str, Any] = (
    {"has_intermediate_output": True} if "has_intermediate_output" in io.Schema.__dataclass_fields__ else {}
)
"""Keywords of a schema whose node shows a text: where the host can (0.8 cannot, 0.33 can), it shows it again when the node's
result is taken from the cache, as after opening another graph."""

ADVANCED: dict[str, Any] = (
    {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}
)
"""Keywords of a widget that does nothing most of the time: where the host can (0.33), it is folded away."""

MODELS = (
    "Stable Diffusion (1.x, 2.x, XL, 3), Flux, Flux.2, Chroma, Qwen-Image, Z-Image, Lumina 2, AuraFlow, OmniGen2 or "
    "EmojiWorld."
)
"""What can be steered, as the tooltip of every MODEL input says it."""

RELATIONS = io.Custom("LTS_RELATIONS")
"""`hosts.comfyui.prompt.relations.PromptRelations`: what a prompt says, and the tokens of its objects."""

CLASSIFIER = io.Custom("LTS_CLASSIFIER")
"""An objective of the engine: a trained relation classifier or the hand-made rule."""

OPTIONS = io.Custom("LTS_OPTIONS")
"""`hosts.comfyui.choice.Choice`: the method and the plans."""

LAYOUT = io.Custom("LTS_LAYOUT")
"""`hosts.comfyui.guide.layout.RelationLayout`: places by hand for a prompt's objects."""

TRACE = io.Custom("LTS_TRACE")
"""`hosts.comfyui.run.SteeringLog`: filled while a sampler runs."""

ATTENTION = io.Custom("LTS_ATTENTION")
"""`hosts.comfyui.capture.CapturedAttention`."""
