"""Train Relation Classifier, Save Relation Classifier: a classifier for your model, from what was recorded of it."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import torch
from comfy_api.latest import io, ui

from ..learn_to_steer.hosts.comfyui.telling import Telling
from ..learn_to_steer.objectives import LearnedObjective
from ..learn_to_steer.pictures import groups_of, leakage_plot, loss_plot, stacked_sheets
from ..learn_to_steer.training import FitOptions, as_json, fitted_in_words, train_from_shards
from ..learn_to_steer.training.recipe import LEARNING_RATE
from .classifier import FOLDER, keep_classifier
from .compat import aliases
from .pictures import to_images
from .types import ADVANCED, CATEGORY, CLASSIFIER, LOSSES, RECORDS, SPEAKS

KINDS: dict[str, Any] = {"symmetric": "symmetric", "mean": "mean", "published": "official"}
"""What the widget offers -> the engine's word for it."""


class TrainRelationClassifier(io.ComfyNode):
    """Records -> classifier."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_TrainRelationClassifier",
            **SPEAKS,
            **aliases("fit classifier", "leakage", "loss", "learn to steer"),
            is_output_node=True,
            display_name="Train Relation Classifier",
            category=CATEGORY,
            description="Fits a classifier to recorded attention, and judges it on pairs of objects that it has not seen: does it read "
            "the picture or the words?",
            inputs=[
                RECORDS.Input("records", tooltip="From Record Relations."),
                io.Combo.Input("architecture", options=list(KINDS), default="symmetric", tooltip='"symmetric": ours, with a learnt mix of channels. "mean": ours on the plain mean of all maps. "published": that of the paper.'),
                io.Int.Input("epochs", default=60, min=2, max=100_000, tooltip="At most so many; it ends earlier where validation gets no better."),
                io.Int.Input("random_seed", default=0, min=0, max=0x7FFFFFFF, tooltip="Of first weights and of the order of records."),
                io.Float.Input("learning_rate", default=0.0, min=0.0, max=1.0, step=0.0001, round=0.000001, optional=True, tooltip="0: 0.001, for the published architecture 0.0001.", **ADVANCED),
                io.Int.Input("patience", default=10, min=1, max=100_000, optional=True, tooltip="It ends after so many epochs without progress.", **ADVANCED),
            ],
            outputs=[
                CLASSIFIER.Output("classifier", display_name="classifier", tooltip="For Save Relation Classifier, and for the steering nodes as it is."),
                io.Image.Output("plot", display_name="plot", tooltip="Loss of training and validation, and below it what the errors are: reading the picture, or following words."),
                LOSSES.Output("loss_map", display_name="loss_map", tooltip="The loss of each epoch, for the host's Plot Loss Graph."),
                io.String.Output("text", display_name="text", tooltip="How well it reads under right and under wrong words, and how much it follows words."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        records: Any,
        architecture: str,
        epochs: int,
        random_seed: int,
        learning_rate: float = 0.0,
        patience: int = 10,
    ) -> io.NodeOutput:
        telling, kind = Telling(), KINDS[architecture]
        options = FitOptions(
            learning_rate=learning_rate or LEARNING_RATE[kind], epochs=epochs, patience=patience
        )
        with torch.inference_mode(False), torch.enable_grad():
            trained = train_from_shards(
                records, kind, seed=random_seed, device=str(comfy.model_management.get_torch_device()), options=options,
                on_epoch=lambda epoch, most, *losses: telling.step(epoch, most),
                on_batch=comfy.model_management.throw_exception_if_processing_interrupted,
            )  # fmt: skip
            objective = LearnedObjective(trained.classifier)
        telling.say(fitted_in_words(trained))
        name, losses = records.folder.name, trained.fit.losses
        sheets = [
            loss_plot(f"{name}: the fit", losses, trained.fit.best_epoch),
            leakage_plot(f"{name}: does it follow wrong words?", groups_of(as_json(trained.test))),
        ]
        text = "\n".join(telling.lines)
        return io.NodeOutput(
            objective, to_images([stacked_sheets(sheets)]), {"loss": [training for training, _ in losses]}, text,
            ui=ui.PreviewText(text),
        )  # fmt: skip


class SaveRelationClassifier(io.ComfyNode):
    """Classifier -> file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SaveRelationClassifier",
            **SPEAKS,
            **aliases("export classifier", "learn to steer"),
            is_output_node=True,
            display_name="Save Relation Classifier",
            category=CATEGORY,
            description="Writes a classifier, and a page about it, to where Load Relation Classifier finds it.",
            inputs=[
                CLASSIFIER.Input("classifier", tooltip="From Train Relation Classifier."),
                io.String.Input("file_name", default="my-model", tooltip=f"Name of the file in models/{FOLDER}, without an ending."),
                io.Boolean.Input("overwrite", default=False, optional=True, tooltip="Replace a file of this name. Else the new one gets a number, as pictures do."),
            ],
            outputs=[
                io.String.Output("classifier_name", display_name="classifier_name", tooltip="The file as Load Relation Classifier names it."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, classifier: Any, file_name: str, overwrite: bool = False) -> io.NodeOutput:
        saved, text = keep_classifier(classifier, file_name, overwrite)
        return io.NodeOutput(saved, ui=ui.PreviewText(text))


NODES: list[type[io.ComfyNode]] = [TrainRelationClassifier, SaveRelationClassifier]
