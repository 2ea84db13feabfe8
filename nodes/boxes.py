"""Attention to Mask, Relations from Boxes, Judge by Boxes, Steer Only If Needed: what other nodes draw, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from comfy_api.latest import io, ui
from PIL import Image

from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.evaluation.boxes import composed, corners, frames_of, judged_boxes, relations_of_boxes
from ..learn_to_steer.pictures import object_heats, verdict_pictures, warmest
from .compat import ADVANCED, BOXES, aliases, boxes_input
from .pictures import pictures_of, to_images
from .prompt import RelationPrompt
from .types import ATTENTION, CATEGORY, RELATIONS, SPEAKS


class AttentionToMask(io.ComfyNode):
    """Attention maps -> masks and boxes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_AttentionToMask",
            **aliases("attention mask", "cross attention", "bounding box", "segment", "daam"),
            display_name="Attention to Mask",
            category=CATEGORY,
            description="The attention of each object as a mask of the picture, and the box around its warmest part: for inpainting, "
            "regional nodes, or Judge by Boxes.",
            inputs=[
                ATTENTION.Input("attention", tooltip="From Capture Attention."),
                io.Image.Input("image", tooltip="The decoded pictures of the same latents; masks and boxes have their size."),
                io.String.Input("object", default="", optional=True, tooltip="The words of one object of the prompt; empty: every object, one mask each."),
                io.Float.Input("threshold", default=0.4, min=0.0, max=1.0, step=0.01, optional=True, tooltip="What is as warm as this share of the warmest place belongs to the mask and the box; 0 gives soft masks, and boxes as at 0.5."),
                io.String.Input("layers", default="", optional=True, tooltip='Names of attention layers, such as "mid.0, up.1.0", separated by commas; empty: the mean of all.', **ADVANCED),
            ],
            outputs=[
                io.Mask.Output("masks", display_name="MASK", tooltip="Object by object for the first picture, then for the next."),
                BOXES.Output("bboxes", display_name="bboxes", tooltip="For each picture the box of each object, with its name, and as its score the share of the attention inside."),
                io.String.Output("objects", display_name="objects", tooltip="The objects in this order, one a line."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, attention: Any, image: torch.Tensor, object: str = "", threshold: float = 0.5, layers: str = ""
    ) -> io.NodeOutput:
        batch = attention.maps.batch
        if image.shape[0] != batch:
            raise SteeringError(
                f"Expected the {batch} pictures of the captured latents, got {image.shape[0]}; decode the latents that went "
                "into Capture Attention."
            )
        wanted = " ".join((object or "").lower().split())
        chosen = [
            i for i, n in enumerate(attention.objects) if not wanted or " ".join(n.lower().split()) == wanted
        ]
        if not chosen:
            raise SteeringError(
                f'Expected one of the objects {", ".join(attention.objects)}, got "{object}"; write it as in the prompt.'
            )
        names = tuple(name.strip() for name in (layers or "").split(",") if name.strip())
        maps = attention.maps.select(names or None)
        height, width = image.shape[1:3]
        masks, boxes = [], []
        for i in range(batch):
            heats = object_heats(maps, i)
            of_picture = []
            for k in chosen:
                region = warmest(heats[k], threshold or 0.5)
                field = torch.from_numpy(heats[k] / heats[k].max() if heats[k].max() > 0 else heats[k])
                soft = F.interpolate(field[None, None], (height, width), mode="bilinear")[0, 0].clamp(0, 1)
                part = F.max_pool2d(torch.from_numpy(region.mask)[None, None].float(), 3, 1, 1)
                near = F.interpolate(part, (height, width), mode="nearest")[0, 0] > 0
                inside = (soft >= (threshold or 0.5) * soft[near].max()) & near
                masks.append(inside.float() if threshold else soft)
                rows, columns = inside.nonzero(as_tuple=True)
                left, top = int(columns.min()), int(rows.min())
                of_picture.append(
                    {
                        "x": left, "y": top, "width": int(columns.max()) + 1 - left,
                        "height": int(rows.max()) + 1 - top, "label": attention.objects[k], "score": region.share,
                    }
                )  # fmt: skip
            boxes.append(of_picture)
        listed = "\n".join([attention.objects[k] for k in chosen] * batch)
        return io.NodeOutput(torch.stack(masks), boxes, listed)


class RelationsFromBoxes(io.ComfyNode):
    """Boxes + names -> conditioning and relations."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_RelationsFromBoxes",
            **SPEAKS,
            **aliases("left right", "regional", "layout", "bounding box", "draw boxes", "gligen"),
            is_output_node=True,
            display_name="Relations from Boxes",
            category=CATEGORY,
            description="Boxes that you draw become relations: what stands left of what, and above what. Takes the place of Relation "
            "Prompt.",
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the model that will draw."),
                boxes_input("bboxes", tooltip="A box for each object, from the host's Create Bounding Boxes or another node; those of the first picture count."),
                io.String.Input("names", multiline=True, default="", optional=True, tooltip="What each box holds, one a line, in the order of the boxes. Empty: the boxes' own labels."),
                io.String.Input("text", multiline=True, dynamic_prompts=True, default="", optional=True, tooltip="The prompt, which names every object. Empty: one made of the names."),
            ],
            outputs=[
                io.Conditioning.Output("conditioning", display_name="CONDITIONING", tooltip="The encoded prompt, for a sampler's positive input."),
                RELATIONS.Output("relations", display_name="relations", tooltip="For the steering nodes."),
                io.String.Output("understood", display_name="understood", tooltip="The relations of the boxes, one a line."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, clip: Any, bboxes: Any, names: str = "", text: str = "") -> io.NodeOutput:
        frames = frames_of(bboxes, 1)
        lines = [name.strip() for name in (names or "").splitlines() if name.strip()]
        triplets = relations_of_boxes(frames[0], lines)
        written = "\n".join(" | ".join(t) for t in triplets)
        if not triplets:
            raise SteeringError(
                "Expected at least two boxes that lie apart, got none that do; draw them side by side or one above the other."
            )
        return RelationPrompt.execute(clip, text.strip() or composed(triplets), written)


class JudgeByBoxes(io.ComfyNode):
    """Boxes that were found + relations -> obeyed or not."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_JudgeByBoxes",
            **SPEAKS,
            **aliases("obeyed", "geneval", "detector", "rt-detr", "left right", "judge"),
            is_output_node=True,
            display_name="Judge by Boxes",
            category=CATEGORY,
            description="Do the objects stand where the prompt says? Compares found boxes by GenEval's rule. An object that was not "
            "found counts as not obeyed.",
            inputs=[
                RELATIONS.Input("relations", tooltip="From the Relation Prompt of the pictures."),
                boxes_input("bboxes", tooltip="What a detector found in the pictures, with labels: the host's RT-DETR node, which knows 80 everyday things, or Attention to Mask."),
                io.Image.Input("image", optional=True, tooltip="The pictures, to show the boxes on; without them the boxes are shown on grey."),
            ],
            outputs=[
                io.Boolean.Output("obeyed", display_name="obeyed", tooltip="Whether every relation holds in every picture."),
                io.String.Output("text", display_name="text", tooltip="Obeyed or not, and in each picture why."),
                io.Image.Output("shown", display_name="IMAGE", tooltip="Each picture with the boxes and the verdict below it: what an app can show."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, relations: Any, bboxes: Any, image: torch.Tensor | None = None) -> io.NodeOutput:
        frames = frames_of(bboxes, image.shape[0] if image is not None else len(frames_of(bboxes)))
        frames = frames or [[]]
        verdicts = judged_boxes(relations.text, relations.triplets, frames)
        obeyed = all(v.obeyed for v in verdicts)
        lines = [f"picture {i + 1}: {v.words}" for i, v in enumerate(verdicts)]
        text = "\n".join(["obeyed" if obeyed else "not obeyed", *lines])
        found = [[(str(b.get("label", "")), corners(b)) for b in frame] for frame in frames]
        pictures = pictures_of(image) if image is not None else _grey(found)
        shown = verdict_pictures(pictures, found, [(v.obeyed, v.words) for v in verdicts])
        return io.NodeOutput(obeyed, text, to_images(shown), ui=ui.PreviewText(text))


def _grey(found: Sequence[Sequence[Any]]) -> list[Image.Image]:
    """An empty picture for each list of boxes, as large as the farthest box."""
    far = [[max([64, *(round(box[k]) for frame in found for _, box in frame)]) for k in (2, 3)]] * len(found)
    return [Image.new("RGB", (width, height), "#9ca3af") for width, height in far]


class SteerOnlyIfNeeded(io.ComfyNode):
    """Plain latents + what a detector found in them + lazily the steered ones -> the better of both, picture by picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteerOnlyIfNeeded",
            **SPEAKS,
            **aliases("only if needed", "detector", "rt-detr", "obeyed", "fallback"),
            is_output_node=True,
            display_name="Steer Only If Needed",
            category=CATEGORY,
            description='"Only if needed" with a detector as the judge: keeps each plain picture that obeys. The sampler behind the '
            "input steered runs only where one does not.",
            inputs=[
                io.Latent.Input("plain", tooltip="From a sampler with the plain model."),
                io.Latent.Input("steered", lazy=True, tooltip="From the same sampler settings and seed with the steered model. Not sampled where it is not needed."),
                RELATIONS.Input("relations", tooltip="From the Relation Prompt of the pictures."),
                boxes_input("bboxes", tooltip="What a detector found in the decoded plain pictures, such as the host's RT-DETR node."),
            ],
            outputs=[
                io.Latent.Output("latent", display_name="LATENT", tooltip="Of each picture the plain latent where it obeys, else the steered one."),
                io.Boolean.Output("needed", display_name="needed", tooltip="Whether any picture had to be steered."),
                io.String.Output("text", display_name="text", tooltip="What the detector says of each plain picture."),
            ],
        )  # fmt: skip

    @classmethod
    def check_lazy_status(
        cls, plain: Any, relations: Any, bboxes: Any, steered: Any = None, **others: Any
    ) -> list[str]:
        obeyed = cls._obeyed(plain, relations, bboxes)
        return ["steered"] if steered is None and not all(v.obeyed for v in obeyed) else []

    @classmethod
    def execute(cls, plain: Any, relations: Any, bboxes: Any, steered: Any = None) -> io.NodeOutput:
        verdicts = cls._obeyed(plain, relations, bboxes)
        lines = [f"picture {i + 1}: {v.words}" for i, v in enumerate(verdicts)]
        text = "\n".join(lines)
        if steered is None or all(v.obeyed for v in verdicts):
            return io.NodeOutput(plain, False, text, ui=ui.PreviewText(text))
        before, after = plain["samples"], steered["samples"]
        if before.shape != after.shape:
            raise SteeringError(
                f"Expected plain and steered latents of one shape, got {tuple(before.shape)} and {tuple(after.shape)}; give both "
                "samplers the same empty latent."
            )
        rows = [before[i] if v.obeyed else after[i].to(before) for i, v in enumerate(verdicts)]
        return io.NodeOutput({**steered, "samples": torch.stack(rows)}, True, text, ui=ui.PreviewText(text))

    @classmethod
    def _obeyed(cls, plain: Any, relations: Any, bboxes: Any) -> list[Any]:
        frames = frames_of(bboxes, plain["samples"].shape[0])
        return judged_boxes(relations.text, relations.triplets, frames)


NODES: list[type[io.ComfyNode]] = [AttentionToMask, RelationsFromBoxes, JudgeByBoxes, SteerOnlyIfNeeded]
