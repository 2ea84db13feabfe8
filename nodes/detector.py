"""The host's RT-DETR as a judge's detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.evaluation.detections import Detection
from ..learn_to_steer.evaluation.detectors.base import collected
from ..learn_to_steer.evaluation.detectors.vocabulary import Vocabulary
from ..learn_to_steer.evaluation.rules import geneval


class HostDetector:
    """An `evaluation.detectors.Detector`: the host's node on a MODEL that holds RT-DETR's weights.

    Raises SteeringError for another model, and in a host without that node (before 0.19)."""

    def __init__(self, model: Any) -> None:
        try:
            from comfy.ldm.rt_detr.rtdetr_v4 import COCO_CLASSES, RTv4
            from comfy_extras.nodes_rtdetr import RTDETR_detect
        except ImportError as error:
            raise SteeringError(
                f"Expected a ComfyUI with RT-DETR for a detector, this version has none ({error}); update it, or leave the "
                "detector out."
            ) from error
        network = model.model.diffusion_model
        if not isinstance(network, RTv4):
            raise SteeringError(
                f"Expected an RT-DETR model as the detector, got {type(network).__name__}; connect the Load Diffusion Model "
                "that loads it, or leave the detector out."
            )
        self.model, self.node, self.vocabulary = model, RTDETR_detect, Vocabulary(COCO_CLASSES)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Names that are none of COCO's 80 things."""
        return self.vocabulary.unknown(names)

    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `evaluation.detectors.Detector`."""
        images = torch.from_numpy(pictures).float() / 255
        (frames,) = self.node.execute(self.model, images, geneval.THRESHOLD, "all", 100).args
        return [
            collected(
                (
                    (self.vocabulary.as_asked(box["label"], asked), _corners(box), box["score"], None)
                    for box in frame
                ),
                pictures.shape[1:3],
            )
            for frame, asked in zip(frames, names, strict=True)
        ]


def _corners(box: dict[str, float]) -> tuple[float, float, float, float]:
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
