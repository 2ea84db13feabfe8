"""Record Relations: a model's attention to pictures whose relation is known, for Train Relation Classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.samplers
import folder_paths
import torch
from comfy_api.latest import io, ui

from ..learn_to_steer.attention import require_layers
from ..learn_to_steer.dataset import How
from ..learn_to_steer.dataset.sources import (
    LISTS,
    Damage,
    Parts,
    read_backgrounds,
    read_cutouts,
    read_lists,
    scene_parts,
)
from ..learn_to_steer.emojiworld import FAMILIES
from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.file_names import checked_name
from ..learn_to_steer.hosts.comfyui.recorder import GraphRecorder
from ..learn_to_steer.hosts.comfyui.telling import Telling
from ..learn_to_steer.hosts.recommended import recommended_layers
from ..learn_to_steer.inversion import WAYS
from ..learn_to_steer.training.prepare import PILOT, record
from .compat import aliases
from .types import ADVANCED, CATEGORY, MODELS, RECORDS, SPEAKS

FOLDER = "relation_records"
SCENES = "scenes"

_recorded: dict[Path, int] = {}
"""Folders that this host's run has recorded into, and how often they were found gone since."""


class RecordRelations(io.ComfyNode):
    """MODEL, CLIP, VAE + pictures -> records on disk."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_RecordRelations",
            **SPEAKS,
            **aliases("train classifier", "dataset", "inversion", "record attention", "learn to steer"),
            is_output_node=True,
            display_name="Record Relations",
            category=CATEGORY,
            description="Records what a model attends to in pictures whose relation is known: the data for Train Relation Classifier. "
            "Says first how long it will take. Interrupted, it goes on where it was when it is queued again.",
            inputs=[
                io.Model.Input("model", tooltip=f"The model to train a classifier for: {MODELS}"),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                io.String.Input("folder", default="my-model", tooltip="Name of the folder of records, under output/relation_records. Another model or other settings want another name."),
                io.Int.Input("samples", default=1000, min=3, max=100_000_000, tooltip="Pictures to train on; a third more is recorded to end the fit by and to judge by."),
                io.Int.Input("width", default=512, min=16, max=16384, step=8, tooltip="Width of the pictures, in pixels: what the model draws best."),
                io.Int.Input("height", default=512, min=16, max=16384, step=8, tooltip="Height of the pictures, in pixels."),
                io.Int.Input("steps", default=20, min=2, max=1000, tooltip="Steps of the schedule, about as many as you draw with. Each picture is inverted through all of them, under its right words and under wrong ones."),
                io.Int.Input("random_seed", default=0, min=0, max=0x7FFFFFFF, tooltip="Of pictures, words and noise. It stays the same from run to run, or nothing could be resumed."),
                io.Combo.Input("source", options=[SCENES, *LISTS], default=SCENES, tooltip='"scenes": two cut-outs on a background, nothing to download. "coco", "gqa", "image-cot": these data sets. "folder": your own pictures with a .csv or .jsonl.'),
                io.String.Input("data", default="", optional=True, tooltip="Where the source is, from the input folder or as a full path. scenes: a folder of cut-outs (.png with transparency, named after what they show), empty: the emoji that ship. Else the list or its folder."),
                io.Combo.Input("way", options=list(WAYS), default="euler", optional=True, tooltip='From a picture to the noise levels. "euler": one pass a step. "fixed-point": the published five. "rf": RF-Inversion, for flow models. "noising": no inversion, a fifth of the passes; such a classifier may follow words more.', **ADVANCED),
                io.String.Input("layers", default="pilot", optional=True, tooltip='Attention layers to record. "pilot": a small trial chooses them. "recommended": those for the model\'s family. "all". Or names, such as "mid.0, up.1.0".', **ADVANCED),
                io.Int.Input("batch", default=8, min=1, max=1024, optional=True, tooltip="Pictures a model pass, and what an interruption costs at most. Lower it where memory does not suffice.", **ADVANCED),
                io.Combo.Input("scheduler", options=list(comfy.samplers.KSampler.SCHEDULERS), default="simple", optional=True, tooltip="How the noise levels of the steps are chosen.", **ADVANCED),
                io.Int.Input("map_size", default=8, min=2, max=64, optional=True, tooltip="Side of the recorded maps. The published architecture was made for 16.", **ADVANCED),
                io.Boolean.Input("check", default=False, optional=True, tooltip="Sample every inversion back, and leave out the pictures that do not come back as published. Nearly twice the passes.", **ADVANCED),
                io.String.Input("pictures", default="", optional=True, tooltip="Of a list: the folder of its pictures, empty: near the list. Of scenes: a folder of backgrounds, empty: plain and graded colours.", **ADVANCED),
            ],
            outputs=[
                RECORDS.Output("records", display_name="records", tooltip="For Train Relation Classifier."),
                io.String.Output("text", display_name="text", tooltip="What it cost, which layers were chosen, and what was left out."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, folder: str = "", data: str = "", pictures: str = "", **others: Any) -> str:
        """Changed data are recorded anew, and so are records that somebody has deleted."""
        place = _place(folder)
        if place in _recorded and not (place / "index.jsonl").is_file():
            _recorded[place] += 1
        ages = [path.stat().st_mtime for path in map(_given, (data, pictures)) if path and path.exists()]
        return f"{_recorded.get(place, 0)} {ages}"

    @classmethod
    def execute(
        cls, model: Any, clip: Any, vae: Any, folder: str, samples: int, width: int, height: int, steps: int, random_seed: int,
        source: str, data: str = "", way: Any = "euler", layers: str = "pilot", batch: int = 8,
        scheduler: str = "simple", map_size: int = 8, check: bool = False, pictures: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        place = Path(folder_paths.get_output_directory()) / FOLDER / checked_name(folder)
        telling = Telling()
        with torch.inference_mode(False), torch.enable_grad():  # the pilot fits small classifiers
            recorder = GraphRecorder(model, clip, vae, steps, height, width, scheduler)
            parts = _parts(source, _given(data), _given(pictures), random_seed, recorder.family)
            for line in parts.damage.lines():
                telling.say(line)
            records = record(
                place, (recorder, parts.sources), samples, random_seed, How(way, check=check), layers=_layers(layers, recorder),
                map_size=map_size, batch=batch, shard=batch, pilot=PILOT if layers.strip() == "pilot" else 0,
                say=telling.say, watch=lambda made: telling.step(made.done, made.total, made.picture),
                on_try=telling.step,
            )  # fmt: skip
        _recorded.setdefault(place, 0)
        text = "\n".join(telling.lines)
        return io.NodeOutput(records, text, ui=ui.PreviewText(text))


def _given(text: str) -> Path | None:
    """A path that a user has written, from the host's input folder; None for nothing."""
    text = (text or "").strip().strip("\"'")
    return Path(folder_paths.get_input_directory()) / Path(text).expanduser() if text else None


