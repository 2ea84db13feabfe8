"""RT-DETR and RT-DETRv2 (Zhao et al. 2023, Lv et al. 2024): fast, the vocabulary of their training, mostly COCO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image

from ..detections import Detection
from .base import collected
from .loading import Loaded
from .vocabulary import Vocabulary

THRESHOLD = 0.5
"""Of scores, the library's own."""


class RTDetrDetector:
    """An `evaluation.detectors.Detector`."""

    def __init__(self, loaded: Loaded, threshold: float = THRESHOLD) -> None:
        self.loaded, self.threshold = loaded, threshold
        self.labels: dict[int, str] = loaded.model.config.id2label
        self.vocabulary = Vocabulary(self.labels.values())

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Names that are no label of the model."""
        return self.vocabulary.unknown(names)

    @torch.no_grad()
    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `evaluation.detectors.Detector`."""
        return [self._one(p, list(n)) for p, n in zip(pictures, names, strict=True)]

    def _one(self, picture: np.ndarray, names: list[str]) -> list[Detection]:
        processor, model = self.loaded.processor, self.loaded.model
        inputs = processor(images=Image.fromarray(picture), return_tensors="pt").to(
            self.loaded.device, model.dtype
        )
        size = picture.shape[:2]
        (found,) = processor.post_process_object_detection(
            model(**inputs), threshold=self.threshold, target_sizes=[size]
        )
        called = [self.vocabulary.as_asked(self.labels[i], names) for i in found["labels"].tolist()]
        boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
        return collected(((n, b, s, None) for n, b, s in zip(called, boxes, scores, strict=True)), size)
