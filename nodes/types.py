"""What travels between the nodes of this pack, and the name they are found under."""

from __future__ import annotations

from comfy_api.latest import io

from .compat import ADVANCED, SPEAKS

__all__ = [
    "ADVANCED", "ATTENTION", "CATEGORY", "CLASSIFIER", "LAYOUT", "LOSSES", "MODELS", "OPTIONS", "RECORDS", "RELATIONS",
    "SPEAKS", "TRACE",
]  # fmt: skip

CATEGORY = "Learn-to-Steer"

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

RECORDS = io.Custom("LTS_RECORDS")
"""`dataset.Work`: the folder of a recording, and nothing that is open."""

LOSSES = io.Custom("LOSS_MAP")
"""The host's own: {"loss": [a number a step]}."""