def _place(folder: str) -> Path:
    return Path(folder_paths.get_output_directory()) / FOLDER / " ".join((folder or "").split())


def _parts(source: str, data: Path | None, pictures: Path | None, seed: int, family: str) -> Parts:
    """The source in three parts; of EmojiWorld's own objects the test pairs stay unseen."""
    if source != SCENES:
        if data is None:
            raise SteeringError(
                f'Expected the list of the source "{source}", got nothing; enter its file or folder under data.'
            )
        return read_lists({source: data}, seed, pictures)
    if data is not None:
        cutouts, damage = read_cutouts(data)
        return scene_parts(cutouts, seed, read_backgrounds(pictures), damage)
    from ..learn_to_steer.emojiworld.prompts import recorded_pairs
    from ..learn_to_steer.emojiworld.render import sprites

    pairs = recorded_pairs() if family in FAMILIES.values() else None
    shipped = {name: [sprite] for name, sprite in sprites().items()}
    return scene_parts(shipped, seed, read_backgrounds(pictures), Damage(), pairs)


def _layers(text: str, recorder: GraphRecorder) -> tuple[str, ...] | None:
    """None = those that the pilot chooses, or all where there is no pilot."""
    if text.strip() in ("pilot", "all"):
        return None
    if text.strip() == "recommended":
        return recommended_layers(recorder.family, recorder.layers)
    names = [name.strip() for name in text.split(",") if name.strip()]
    require_layers(names, [layer.name for layer in recorder.layers])
    return tuple(layer.name for layer in recorder.layers if layer.name in names)


NODES: list[type[io.ComfyNode]] = [RecordRelations]
