"""RT-DETR and RT-DETRv2 (Zhao et al. 2023, Lv et al. 2024): fast, the vocabulary of their training, mostly COCO."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..detections import Detection
from .base import collected
from .loading import Loaded
from .vocabulary import VocabularyDetector

THRESHOLD = 0.5
"""Of scores, the library's own."""


class RTDetrDetector(VocabularyDetector):
    """An `evaluation.detectors.Detector`."""

    def __init__(self, loaded: Loaded, threshold: float = THRESHOLD) -> None:
        super().__init__(loaded, threshold)

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
