"""Load Relation Classifier: shipped ones, and files in the host's model folder `relation_classifiers`."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io

from ..learn_to_steer.classifiers import load_classifier
from ..learn_to_steer.emojiworld import CLASSIFIERS
from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.objectives import CentroidObjective, LearnedObjective
from .types import CATEGORY, CLASSIFIER

FOLDER = "relation_classifiers"
SUFFIXES = (".safetensors", ".pth")
BY_HAND = "none: compare centres of attention"


def register_folders() -> None:
    """Tell the host where classifiers are: models/relation_classifiers and the pack's own. Doing it twice is no harm."""
    for folder in (Path(folder_paths.models_dir) / FOLDER, CLASSIFIERS):
        if FOLDER not in folder_paths.folder_names_and_paths or str(
            folder
        ) not in folder_paths.get_folder_paths(FOLDER):
            folder_paths.add_model_folder_path(FOLDER, str(folder))


def classifier_names() -> list[str]:
    """Files the node offers, the rule without a classifier last."""
    register_folders()
    names = [n for n in folder_paths.get_filename_list(FOLDER) if n.lower().endswith(SUFFIXES)]
    return [*sorted(names), BY_HAND]


def path_of(name: str) -> Path:
    """The file of this name. Raises SteeringError where there is none."""
    register_folders()
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None or not name.lower().endswith(SUFFIXES):
        raise SteeringError(
            f'Expected a classifier file in models/{FOLDER}, found no "{name}" there; put a .safetensors or .pth file into '
            "that folder and reload the page."
        )
    return Path(path)


class LoadRelationClassifier(io.ComfyNode):
    """File -> classifier."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_LoadRelationClassifier",
            display_name="Load Relation Classifier",
            category=CATEGORY,
            description="Loads what reads relations out of a model's attention. A classifier belongs to one model family. "
            "Files: .safetensors, or the authors' .pth (read as plain data, never as code).",
            inputs=[
                io.Combo.Input(
                    "classifier_name",
                    options=classifier_names(),
                    default="emojiworld-symmetric.safetensors",
                    tooltip=f"A file of models/{FOLDER} or one that ships with this pack. The last entry needs no file and "
                    "fits any model: it compares where the attention of both objects is centred, which is weaker.",
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
        path = folder_paths.get_full_path(FOLDER, classifier_name)
        return f"{classifier_name} {os.path.getmtime(path) if path else 'missing'}"

    @classmethod
    def execute(cls, classifier_name: str) -> io.NodeOutput:
        if classifier_name == BY_HAND:
            return io.NodeOutput(CentroidObjective(), "No classifier: the centres of attention are compared.")
        with torch.inference_mode(False):  # its weights take part in a backward pass
            objective = LearnedObjective(load_classifier(path_of(classifier_name)))
        card = objective.card
        layers = ", ".join(card.layers) if card.layers is not None else "all"
        return io.NodeOutput(
            objective, f"family: {card.family}\nrelations: {', '.join(card.relations)}\nlayers: {layers}"
        )


NODES: list[type[io.ComfyNode]] = [LoadRelationClassifier]
