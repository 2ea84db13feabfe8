"""Relation Layout: where the objects of a prompt belong, shown and moved by hand."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..learn_to_steer.hosts.comfyui.guide.layout import by_hand, guidance_of
from ..learn_to_steer.pictures import layout_picture
from .compat import aliases, boxes_input
from .pictures import to_images
from .types import CATEGORY, LAYOUT, RELATIONS, SPEAKS

LONGEST = 512
"""Longest side of the preview, in pixels."""


_BOXES = "Boxes for the objects, the first box for the first object of the preview and so on, in pixels of width and height below; from Create Bounding Boxes or a detector."


class RelationLayout(io.ComfyNode):
    """Relations -> layout and a picture of it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_RelationLayout",
            **SPEAKS,
            is_output_node=True,
            display_name="Relation Layout",
            **aliases("layout", "regional", "left right", "boxes", "where things are"),
            category=CATEGORY,
            description="Where each object belongs so that all relations of the prompt hold: solved before anything is drawn, shown "
            'as a picture, and moved by hand where you like. For the methods "attention" and "both" of Steering Options.',
            inputs=[
                RELATIONS.Input("relations", tooltip="From Relation Prompt."),
                boxes_input("boxes", optional=True, tooltip=_BOXES),
                io.Int.Input("width", default=1024, min=16, max=16384, step=8, tooltip="Width of the picture that will be drawn, in pixels; of the layout only the shape counts."),
                io.Int.Input("height", default=1024, min=16, max=16384, step=8, tooltip="Height of the picture that will be drawn, in pixels."),
                io.String.Input("places", multiline=True, optional=True, default="", tooltip='Places by hand, one object a line: "dog: 0.2, 0.5" puts the middle of the dog at 20% of the width and 50% of the height, from the top left. The others are solved around them. Empty: all are solved.'),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, optional=True, control_after_generate=True, tooltip="Another number is another layout among the good ones."),
            ],
            outputs=[
                LAYOUT.Output("layout", display_name="layout", tooltip="For Apply Relation Steering and the steering samplers."),
                io.Image.Output("preview", display_name="preview", tooltip="Each object's place in a colour of its own."),
                io.String.Output("text", display_name="text", tooltip="The place of each object, as lines that the box of places takes."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, relations: Any, width: int, height: int, places: str = "", seed: int = 0, boxes: Any = None
    ) -> io.NodeOutput:
        layout = by_hand(relations, places or "", boxes, width, height, seed)
        wanted = guidance_of(relations, 1, width / height, layout)
        solved, names = wanted.layouts[0], wanted.objects[0]
        scale = LONGEST / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = layout_picture(solved, names, *size)
        lines = [
            f"{n}: {x:.2f}, {y:.2f}" for n, (x, y) in zip(names, solved.places if solved else [], strict=True)
        ]
        lines += [str(one) for one in wanted.left_out[0]]
        text = "\n".join(lines) or "No relation found that says where things belong: nothing is guided."
        return io.NodeOutput(layout, to_images([picture]), text, ui=ui.PreviewText(text))


NODES: list[type[io.ComfyNode]] = [RelationLayout]
