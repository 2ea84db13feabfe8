"""Steering Report: what steering did, as a picture and as text."""

from __future__ import annotations

import json
from typing import Any

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..learn_to_steer.hosts.comfyui.execution import executing
from ..learn_to_steer.hosts.comfyui.graph import Graph
from ..learn_to_steer.hosts.comfyui.report import in_words, layouts_of, plots_of
from ..learn_to_steer.pictures import Panel, fitted, layout_picture, report_figure
from .compat import aliases
from .pictures import pictures_of, to_images
from .types import CATEGORY, SPEAKS, TRACE

NO_TRACE = "no trace came. Connect that of Apply Relation Steering, or of a steering sampler, and see that the node is not bypassed."


class SteeringReport(io.ComfyNode):
    """(Trace +) pictures -> a sheet and text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteeringReport",
            **aliases("trace", "what happened", "left right"),
            **SPEAKS,
            is_output_node=True,
            display_name="Steering Report",
            category=CATEGORY,
            description="One sheet per picture: what was steered in the runs that made it and what was not, with the probability "
            "and loss of each relation at each evaluation. The image input makes it wait for the sampler.",
            inputs=[
                TRACE.Input("trace", optional=True, tooltip="From Apply Relation Steering or a steering sampler. Without it the report says that nothing was steered."),
                io.Image.Input("image", tooltip="The decoded pictures of the run that was steered."),
            ],
            outputs=[
                io.Image.Output("report", display_name="report", tooltip="One sheet per picture."),
                io.String.Output("text", display_name="text", tooltip="What was spent and reached, in words."),
                io.String.Output("json", display_name="json", tooltip="Every run with its seed and size, and every evaluation with its loss, probability and move, as JSON."),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        return float("nan")  # a trace is filled after its node has run

    @classmethod
    def execute(cls, image: torch.Tensor, trace: Any = None) -> io.NodeOutput:
        runs, remarks = trace.made(executing()[0], _graph(cls)) if trace is not None else ([], [NO_TRACE])
        reasons = trace.reasons if trace is not None else []
        sheets: list[Image.Image] = []
        lines: list[str] = []
        pictures = pictures_of(image)
        for i, picture in enumerate(pictures):
            said = in_words(runs, i, len(pictures), reasons, remarks)
            lines += [f"picture {i + 1}: {line}" for line in said]
            plots = plots_of(runs, i, len(pictures))
            layouts = layouts_of(runs, i, len(pictures))
            moved = any(record.move > 0 for _, records in plots for record in records)
            title = "steered" if moved else "guided" if layouts else "plain"
            drawn = [
                Panel("layout", layout_picture(layout, names, *fitted(picture).size))
                for layout, names in layouts
            ]
            sheets.append(
                report_figure(f"Picture {i + 1}", said, [Panel(title, picture), *drawn], runs=plots)
            )
        width, height = max(s.width for s in sheets), max(s.height for s in sheets)
        even = [_padded(s, width, height) for s in sheets]
        text = "\n".join(lines)
        last = [t for run in runs for t in run.traces][-1:]
        data = {**(last[0].to_dict() if last else {}), "runs": [run.to_dict() for run in runs]}
        data["remarks"] = [*remarks, *reasons]
        return io.NodeOutput(to_images(even), text, json.dumps(data), ui=ui.PreviewText(text))


def _graph(node: Any) -> Graph | None:
    """The graph around the report; None where the host does not tell, or shows it in a form of its own."""
    hidden = getattr(node, "hidden", None)
    nodes, number = getattr(hidden, "prompt", None), str(getattr(hidden, "unique_id", None))
    if not isinstance(nodes, dict) or number not in nodes:
        return None
    inputs = nodes[number].get("inputs", {})
    return Graph(nodes, inputs.get("image"), inputs.get("trace"))


def _padded(sheet: Image.Image, width: int, height: int) -> Image.Image:
    if sheet.size == (width, height):
        return sheet
    whole = Image.new("RGB", (width, height), "white")
    whole.paste(sheet)
    return whole


NODES: list[type[io.ComfyNode]] = [SteeringReport]
