"""The relation classifier of the paper (Learn-to-Steer, section on the relation classifier), with the authors' parameter
names, so that their state dicts load strictly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import SteeringError
from .card import FAMILY_CHANNELS, ClassifierCard
from .reader import RelationReader, normal

MOST_LAYERS = 64
"""Layers of an encoder; the official ones have 2 or 4."""


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
        if not all(0 <= layers <= MOST_LAYERS for layers in (self.extractor_layers, self.head_layers)):
            raise SteeringError(
                f"Expected encoders of at most {MOST_LAYERS} layers, got {self.extractor_layers} and {self.head_layers}; "
                "correct the classifier's configuration."
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
        code = torch.zeros(1, length, d_model)
        if not code.is_meta:
            position = torch.arange(length)[:, None]
            rate = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
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
            self.timestep_embedding = nn.Embedding(num_timesteps, d, _weight=normal(num_timesteps, d))
        self.positional_encoding = PositionCode(d, channels)
        self.transformer = _encoder(
            d, config.extractor_heads, config.extractor_feedforward, config.extractor_layers, config.dropout
        )
        self.query_vector = nn.Parameter(normal(1, 1, d))
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
        self.timestep_embedding = nn.Embedding(num_timesteps, time, _weight=normal(num_timesteps, time))
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
        """Whether maps of this many channels can be fed. The mean takes any number.

        Files in the authors' layout may state more channels than were fed; the position code is cut. That is believed
        within bounds: up to twice as many (the layers of SD 2 have 5 to 20 heads; counted by the widest they are 320 for
        195), and not where the number is exactly that of a known family, whose classifiers were fed all of it.
        """
        stated = self.card.channels
        if self.config.use_mean or channels == stated:
            return True
        return stated not in FAMILY_CHANNELS.values() and channels <= stated <= 2 * channels

    def forward(self, maps: Tensor, timestep: Tensor) -> Tensor:
        self._check_maps(maps)
        first = self.object_extractor(maps[:, 0], timestep)
        second = self.object_extractor(maps[:, 1], timestep)
        return self.relation_classifier(torch.cat([first, second], dim=-1), timestep)
