"""Our own classifier: symmetric by construction.

One small network scores "the first object is to the left of the second" from the pair of maps. It is averaged
over that question's own symmetries, and the other three relations are the same question about swapped or
transposed maps:

    left(a, b) = F(a, b)    right(a, b) = F(b, a)    above(a, b) = F(a', b')    below(a, b) = F(b', a')

with a' the transposed map. A trace of the relation *word* in the maps that is not spatial cannot favour any
relation in such a classifier, so it cannot leak (Learn-to-Steer calls that relation leakage). Small, and
content with little data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from ..attention import normalised
from ..errors import SteeringError
from .card import ClassifierCard
from .reader import RelationReader, normal

SYMMETRIC_RELATIONS = ("to the left of", "to the right of", "above", "below")


@dataclass(frozen=True)
class SymmetricConfig:
    """mix: "learnt" = a learnt softmax mix of channels (heads and layers), "mean" = their plain mean, which
    fits any number of channels. hidden: widths of the network. dropout: keep it; an over-fitted classifier
    reads well and steers badly. timestep_dim: width of a timestep embedding, 0 = none."""

    mix: Literal["learnt", "mean"] = "learnt"
    hidden: tuple[int, ...] = (128, 80)
    dropout: float = 0.2
    timestep_dim: int = 0

    def __post_init__(self) -> None:
        if self.mix not in ("learnt", "mean"):
            raise SteeringError(
                f'Expected mix to be "learnt" or "mean", got "{self.mix}"; choose one of them.'
            )
        if (
            not 1 <= len(self.hidden) <= 64
            or min(self.hidden) < 1
            or not 0 <= self.dropout < 1
            or self.timestep_dim < 0
        ):
            raise SteeringError(
                "Expected 1 to 64 hidden widths of 1 or more, dropout in [0, 1) and timestep_dim >= 0, got "
                f"{self.hidden[:64]}, {self.dropout} and {self.timestep_dim}; correct the classifier's "
                "configuration."
            )


class SymmetricRelationClassifier(RelationReader):
    """See the head of this file, and `RelationReader` for shapes.

    `card.relations` must be the four of SYMMETRIC_RELATIONS, in any order. Raises SteeringError otherwise.
    """

    def __init__(self, card: ClassifierCard, config: SymmetricConfig | None = None) -> None:
        super().__init__(card)
        self.config = config = config or SymmetricConfig()
        if sorted(card.relations) != sorted(SYMMETRIC_RELATIONS):
            raise SteeringError(
                f"Expected the relations {', '.join(SYMMETRIC_RELATIONS)}, got {', '.join(card.relations)}; "
                "a symmetric classifier knows these four, use the official architecture for others."
            )
        self._columns = [SYMMETRIC_RELATIONS.index(name) for name in card.relations]
        if config.mix == "learnt":
            self.channel_logits = nn.Parameter(torch.zeros(card.channels))
        if config.timestep_dim:
            size = (card.num_timesteps, config.timestep_dim)
            self.timestep_embedding = nn.Embedding(*size, _weight=normal(*size))
        widths = [2 * card.map_size**2 + config.timestep_dim, *config.hidden]
        blocks: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            blocks += [nn.Linear(before, after), nn.SiLU(), nn.Dropout(config.dropout)]
        self.network = nn.Sequential(*blocks, nn.Linear(widths[-1], 1))

    def accepts(self, channels: int) -> bool:
        return self.config.mix == "mean" or channels == self.card.channels

    def mixed(self, maps: Tensor) -> Tensor:
        """(B, 2, C, S, S) -> (B, 2, S, S): the mix over channels, scaled so that a map's mean is 1."""
        if self.config.mix == "learnt":
            pair = torch.einsum("b o c h w, c -> b o h w", maps, self.channel_logits.softmax(0))
        else:
            pair = maps.mean(2)
        return normalised(pair) * self.card.map_size**2

    def forward(self, maps: Tensor, timestep: Tensor) -> Tensor:
        self._check_maps(maps)
        pair = self.mixed(maps)
        swapped = pair.flip(1)
        questions = torch.stack([pair, swapped, pair.mT, swapped.mT], dim=1)  # left, right, above, below
        alike = (
            torch.stack(  # the symmetries of "left of": top-bottom flip; swap together with left-right flip
                [
                    questions,
                    questions.flip(-2),
                    questions.flip(2).flip(-1),
                    questions.flip(2).flip(-1).flip(-2),
                ],
                dim=2,
            )
        )
        x = rearrange(alike, "b q s o h w -> b q s (o h w)")
        if self.config.timestep_dim:
            time = self.timestep_embedding(timestep)[:, None, None].expand(*x.shape[:3], -1)
            x = torch.cat([x, time], dim=-1)
        logits = self.network(x).mean(2)[..., 0]
        return logits[:, self._columns]
