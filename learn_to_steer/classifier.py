"""The relation classifier of the paper, and the card every classifier carries.

`RelationClassifier` has the official architecture (Learn-to-Steer, section on the relation classifier) with
the authors' parameter names, so that their state dicts load strictly. `symmetric.py` holds our own
architecture. Both are `RelationReader`s: maps of two objects and a timestep index in, relation logits out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .attention import AttentionLayer, Renormalise, require_layers
from .errors import SteeringError

ANY_FAMILY = ("", "custom", "any")
"""Names of families that stand for no family in particular."""


@dataclass(frozen=True)
class ClassifierCard:
    """What one must know about a classifier to feed it.

    relations: names of the logits, canonical where the vocabulary knows them.
    channels: C of the maps it was trained on. map_size: S.
    layers: names of the attention layers it reads, None = all of the model.
    timesteps: step indices it was trained at, ascending.
    num_timesteps: number of steps of the schedule those indices belong to.
    sigmas: noise levels of `timesteps`, in the same order and unit as `objectives.StepInfo.sigma`, or None.
    family: "sd1" | "sd2" | "sdxl" | "flux" | any other name; "custom" = not known, fits any.
    renormalise: see `MapStack.stacked`.
    about: free text: trained on what, measured how.
    """

    relations: tuple[str, ...]
    channels: int
    map_size: int
    layers: tuple[str, ...] | None = None
    timesteps: tuple[int, ...] = (0,)
    num_timesteps: int = 50
    sigmas: tuple[float, ...] | None = None
    family: str = "custom"
    renormalise: Renormalise = "always"
    about: str = ""

    def __post_init__(self) -> None:
        if len(self.relations) < 2 or len(set(self.relations)) != len(self.relations):
            raise SteeringError(
                f"Expected at least two different relation names, got {self.relations}; correct the "
                "classifier's card."
            )
        if self.channels < 1 or self.map_size < 2 or self.num_timesteps < 1:
            raise SteeringError(
                "Expected at least one channel, a map size of 2 or more and one timestep, got "
                f"{self.channels}, {self.map_size} and {self.num_timesteps}; correct the classifier's card."
            )
        if not self.timesteps or list(self.timesteps) != sorted(set(self.timesteps)) or self.timesteps[0] < 0:
            raise SteeringError(
                f"Expected ascending step indices from 0 on, got {self.timesteps}; correct the classifier's "
                "card."
            )
        if self.timesteps[-1] >= self.num_timesteps:
            raise SteeringError(
                f"Expected step indices below {self.num_timesteps}, got {self.timesteps[-1]}; correct the "
                "classifier's card."
            )
        if self.sigmas is not None and len(self.sigmas) != len(self.timesteps):
            raise SteeringError(
                f"Expected one noise level for each of {len(self.timesteps)} trained steps, got "
                f"{len(self.sigmas)}; correct the classifier's card."
            )
        if self.renormalise not in ("official", "always"):
            raise SteeringError(
                f'Expected renormalise to be "official" or "always", got "{self.renormalise}"; '
                "correct the classifier's card."
            )

    def timestep_index(self, step: int, total: int, sigma: float | None = None) -> int:
        """The trained timestep index to use at this point of any schedule.

        Officially step index i uses the first trained index >= i. Said in noise levels: the trained step with
        the largest sigma that is not above the current one, else the last. Without noise levels on both
        sides, step `step` of `total` stands for index floor(step * num_timesteps / total). Both give the
        official mapping on the official schedule.
        """
        if self.sigmas is not None and sigma is not None:
            below = [
                (s, i)
                for s, i in zip(self.sigmas, self.timesteps, strict=True)
                if s <= sigma * (1 + 1e-3) + 1e-6
            ]
            return max(below)[1] if below else self.timesteps[-1]
        index = step * self.num_timesteps // max(1, total)
        return next((i for i in self.timesteps if i >= index), self.timesteps[-1])


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
    names = classifier.card.layers
    if names is not None:
        require_layers(names, [layer.name for layer in model_layers])
    channels = sum(layer.heads for layer in model_layers if names is None or layer.name in names)
    if not classifier.accepts(channels):
        raise SteeringError(_wrong_channels(classifier, channels))


@dataclass(frozen=True)
class OfficialConfig:
    """Sizes of the official architecture; the names follow the authors' `config`.

    extractor_*: the encoder over channels, shared by both objects; extractor_query_heads: heads of the learnt
    query. timestep_mode: "pre" = the timestep embedding is added once before the encoder, "mid" = before
    every encoder layer, "off" = never. head_*: the encoder over the two extracted maps; head_timestep_dim:
    its own timestep embedding. positions: length of the head's position code, of which only position 0 is
    used. use_mean: the plain mean over channels instead of the extractor.
    """

    d_model: int = 256
    extractor_layers: int = 2
    extractor_heads: int = 2
    extractor_feedforward: int = 128
    extractor_query_heads: int = 2
    timestep_mode: Literal["pre", "mid", "off"] = "mid"
    head_layers: int = 2
    head_heads: int = 4
    head_feedforward: int = 128
    head_timestep_dim: int = 16
    dropout: float = 0.3
    head_dropout: float = 0.3
    positions: int = 256
    use_mean: bool = False

    def __post_init__(self) -> None:
        heads = (self.extractor_heads, self.extractor_query_heads, self.head_heads)
        if self.d_model < 2 or self.d_model % 2 or any(h < 1 or self.d_model % h for h in heads):
            raise SteeringError(
                f"Expected an even d_model that every head count divides, got d_model {self.d_model} and "
                f"heads {heads}; correct the classifier's configuration."
            )
        if self.timestep_mode not in ("pre", "mid", "off"):
            raise SteeringError(
                f'Expected the timestep mode "pre", "mid" or "off", got "{self.timestep_mode}"; '
                "correct the classifier's configuration."
            )


class PositionCode(nn.Module):
    """Fixed sinusoidal position code, added to (B, L, d); cut to the length that comes."""

    pe: Tensor

    def __init__(self, d_model: int, length: int) -> None:
        super().__init__()
        position = torch.arange(length)[:, None]
        rate = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        code = torch.zeros(1, length, d_model)
        code[0, :, 0::2] = torch.sin(position * rate)
        code[0, :, 1::2] = torch.cos(position * rate)
        self.register_buffer("pe", code)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[:, : x.shape[1]]


def _encoder(
    d_model: int, heads: int, feedforward: int, layers: int, dropout: float
) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        d_model, heads, feedforward, dropout, activation="relu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


class ObjectExtractor(nn.Module):
    """One object's maps (B, C, S, S) -> one map (B, S * S): an encoder over channels, then one learnt query
    over them."""

    def __init__(self, config: OfficialConfig, channels: int, map_size: int, num_timesteps: int) -> None:
        super().__init__()
        d = config.d_model
        self.mode = config.timestep_mode
        self.input_projection = nn.Linear(map_size**2, d)
        if self.mode != "off":
            self.timestep_embedding = nn.Embedding(num_timesteps, d)
        self.positional_encoding = PositionCode(d, channels)
        self.transformer = _encoder(
            d, config.extractor_heads, config.extractor_feedforward, config.extractor_layers, config.dropout
        )
        self.query_vector = nn.Parameter(torch.randn(1, 1, d))
        self.layer_attention = nn.MultiheadAttention(
            d, config.extractor_query_heads, dropout=config.dropout, batch_first=True
        )
        self.output_projection = nn.Linear(d, map_size**2)

    def forward(self, maps: Tensor, timestep: Tensor) -> Tensor:
        x = self.positional_encoding(self.input_projection(maps.flatten(-2)))
        time = self.timestep_embedding(timestep)[:, None] if self.mode != "off" else 0.0
        if self.mode == "pre":
            x = x + time
        for layer in self.transformer.layers:
            x = layer(x + time if self.mode == "mid" else x)
        query = self.query_vector.expand(x.shape[0], -1, -1)
        return self.output_projection(self.layer_attention(query, x, x, need_weights=False)[0][:, 0])


class MeanExtractor(nn.Module):
    """`use_mean`: one object's maps (B, C, S, S) -> their plain mean (B, S * S)."""

    def forward(self, maps: Tensor, timestep: Tensor) -> Tensor:
        return maps.mean(1).flatten(1)


