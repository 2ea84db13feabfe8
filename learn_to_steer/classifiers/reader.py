"""What every relation classifier is: maps of two objects and a timestep index in, relation logits out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..attention import AttentionLayer, Renormalise, layout, require_layers
from ..errors import SteeringError
from .card import ANY_FAMILY, ClassifierCard


def normal(*size: int) -> Tensor:
    """New weights of mean 0 and variance 1; on the meta device, where nothing is kept, only their shape."""
    weights = torch.empty(size)
    return weights if weights.is_meta else weights.normal_()


class RelationReader(nn.Module):
    """Anything that reads the relation of two objects out of their maps.

    forward(maps (B, 2, C, S, S) float32, timestep (B,) int64 step index) -> logits (B, relations) float32.
    The first object is the subject: "to the left of" means that it is left of the second.
    """

    card: ClassifierCard

    def __init__(self, card: ClassifierCard) -> None:
        super().__init__()
        self.card = card

    @property
    def relations(self) -> tuple[str, ...]:
        return self.card.relations

    @property
    def layers(self) -> tuple[str, ...] | None:
        return self.card.layers

    @property
    def channels(self) -> int:
        return self.card.channels

    @property
    def map_size(self) -> int:
        return self.card.map_size

    @property
    def timesteps(self) -> tuple[int, ...]:
        return self.card.timesteps

    @property
    def sigmas(self) -> tuple[float, ...] | None:
        return self.card.sigmas

    @property
    def family(self) -> str:
        return self.card.family

    @property
    def renormalise(self) -> Renormalise:
        return self.card.renormalise

    def accepts(self, channels: int) -> bool:
        """Whether maps of this many channels can be fed."""
        return channels == self.card.channels

    def _check_maps(self, maps: Tensor) -> None:
        size = self.card.map_size
        if maps.ndim != 5 or maps.shape[1] != 2 or maps.shape[-2:] != (size, size):
            raise SteeringError(
                f"Expected maps of shape (batch, 2, channels, {size}, {size}), got {tuple(maps.shape)}; "
                "stack the maps at the classifier's map size."
            )
        if not self.accepts(maps.shape[2]):
            raise SteeringError(_wrong_channels(self, maps.shape[2]))


def _wrong_channels(classifier: RelationReader, channels: int) -> str:
    return (
        f"Expected attention maps of {classifier.card.channels} channels (layers x heads), as this "
        f"classifier for {classifier.card.family} was trained on, got {channels}; load a classifier made "
        "for this model."
    )


def check_classifier(
    classifier: RelationReader, model_layers: list[AttentionLayer], family: str = "custom"
) -> None:
    """Does this classifier fit this model? model_layers: all attentions of the model. family: the model's.

    Raises SteeringError, one sentence, for another model family, layers the model lacks, or a wrong channel
    count.
    """
    wanted = classifier.card.family
    if wanted not in ANY_FAMILY and family not in ANY_FAMILY and wanted != family:
        raise SteeringError(
            f"Expected a classifier for the model family {family}, got one for {wanted}; load a classifier "
            "made for this model."
        )
    trained = classifier.card.layout
    if trained and wanted in ANY_FAMILY and trained != layout(model_layers):
        # A family's name vouches for its layout; where there is none, only the fingerprint can.
        raise SteeringError(
            f"Expected a classifier for a model with the attentions {layout(model_layers)}, got one for {trained}; load a "
            "classifier made for this model."
        )
    names = classifier.card.layers
    if names is not None:
        require_layers(names, [layer.name for layer in model_layers])
    channels = sum(layer.heads for layer in model_layers if names is None or layer.name in names)
    if not classifier.accepts(channels):
        raise SteeringError(_wrong_channels(classifier, channels))
