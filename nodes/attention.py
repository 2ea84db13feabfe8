"""Capture Attention, Attention Heatmaps, Classify Relation: seeing where a model looks for each object."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.hosts.comfyui.capture import capture, classify
from ..learn_to_steer.pictures import heat_overlay, object_heats
from .compat import ADVANCED, aliases
from .pictures import pictures_of, to_images
from .types import ATTENTION, CATEGORY, CLASSIFIER, MODELS, RELATIONS, SPEAKS


class CaptureAttention(io.ComfyNode):
    """MODEL + latents -> attention maps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_CaptureAttention",
            **aliases("attention map", "cross attention", "daam"),
            display_name="Capture Attention",
            category=CATEGORY,
            description="Adds noise to finished latents, runs the model once and keeps its attention to each object of the prompt.",
            inputs=[
                io.Model.Input("model", tooltip=MODELS),
                io.Conditioning.Input("positive", tooltip="The conditioning of the Relation Prompt node."),
                RELATIONS.Input("relations", tooltip="From the same Relation Prompt node."),
                io.Latent.Input("latent", tooltip="Finished latents, from a sampler or an encoded picture."),
                io.Float.Input("noise_level", default=0.5, min=0.01, max=1.0, step=0.01, tooltip="How much of the way to pure noise the latents go; early steps are near 1, late ones near 0."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, tooltip="The random seed of that noise."),
            ],
            outputs=[ATTENTION.Output("attention", display_name="attention", tooltip="For Attention Heatmaps and Classify Relation.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, positive: Any, relations: Any, latent: Any, noise_level: float, seed: int
    ) -> io.NodeOutput:
        return io.NodeOutput(capture(model, positive, relations, latent, noise_level, seed))


class AttentionHeatmaps(io.ComfyNode):
    """Attention maps + pictures -> pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_AttentionHeatmaps",
            **aliases("attention map", "cross attention", "daam", "heat map"),
            display_name="Attention Heatmaps",
            category=CATEGORY,
            description="Draws the attention of each object over the picture: one output picture for each object of each input picture.",
            inputs=[
                ATTENTION.Input("attention", tooltip="From Capture Attention."),
                io.Image.Input("image", tooltip="The decoded pictures of the same latents."),
                io.String.Input("layers", default="", optional=True, tooltip='Names of attention layers, such as "mid.0, up.1.0", separated by commas; empty: the mean of all.', **ADVANCED),
            ],
            outputs=[
                io.Image.Output("overlays", display_name="IMAGE", tooltip="Object by object for the first picture, then for the next."),
                io.String.Output("objects", display_name="objects", tooltip="The objects in this order, one a line."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, attention: Any, image: torch.Tensor, layers: str = "") -> io.NodeOutput:
        batch = attention.maps.batch
        if image.shape[0] != batch:
            raise SteeringError(
                f"Expected the {batch} pictures of the captured latents, got {image.shape[0]}; decode the latents that went "
                "into Capture Attention."
            )
        names = tuple(name.strip() for name in (layers or "").split(",") if name.strip())
        maps = attention.maps.select(names or None)
        drawn: list[Image.Image] = []
        for i, picture in enumerate(pictures_of(image)):
            drawn += [heat_overlay(picture, np.asarray(heat)) for heat in object_heats(maps, i)]
        return io.NodeOutput(to_images(drawn), "\n".join(attention.objects * batch))


class ClassifyRelation(io.ComfyNode):
    """Attention maps + classifier -> probabilities."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_ClassifyRelation",
            **aliases("left right", "judge", "obeyed", "probability"),
            **SPEAKS,
            is_output_node=True,
            display_name="Classify Relation",
            category=CATEGORY,
            description="Reads the prompt's relations off captured attention.",
            inputs=[
                ATTENTION.Input("attention", tooltip="From Capture Attention."),
                CLASSIFIER.Input("classifier", tooltip="From Load Relation Classifier: the universal one, or one made for the model that the attention is from."),
            ],
            outputs=[
                io.Float.Output("probability", display_name="probability", tooltip="The lowest probability of all relations and pictures; 1 where there is nothing to read."),
                io.String.Output("text", display_name="text", tooltip="The probability of each relation in each picture."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, attention: Any, classifier: Any) -> io.NodeOutput:
        readings = classify(attention, classifier)
        lines = [f"picture {r.image + 1}: {r.sentence}: {r.probability:.3f}" for r in readings]
        text = "\n".join(lines) or "The classifier knows none of the prompt's relations."
        return io.NodeOutput(
            min((r.probability for r in readings), default=1.0), text, ui=ui.PreviewText(text)
        )


NODES: list[type[io.ComfyNode]] = [CaptureAttention, AttentionHeatmaps, ClassifyRelation]
