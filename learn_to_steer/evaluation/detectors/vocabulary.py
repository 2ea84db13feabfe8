"""A detector of a closed vocabulary: which of its labels is the object that a prompt names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..detections import Detection, plain_name
from .loading import Loaded

SAME = (
    ("motorcycle", "motorbike"),
    ("airplane", "aeroplane"),
    ("potted plant", "pottedplant"),
    ("couch", "sofa"),
    ("dining table", "diningtable"),
    ("tv", "tvmonitor", "television"),
    ("mouse", "computer mouse"),
    ("remote", "tv remote", "remote control"),
    ("keyboard", "computer keyboard"),
    ("cell phone", "cellphone", "mobile phone"),
    ("hair drier", "hair dryer", "hairdryer"),
    ("donut", "doughnut"),
    ("skis", "ski"),
    ("refrigerator", "fridge"),
)
"""Names of one class of COCO: in its annotations, in the files of converted checkpoints, and in GenEval's prompts."""

_CLASS = {name: names[0] for names in SAME for name in names}


def class_name(name: str) -> str:
    """COCO's own name where this is another one of it, else the plain name."""
    plain = plain_name(name)
    return _CLASS.get(plain, plain)


class Vocabulary:
    """The labels of a model, under the names by which prompts call them."""

    def __init__(self, labels: Iterable[str]) -> None:
        self.classes = {class_name(label) for label in labels}

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of the names that no label stands for."""
        return [name for name in names if class_name(name) not in self.classes]

    @staticmethod
    def as_asked(label: str, names: Sequence[str]) -> str:
        """The name among `names` that this label is, else the label in COCO's words."""
        kind = class_name(label)
        return next((plain_name(name) for name in names if class_name(name) == kind), kind)


class VocabularyDetector(ABC):
    """An `evaluation.detectors.Detector` of the labels that a loaded model was trained on. threshold: of scores."""

    def __init__(self, loaded: Loaded, threshold: float) -> None:
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

    @abstractmethod
    def _one(self, picture: np.ndarray, names: list[str]) -> list[Detection]:
        """What one picture (height, width, 3) uint8 shows, called as in `names`."""
