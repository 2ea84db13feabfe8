"""Mask2Former (Cheng et al. 2022), the judge of GenEval: masks of the classes of its training, mostly COCO's 80.

A box is the smallest that holds the mask. GenEval reads instances; panoptic checkpoints know "things" and "stuff", and can
be read either way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from ..detections import Detection, Mask, PixelBox
from .base import collected
from .loading import Loaded
from .vocabulary import VocabularyDetector

THRESHOLD = 0.5
"""Of scores, the library's own."""


class Mask2FormerDetector(VocabularyDetector):
    """An `evaluation.detectors.Detector`. panoptic: each pixel belongs to one segment at most; else instances, which may
    overlap."""

    def __init__(self, loaded: Loaded, threshold: float = THRESHOLD, panoptic: bool = False) -> None:
        super().__init__(loaded, threshold)
        self.panoptic = panoptic

    def _one(self, picture: np.ndarray, names: list[str]) -> list[Detection]:
        processor, model = self.loaded.processor, self.loaded.model
        height, width = picture.shape[:2]
        inputs = processor(images=Image.fromarray(picture), return_tensors="pt")
        whole = self._with_padding(inputs, (height, width))
        outputs = model(**inputs.to(self.loaded.device, model.dtype))
        outputs.masks_queries_logits = outputs.masks_queries_logits.float()
        outputs.class_queries_logits = outputs.class_queries_logits.float()
        found = []
        for label, score, mask in self._segments(outputs, whole):
            mask = mask[:height, :width]
            if mask.any():
                found.append((self.vocabulary.as_asked(self.labels[label], names), box_of(mask), score, mask))
        return collected(found, (height, width))

    @staticmethod
    def _with_padding(inputs: Any, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width, in pixels of the picture, of what the model is given.

        Where the processor keeps the aspect ratio it fills up the right and the lower edge, and the masks cover the filling
        as well, which the library's post-processing does not know.
        """
        real = inputs["pixel_mask"][0] > 0
        given = real.shape
        shown = int(real.any(1).sum()), int(real.any(0).sum())
        return (
            round(size[0] * given[0] / shown[0]),
            round(size[1] * given[1] / shown[1]),
        )

    def _segments(self, outputs: Any, size: tuple[int, int]) -> Iterable[tuple[int, float, Mask]]:
        processor = self.loaded.processor
        options = {"threshold": self.threshold, "target_sizes": [size]}
        if self.panoptic:
            (read,) = processor.post_process_panoptic_segmentation(
                outputs, label_ids_to_fuse=set(), **options
            )
            for segment in read["segments_info"]:
                mask = read["segmentation"] == segment["id"]
                yield segment["label_id"], segment["score"], mask.cpu().numpy()
            return
        (read,) = processor.post_process_instance_segmentation(outputs, return_binary_maps=True, **options)
        # Without a segment there is no stack of maps.
        for segment, mask in zip(read["segments_info"], read["segmentation"], strict=False):
            yield segment["label_id"], segment["score"], (mask > 0.5).cpu().numpy()


def box_of(mask: Mask) -> PixelBox:
    """The smallest box that holds the mask's pixels; the right and lower edges lie behind the last pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
