"""What travels between the nodes of this pack, and the name they are found under."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "Learn-to-Steer"

RELATIONS = io.Custom("LTS_RELATIONS")
"""`hosts.comfyui_prompt.PromptRelations`: what a prompt says, and the tokens of its objects."""

CLASSIFIER = io.Custom("LTS_CLASSIFIER")
"""An objective of the engine: a trained relation classifier or the hand-made rule."""

OPTIONS = io.Custom("LTS_OPTIONS")
"""`steering.SteeringPlan`."""

TRACE = io.Custom("LTS_TRACE")
"""`hosts.comfyui.SteeringLog`: filled while a sampler runs."""

ATTENTION = io.Custom("LTS_ATTENTION")
"""`hosts.comfyui_looking.CapturedAttention`."""
