"""Grounding DINO (Liu et al. 2023): an open vocabulary, all objects in one text, "a dog. a teddy bear."."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image

from ..detections import Detection, plain_name
from .base import collected
from .loading import Loaded
from .owlv2 import with_article

THRESHOLD = 0.25
"""Of boxes, the library's own."""

TEXT_THRESHOLD = 0.25
"""Of words within a box, the library's own."""

_ARTICLES = {"a", "an"}


class GroundingDinoDetector:
    """An `evaluation.detectors.Detector`."""

    def __init__(self, loaded: Loaded, threshold: float = THRESHOLD) -> None:
        self.loaded, self.threshold = loaded, threshold

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Nothing: every name can be asked for."""
        return []

    @torch.no_grad()
    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        """See `evaluation.detectors.Detector`."""
        return [self._one(p, list(n)) if n else [] for p, n in zip(pictures, names, strict=True)]

    def _one(self, picture: np.ndarray, names: list[str]) -> list[Detection]:
        processor, model = self.loaded.processor, self.loaded.model
        text = " ".join(f"{with_article(plain_name(name))}." for name in names)
        inputs = processor(text=text, images=Image.fromarray(picture), return_tensors="pt").to(
            self.loaded.device, model.dtype
        )
        size = picture.shape[:2]
        (found,) = processor.post_process_grounded_object_detection(
            model(**inputs),
            inputs["input_ids"],
            threshold=self.threshold,
            # A word of a box that is kept at all may be weaker than the usual bound.
            text_threshold=min(self.threshold, TEXT_THRESHOLD),
            target_sizes=[size],
        )
        boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
        meant = (meant_by(phrase, names) for phrase in found["text_labels"])
        return collected(
            ((n, b, s, None) for n, b, s in zip(meant, boxes, scores, strict=True) if n is not None), size
        )


def meant_by(phrase: str, names: Sequence[str]) -> str | None:
    """Which name the words of a box mean; None where that cannot be told ("dog cat", or no word of a name).

    The model marks single words. The name of which the largest share is there counts, of equal ones that with more words:
    "bear" is the bear, "teddy bear" the teddy bear, where both are asked for.
    """
    words = set(phrase.lower().split()) - _ARTICLES
    ranks = []
    for name in names:
        own = plain_name(name).split()
        met = sum(word in words for word in own)
        ranks.append((met / len(own), met))
    best = max(ranks, default=(0.0, 0))
    return names[ranks.index(best)] if best[1] and ranks.count(best) == 1 else None
