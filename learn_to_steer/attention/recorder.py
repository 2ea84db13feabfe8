"""Recording during a forward pass: takes Q and K layer by layer, ends the pass after the last one wanted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from einops import rearrange
from torch import Tensor

from ..errors import SteeringError
from .layer import AttentionLayer, require_layers
from .maps import attention_maps
from .stack import MapStack


class StopForward(Exception):
    """Raised inside a forward pass once everything wanted is recorded; the host that started the pass
    catches it."""


class AttentionRecorder:
    """Collects the maps of one forward pass and ends the pass when nothing more is wanted.

    weights: (B, O, T), see `tokens.token_weights`; B rows of the pass that is watched.
    model_layers: every attention of the model, in execution order. read: names of those to read (None: all).
    stop: raise StopForward from `record` after the last wanted layer, so that the rest of the model is not
    run. rows: of the pass that `weights` are for (None: all).

    Raises SteeringError for names the model does not have. Use one recorder for one pass.
    """

    def __init__(
        self,
        weights: Tensor,
        model_layers: Sequence[AttentionLayer],
        read: Collection[str] | None = None,
        stop: bool = True,
        rows: slice | None = None,
    ) -> None:
        if read is not None:
            require_layers(read, [layer.name for layer in model_layers])
        self.weights = weights
        self.stop, self.rows = stop, rows
        self._wanted = [layer for layer in model_layers if read is None or layer.name in read]
        self._maps: dict[str, Tensor] = {}
        if not self._wanted:
            raise SteeringError(
                "Expected at least one attention layer to read, got none; name layers of this model."
            )

    @property
    def done(self) -> bool:
        """True once every wanted layer is recorded."""
        return len(self._maps) == len(self._wanted)

    def wants(self, layer: AttentionLayer) -> bool:
        """Whether this layer's Q and K are still to be recorded."""
        return layer.name not in self._maps and any(w.name == layer.name for w in self._wanted)

    def record(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, scale: float, height: int, width: int
    ) -> None:
        """Take one layer's maps. query (B, heads, height * width, d), key (B, heads, T, d): text tokens only.

        Raises StopForward after the last wanted layer (where `stop`), SteeringError when shapes do not fit.
        """
        if not self.wants(layer):
            return
        if self.rows is not None:
            query, key = query[self.rows], key[self.rows]
        if query.shape[2] != height * width:
            raise SteeringError(
                f"Expected {height} x {width} image positions in layer {layer.name}, got {query.shape[2]} "
                "queries; this model arranges its image tokens in a way this host does not know."
            )
        maps = attention_maps(query, key, self.weights.to(query.device), scale)
        self._maps[layer.name] = rearrange(maps, "b o heads (h w) -> b o heads h w", h=height)
        if self.stop and self.done:
            raise StopForward

    def take(self, layer: AttentionLayer) -> Tensor:
        """Take back one layer's maps, which then count as not recorded: what a block that is run a second time needs.

        Raises KeyError for a layer that is not recorded.
        """
        return self._maps.pop(layer.name)

    def put(self, layer: AttentionLayer, maps: Tensor) -> None:
        """Give back what :meth:`take` took, or the same maps with another history."""
        self._maps[layer.name] = maps

    def maps(self) -> MapStack:
        """What was recorded. Raises SteeringError when the pass ended before every wanted layer was
        recorded."""
        missing = [layer.name for layer in self._wanted if layer.name not in self._maps]
        if missing:
            raise SteeringError(
                f"Expected the model to run the attention layers {', '.join(missing)}, but it did not; "
                "check that the objective's layers belong to this model."
            )
        return MapStack(tuple(self._wanted), tuple(self._maps[layer.name] for layer in self._wanted))
