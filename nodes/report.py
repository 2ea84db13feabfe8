"""Steering Report: what steering did, as a picture and as text."""

from __future__ import annotations

import json
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..learn_to_steer.pictures import Panel, report_figure
from .pictures import pictures_of, to_images
from .types import CATEGORY, SPEAKS, TRACE


class SteeringReport(io.ComfyNode):
    """Trace (+ pictures) -> a sheet and text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteeringReport",
            **SPEAKS,
            display_name="Steering Report",
            category=CATEGORY,
            description="One sheet per picture: the picture and the probability and loss of each relation at each look. The image "
            "input makes it wait for the sampler.",
            inputs=[
                TRACE.Input("trace", tooltip="From Apply Relation Steering or a steering sampler."),
                io.Image.Input("image", tooltip="The decoded pictures of the run that was steered."),
            ],
            outputs=[
                io.Image.Output("report", display_name="report", tooltip="One sheet per picture."),
                io.String.Output("text", display_name="text", tooltip="What was spent and reached, in words."),
                io.String.Output("json", display_name="json", tooltip="Every look with its loss, probability and move, as JSON."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        return float("nan")  # a trace is filled after its node has run

    @classmethod
    def execute(cls, trace: Any, image: torch.Tensor) -> io.NodeOutput:
        latest = trace.latest
        sheets: list[Image.Image] = []
        lines: list[str] = []
        for i, picture in enumerate(pictures_of(image)):
            of_image = latest.image(i) if latest is not None and i < len(latest.labels) else []
            said = _in_words(latest, i) if of_image else ["Not steered."]
            lines += [f"picture {i + 1}: {line}" for line in said]
            sheets.append(
                report_figure(
                    f"Picture {i + 1}", said, [Panel("steered" if of_image else "plain", picture)], of_image
                )
            )
        width, height = max(s.width for s in sheets), max(s.height for s in sheets)
        even = [_padded(s, width, height) for s in sheets]
        text = "\n".join(lines)
        data = json.dumps(latest.to_dict() if latest is not None else {})
        return io.NodeOutput(to_images(even), text, data, ui=ui.PreviewText(text))


def _in_words(trace: Any, image: int) -> list[str]:
    first = {r.relation: r for r in reversed(trace.image(image))}
    return [
        f"{r.label}: probability {first[r.relation].probability:.2f} at the first look, {r.probability:.2f} at the last "
        f"({trace.evaluations[image]} looks)"
        for r in trace.last(image)
    ]


def _padded(sheet: Image.Image, width: int, height: int) -> Image.Image:
    if sheet.size == (width, height):
        return sheet
    whole = Image.new("RGB", (width, height), "white")
    whole.paste(sheet)
    return whole


NODES: list[type[io.ComfyNode]] = [SteeringReport]