class RelationHead(nn.Module):
    """Both extracted maps (B, 2 * S * S) -> logits (B, relations)."""

    def __init__(self, config: OfficialConfig, relations: int, map_size: int, num_timesteps: int) -> None:
        super().__init__()
        d, time, p = config.d_model, config.head_timestep_dim, config.head_dropout
        self.timestep_embedding = nn.Embedding(num_timesteps, time)
        self.positional_encoding = PositionCode(d, config.positions)
        self.projection = nn.Linear(2 * map_size**2, d)
        self.transformer = _encoder(
            d, config.head_heads, config.head_feedforward, config.head_layers, config.dropout
        )
        self.fc = nn.Sequential(
            nn.Linear(d + time, 256),
            nn.LayerNorm(256),
            nn.LeakyReLU(0.1),
            nn.Dropout(p),
            nn.Linear(256, 128),
            nn.LayerNorm(128),
            nn.LeakyReLU(0.1),
            nn.Dropout(p),
            nn.Linear(128, relations),
        )

    def forward(self, pair: Tensor, timestep: Tensor) -> Tensor:
        x = self.transformer(self.positional_encoding(self.projection(pair)[:, None]))[:, 0]
        return self.fc(torch.cat([x, self.timestep_embedding(timestep)], dim=-1))


class RelationClassifier(RelationReader):
    """The official classifier. See `RelationReader` for shapes.

    Raises SteeringError from forward for maps of a shape it was not made for and for timestep indices it does
    not have.
    """

    def __init__(self, card: ClassifierCard, config: OfficialConfig | None = None) -> None:
        super().__init__(card)
        self.config = config = config or OfficialConfig()
        self.object_extractor: nn.Module = (
            MeanExtractor()
            if config.use_mean
            else ObjectExtractor(config, card.channels, card.map_size, card.num_timesteps)
        )
        self.relation_classifier = RelationHead(
            config, len(card.relations), card.map_size, card.num_timesteps
        )

    def accepts(self, channels: int) -> bool:
        """Official files may state more channels than were fed: the position code is cut. The mean takes any
        number."""
        return self.config.use_mean or 1 <= channels <= self.card.channels

    def forward(self, maps: Tensor, timestep: Tensor) -> Tensor:
        self._check_maps(maps)
        first = self.object_extractor(maps[:, 0], timestep)
        second = self.object_extractor(maps[:, 1], timestep)
        return self.relation_classifier(torch.cat([first, second], dim=-1), timestep)
