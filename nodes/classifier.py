"""Load Relation Classifier: shipped ones, and files in the host's model folder `relation_classifiers`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io

from ..learn_to_steer.classifiers import (
    UNIVERSAL,
    load_classifier,
    save_numbered,
    shipped_classifier,
    shipped_folder,
    write_card,
)
from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.file_names import checked_name
from ..learn_to_steer.objectives import CentroidObjective, LearnedObjective, learned_part
from .compat import aliases
from .types import CATEGORY, CLASSIFIER

FOLDER = "relation_classifiers"
SUFFIXES = (".safetensors", ".pth")
_UNIVERSAL_FILE = f"{UNIVERSAL}.safetensors"
UNIVERSAL_NAME = "universal: reads every model"
BY_HAND = "none: compare centres of attention"


def register_folders() -> None:
    """Tell the host where classifiers are: models/relation_classifiers, which is made where it is not there, and the pack's
    own. Doing it twice is no harm."""
    models = Path(folder_paths.models_dir) / FOLDER
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a folder that nobody may write to: the shipped files are there all the same
        logging.warning("Learn-to-Steer: %s could not be made (%s).", models, error)
    known = folder_paths.get_folder_paths(FOLDER) if FOLDER in folder_paths.folder_names_and_paths else []
    for folder in (models, shipped_folder()):
        if str(folder) not in known:
            folder_paths.add_model_folder_path(FOLDER, str(folder))


def _files() -> dict[str, Path]:
    """Name and place of every classifier file, of equal names the first. Folders that are gone hold none: the host's own
    list would raise an error for them."""
    found: dict[str, Path] = {}
    for folder in map(Path, folder_paths.get_folder_paths(FOLDER)):
        for place, _, names in os.walk(folder, followlinks=True):
            for name in sorted(names):
                file = Path(place) / name
                if name.lower().endswith(SUFFIXES):
                    found.setdefault(str(file.relative_to(folder)), file)
    return found


def classifier_names() -> list[str]:
    """What the node offers: the classifier for every model first, the rule without a classifier last, files in between."""
    register_folders()
    return [UNIVERSAL_NAME, *sorted(name for name in _files() if name != _UNIVERSAL_FILE), BY_HAND]


def path_of(name: str) -> Path:
    """The file of this name. Raises SteeringError where there is none."""
    register_folders()
    if name == UNIVERSAL_NAME:
        return shipped_classifier(UNIVERSAL)
    path = _files().get(name)
    if path is None:
        raise SteeringError(
            f'Expected a classifier file in models/{FOLDER}, found no "{name}" there; put a .safetensors or .pth file into '
            "that folder and reload the page."
        )
    return path


def keep_classifier(objective: Any, name: str, overwrite: bool) -> tuple[str, str]:
    """Write a classifier and its card into the models folder; the file's name in the loader's list, and what was done in a
    sentence. See `save_numbered`.

    Raises SteeringError for a rule without a classifier, for a name that is no file's or a shipped one's, and where the
    disk says no.
    """
    learned = learned_part(objective)
    if learned is None:
        raise SteeringError(
            "Expected a trained classifier, got the rule that needs none; connect Train Relation Classifier."
        )
    register_folders()
    folder, stem = Path(folder_paths.models_dir) / FOLDER, checked_name(name.removesuffix(".safetensors"))
    if any(file.stem.lower() == stem.lower() for file in shipped_folder().glob("*.safetensors")):
        raise SteeringError(
            f'Expected a name of your own, got "{stem}", which ships with this pack; choose another one.'
        )
    there = (folder / f"{stem}.safetensors").exists()
    try:
        file = save_numbered(learned.classifier, folder, stem, overwrite)
        write_card(learned.classifier, file)
    except OSError as error:
        raise SteeringError(
            f"Expected a folder that can be written, got {folder} ({error.strerror or error}); make room or change its rights."
        ) from error
    taken = f'Another "{stem}.safetensors" was there already. ' if file.stem != stem else ""
    how = "replaced" if there and file.stem == stem else "written"
    text = (
        f'"{file.name}" is {how} in models/{FOLDER}. Load Relation Classifier lists it: press R in the page.'
    )
    return file.name, taken + text


class LoadRelationClassifier(io.ComfyNode):
    """File -> classifier."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_LoadRelationClassifier",
            **aliases("learn to steer", "classifier", "left right"),
            display_name="Load Relation Classifier",
            category=CATEGORY,
            description="Loads what reads relations out of a model's attention. The universal one reads every model; any other "
            "belongs to one model family. Files: .safetensors, or the authors' .pth (read as plain data, never as code).",
            inputs=[
                io.Combo.Input(
                    "classifier_name",
                    options=classifier_names(),
                    default=UNIVERSAL_NAME,
                    tooltip='"universal" ships with this pack and reads every model, on layers that suit its family. Else a file '
                    f"of models/{FOLDER} that was trained for your model; those named emojiworld are for EmojiWorld only. "
                    '"none" needs no file: it compares where the attention of both objects is centred, which is weaker.',
                )
            ],
            outputs=[
                CLASSIFIER.Output("classifier", display_name="classifier", tooltip="For the steering nodes and Classify Relation."),
                io.String.Output("about", display_name="about", tooltip="Model family, relations and layers of the classifier."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, classifier_name: str) -> str:
        if classifier_name == BY_HAND:
            return classifier_name
        path = (
            path_of(classifier_name) if classifier_name == UNIVERSAL_NAME else _files().get(classifier_name)
        )
        return f"{classifier_name} {path.stat().st_mtime if path else 'missing'}"

    @classmethod
    def execute(cls, classifier_name: str) -> io.NodeOutput:
        if classifier_name == BY_HAND:
            return io.NodeOutput(CentroidObjective(), "No classifier: the centres of attention are compared.")
        with torch.inference_mode(False):  # its weights take part in a backward pass
            objective = LearnedObjective(load_classifier(path_of(classifier_name)))
        card = objective.card
        any_layers = "those recommended for the model" if card.family == "any" else "all"
        layers = ", ".join(card.layers) if card.layers is not None else any_layers
        return io.NodeOutput(
            objective, f"family: {card.family}\nrelations: {', '.join(card.relations)}\nlayers: {layers}"
        )


NODES: list[type[io.ComfyNode]] = [LoadRelationClassifier]
