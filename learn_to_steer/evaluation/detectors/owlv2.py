"""OWLv2 (Minderer et al. 2023): an open vocabulary, queries as short captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image

from ..detections import Detection
from .base import collected
from .loading import Loaded

THRESHOLD = 0.1
"""Of scores, the library's own."""


class Owlv2Detector:
    """An `evaluation.detectors.Detector`."""

    def __init__(self, loaded: Loaded, threshold: float = THRESHOLD) -> None:
        self.loaded, self.threshold = loaded, threshold

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Nothing: every name can be asked for."""
        return []

    @torch.no_grad()
    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `evaluation.detectors.Detector`. Each picture is asked about by itself: the processor would fill up shorter
        lists of queries with empty ones, which the model answers like any other."""
        return [self._one(p, list(n)) if n else [] for p, n in zip(pictures, names, strict=True)]

    def _one(self, picture: np.ndarray, names: list[str]) -> list[Detection]:
        processor, model = self.loaded.processor, self.loaded.model
        inputs = processor(
            text=[[f"a photo of {with_article(name)}" for name in names]],
            images=Image.fromarray(picture),
            return_tensors="pt",
        ).to(self.loaded.device, model.dtype)
        size = picture.shape[:2]
        (found,) = processor.post_process_grounded_object_detection(
            model(**inputs), threshold=self.threshold, target_sizes=[size], text_labels=[names]
        )
        boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
        return collected(
            ((n, b, s, None) for n, b, s in zip(found["text_labels"], boxes, scores, strict=True)), size
        )


def with_article(noun: str) -> str:
    """The noun with "a" or "an", by its first letter."""
    return ("an " if noun[:1].lower() in tuple("aeiou") else "a ") + noun
