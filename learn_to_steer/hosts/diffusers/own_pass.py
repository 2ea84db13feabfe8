"""The maps of the pipeline's own passes, which cost nothing more than reading them.

Steering asks at each step whether the relations still hold. Where an image's relations held before, the pass that the
pipeline makes at this step anyway can answer: it goes through the same attentions, its conditional rows last in a
guided batch, or first of the calls of a step where there are two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from ...attention import AttentionLayer, AttentionRecorder, MapStack


class Listening(Protocol):
    """A model whose next pass can be read: a `Branch` or a `Run`."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def layers(self) -> list[AttentionLayer]: ...

    def listen(self, recorder: AttentionRecorder) -> list[torch.utils.hooks.RemovableHandle]: ...


class OwnPass:
    """Hooks on the denoiser that read one pass when asked to.

    weights (B, O, T): tokens of the objects. layers: names to read. take(maps, step): is given what was read. Caches
    that leave blocks out of a pass leave it unread.
    """

    def __init__(
        self,
        branch: Listening,
        weights: Tensor,
        layers: tuple[str, ...] | None,
        take: Callable[[MapStack, int], None],
    ) -> None:
        self._branch, self._weights, self._layers, self._take = branch, weights, layers, take
        self._step: int | None = None
        self._recorder: AttentionRecorder | None = None
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def hooks(self) -> list[torch.utils.hooks.RemovableHandle]:
        """Put the hooks in place; remove these handles and call `close` at the end."""
        model = self._branch.model
        return [model.register_forward_pre_hook(self._before), model.register_forward_hook(self._after)]

    def ask(self, step: int) -> None:
        """Read the next pass, as that of this step."""
        self._step = step

    def close(self) -> None:
        """Let go of a pass that did not come to its end."""
        self._step = self._recorder = None
        while self._handles:
            self._handles.pop().remove()

    def _before(self, module: nn.Module, args: object) -> None:
        if self._step is None or self._recorder is not None:
            return
        rows = slice(-len(self._weights), None)
        self._recorder = AttentionRecorder(
            self._weights, self._branch.layers, self._layers, stop=False, rows=rows
        )
        self._handles += self._branch.listen(self._recorder)

    def _after(self, module: nn.Module, args: object, output: object) -> None:
        recorder, step = self._recorder, self._step
        if recorder is None or step is None:
            return
        self.close()
        if recorder.done:
            with torch.no_grad():
                self._take(recorder.maps(), step)
