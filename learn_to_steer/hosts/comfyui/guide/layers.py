"""What is guided in one pass of a host model: the bias of each of its attentions."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from ....attention import AttentionLayer
from ....guidance import AttentionGuidance, ModelSpread, logit_spread, sampled_rows
from ..read.layouts import Arrangement
from ..read.located import fitted
from .kernel import Bias


class GuidedPass:
    """What is guided in one pass of the model.

    guidance: the run's state. spread: the unit of its strength. columns (b, K, T), tokens (b, 1, T): those that are guided
    and those of the whole prompt in the conditioning's text. layers: names of the layers to guide. rows: of the pass that
    are the images', of `total` rows.
    missed: hears of attention that could not be guided, in a sentence.
    """

    def __init__(
        self,
        guidance: AttentionGuidance,
        spread: ModelSpread,
        columns: Tensor,
        tokens: Tensor,
        layers: Collection[str],
        rows: slice,
        total: int,
        missed: Callable[[str], None],
    ) -> None:
        self.guidance, self.spread, self.layers = guidance, spread, frozenset(layers)
        self._met = 0
        self._text = torch.cat([columns, tokens], 1)
        self.rows, self.total, self.missed = rows, total, missed
        self._fields: dict[tuple[int, int], Tensor] = {}
        self._of_length: dict[int, Tensor] = {}

    def wants(self, layer: AttentionLayer | None) -> bool:
        """Whether this layer is guided."""
        return layer is not None and layer.name in self.layers

    def fits(self, q: Tensor, images: int, grid: tuple[int, int]) -> bool:
        """Whether an attention has the rows of the pass and the image's tokens; says so where it has not."""
        if q.shape[0] != self.total:
            self.missed(
                f"Attention was not guided where another node gives it {q.shape[0]} rows instead of {self.total} (regional "
                "prompts, attention couple)."
            )
            return False
        if images != grid[0] * grid[1]:
            self.missed("Attention was not guided where another node changes the number of image tokens.")
            return False
        return True

    def bias(
        self, query: Tensor, key: Tensor, scale: float, place: Arrangement, padded_in_front: bool = False
    ) -> Bias:
        """The bias of the next layer of the pass. query (B, heads, tokens, d), key (B, heads or fewer, tokens, d): of the
        whole attention."""
        images = place.image.start, place.grid[0] * place.grid[1]
        some = images[0] + sampled_rows(images[1], query.device)
        rows, columns = query[self.rows][:, :, some], key[self.rows, :, place.text]
        text = self._fitted(columns.shape[2], padded_in_front, query.device)
        if columns.shape[1] != rows.shape[1]:  # several heads of queries share one of keys
            columns = columns.repeat_interleave(rows.shape[1] // columns.shape[1], 1)
        unit = self.spread.measured(
            self._met % len(self.layers), logit_spread(rows, columns, scale, text[:, -1])
        )
        self._met += 1
        if place.grid not in self._fields:
            fields = self.guidance.fields(*place.grid).to(query.device)
            self._fields[place.grid] = self.guidance.strength * fields[:, None]
        return Bias(
            self.rows,
            place.image,
            place.text,
            self._fields[place.grid] * unit[:, None, None, None],
            text[:, :-1],
        )

    def _fitted(self, tokens: int, padded_in_front: bool, device: torch.device) -> Tensor:
        """Columns, and the prompt's tokens behind them, in the text that an attention is given."""
        if tokens not in self._of_length:
            self._of_length[tokens] = fitted(self._text, tokens, padded_in_front).to(device)
        return self._of_length[tokens]
