"""What a long node says while it works: sentences on the console and on the node, a bar with pictures, and an ear for the
user's interruption."""

from __future__ import annotations

import logging
import sys
from typing import Any

import comfy.model_management
import comfy.utils
from PIL import Image

from .execution import executing

PREVIEW = 256
"""Longest side of a picture on the bar, in pixels."""


class Telling:
    """Of one run of a node. lines: all that was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._bar: Any = None

    def say(self, sentence: str) -> None:
        """A sentence, or a table of several lines."""
        self.lines.append(sentence)
        logging.info("Learn-to-Steer: %s", sentence)
        self._show("\n".join(self.lines))

    def step(self, done: int, total: int, picture: Any = None) -> None:
        """So much is done. picture: (height, width, 3) uint8 to be shown. Raises the host's InterruptProcessingException
        where the user has interrupted."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(total)
        shown = None if picture is None else ("JPEG", Image.fromarray(picture), PREVIEW)
        self._bar.update_absolute(done, total, shown)

    def _show(self, text: str) -> None:
        """On the node, while it runs: what it says at its end is shown at its end only."""
        # The host's parts may be used without its server, which is then not imported for this.
        prompts = getattr(sys.modules.get("server"), "PromptServer", None)
        server, (_, node) = getattr(prompts, "instance", None), executing()
        if server is not None and node is not None and hasattr(server, "send_progress_text"):
            server.send_progress_text(text, node)
