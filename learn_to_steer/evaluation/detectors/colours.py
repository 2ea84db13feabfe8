"""GenEval's colours: which of ten an object has, read by CLIP from what the judge found of it.

As GenEval does it: the box is cut out, what lies outside of the mask (where there is one) is grey, and the colour whose
captions are nearest is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..detections import Detection, box_of
from .loading import Loaded

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
CAPTIONS = (
    "a photo of a {colour} {noun}",
    "a photo of a {colour}-colored {noun}",
    "a photo of a {colour} object",
)
GREY = (0x99, 0x99, 0x99)


class ClipColours:
    """A CLIP model that says which of the ten colours a detection has."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._captions: dict[str, Tensor] = {}

    @torch.no_grad()
    def coloured(self, picture: np.ndarray, detections: Sequence[Detection], noun: str) -> list[Detection]:
        """The detections, each with its colour. picture (height, width, 3) uint8; noun: what they are."""
        if not detections:
            return []
        crops = [cut_out(picture, detection) for detection in detections]
        processor, model = self.loaded.processor, self.loaded.model
        pixels = processor(images=crops, return_tensors="pt").to(self.loaded.device, model.dtype)
        seen = _unit(model.get_image_features(**pixels))
        nearest = (seen @ self._colours_of(noun).T).argmax(dim=1).tolist()
        return [replace(d, colour=COLOURS[i]) for d, i in zip(detections, nearest, strict=True)]

    def _colours_of(self, noun: str) -> Tensor:
        """(10, width): per colour the mean of its captions, of length 1."""
        if noun not in self._captions:
            texts = [caption.format(colour=c, noun=noun) for c in COLOURS for caption in CAPTIONS]
            tokens = self.loaded.processor(text=texts, return_tensors="pt", padding=True).to(
                self.loaded.device
            )
            each = _unit(self.loaded.model.get_text_features(**tokens))
            self._captions[noun] = _unit(each.unflatten(0, (len(COLOURS), len(CAPTIONS))).mean(dim=1))
        return self._captions[noun]


def _unit(features: Tensor) -> Tensor:
    features = getattr(features, "pooler_output", features)  # transformers from 5 on wraps them
    return features / features.norm(dim=-1, keepdim=True)


def cut_out(picture: np.ndarray, detection: Detection) -> Image.Image:
    """What the judge found, grey around its mask."""
    shown = picture
    if detection.mask is not None:
        shown = np.where(detection.mask[..., None], picture, np.array(GREY, dtype=np.uint8))
    x0, y0, x1, y1 = box_of(detection)
    # At least one pixel, also of a box that lies between two.
    left, top = int(x0), int(y0)
    right, bottom = max(left + 1, round(x1)), max(top + 1, round(y1))
    return Image.fromarray(np.ascontiguousarray(shown[top:bottom, left:right]))
