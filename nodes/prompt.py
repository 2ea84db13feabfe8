"""Relation Prompt: a text encoder that also says which relations the text states."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

from ..learn_to_steer.hosts.comfyui.prompt.owner import owned
from ..learn_to_steer.hosts.comfyui.prompt.relations import MARK, PromptRelations, read_prompt
from ..learn_to_steer.language import RelationTriplet
from .compat import aliases
from .types import CATEGORY, RELATIONS, SPEAKS


class RelationPrompt(io.ComfyNode):
    """CLIP + text -> conditioning + relations."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_RelationPrompt",
            **aliases("left right", "above below", "spatial relations", "regional", "layout", "where things are"),
            **SPEAKS,
            is_output_node=True,
            display_name="Relation Prompt",
            category=CATEGORY,
            description="Encodes a prompt and finds the spatial relations it states, such as "
            '"a dog to the right of a teddy bear". Shows on the node what was understood.',
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the model that will draw."),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    default="a dog to the right of a teddy bear",
                    tooltip="The prompt. Weights such as (dog:1.2) and embeddings work as ever and are read over when looking "
                    "for relations.",
                ),
                io.String.Input(
                    "triplets",
                    multiline=True,
                    optional=True,
                    default="",
                    tooltip='Relations by hand, one a line: "dog | right of | teddy bear". They replace what the prompt was '
                    "understood to say; the objects must be words of the prompt. Empty: read the prompt.",
                ),
            ],
            outputs=[
                io.Conditioning.Output("conditioning", display_name="CONDITIONING", tooltip="The encoded prompt, for a sampler's positive input."),
                RELATIONS.Output("relations", display_name="relations", tooltip="The relations of the prompt and where their objects are in the text, for the steering nodes."),
                io.String.Output("understood", display_name="understood", tooltip="The relations that were understood, one a line."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, clip: Any, text: str, triplets: str = "") -> io.NodeOutput:
        encoded = clip.encode_from_tokens_scheduled(clip.tokenize(text))
        relations = owned(read_prompt(clip, text, triplets or ""), encoded)
        conditioning = [[states, {**extra, MARK: relations.mark}] for states, extra in encoded]
        lines = _understood(relations)
        return io.NodeOutput(conditioning, relations, lines, ui=ui.PreviewText(lines))


def _understood(relations: PromptRelations) -> str:
    lines = [_line(t) for t in relations.triplets]
    if not lines:
        lines = ["No relation found: the picture will be drawn plainly."]
    lines += [f"Left out: {words}. {reason}" for words, reason in relations.left_out]
    lines += [f"Doubtful, not steered: {_line(t)} ({t.doubt})" for t in relations.doubtful]
    if relations.doubtful:
        lines.append("To steer a doubtful relation, write it into the box of triplets.")
    return "\n".join(lines + ([relations.note] if relations.note else []))


def _line(triplet: RelationTriplet) -> str:
    return f"{triplet.subject} | {triplet.relation} | {triplet.object}"


NODES: list[type[io.ComfyNode]] = [RelationPrompt]
