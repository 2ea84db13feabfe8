"""A judge from what the user writes: a folder or a model id, with or without the kind in front ("owlv2=FOLDER")."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import SteeringError
from .detectors import Detector
from .detectors.colours import ClipColours
from .detectors.grounding_dino import GroundingDinoDetector
from .detectors.loading import Loaded, load, model_type
from .detectors.mask2former import Mask2FormerDetector
from .detectors.owlv2 import Owlv2Detector
from .detectors.rt_detr import RTDetrDetector
from .detectors.yes_no import YesNo
from .judges import AskingJudge, Judge, RuleJudge
from .rules import geneval, visor
from .score import MASK_RULES

YES_NO = "yes-no"
"""The kind of a vision-language model that is asked."""

_ZERO_SHOT, _DETECTION, _SEGMENTATION = (
    f"AutoModelFor{task}" for task in ("ZeroShotObjectDetection", "ObjectDetection", "UniversalSegmentation")
)


def _panoptic(loaded: Loaded, **options: Any) -> Detector:
    return Mask2FormerDetector(loaded, panoptic=True, **options)


DETECTORS: dict[str, tuple[str, Callable[..., Detector]]] = {
    "mask2former": (_SEGMENTATION, Mask2FormerDetector),
    "mask2former-panoptic": (_SEGMENTATION, _panoptic),
    "owlv2": (_ZERO_SHOT, Owlv2Detector),
    "grounding-dino": (_ZERO_SHOT, GroundingDinoDetector),
    "rt-detr": (_DETECTION, RTDetrDetector),
}
"""Kinds of detectors: the class of `transformers` that loads one, and what makes a detector of it."""

KINDS = (*DETECTORS, YES_NO)

_OF_MODEL_TYPE = {"rt_detr": "rt-detr", "rt_detr_v2": "rt-detr"}
"""Where `transformers` calls a kind otherwise."""

_MASKS = ("mask2former", "mask2former-panoptic")

_THRESHOLDS = {"geneval": geneval.THRESHOLD, "visor": visor.THRESHOLD}
"""Of rules that say from which score on a detection counts. Else the library's own for the kind of detector."""


def open_judge(written: str, rule: str, device: str = "cpu", colours: str | None = None) -> Judge:
    """The judge. written: "SOURCE" or "KIND=SOURCE", where SOURCE is a folder or a model id. rule: of `rules.RULES`, for
    detectors. colours: a folder or id of a CLIP model that reads GenEval's colours.

    Without a kind, the model's config says it; what is no detector is asked yes or no. The judge's name is what is written.
    Raises SteeringError for an unknown kind, what cannot be loaded, and a rule of masks with a detector of boxes.
    """
    kind, source = _parts(written)
    if kind == YES_NO:
        return AskingJudge(written, YesNo(load(source, "AutoModelForImageTextToText", device), source))
    if rule in MASK_RULES and kind not in _MASKS:
        raise SteeringError(
            f'Expected a judge of masks ({", ".join(_MASKS)}) for the rule "{rule}", got {kind}; '
            "choose one or another rule."
        )
    loader, make = DETECTORS[kind]
    options = {"threshold": _THRESHOLDS[rule]} if rule in _THRESHOLDS else {}
    detector = make(load(source, loader, device), **options)
    reader = ClipColours(load(colours, "AutoModel", device)) if colours is not None else None
    return RuleJudge(written, detector, rule, reader)


def _parts(written: str) -> tuple[str, str]:
    kind, equals, source = written.partition("=")
    if not equals or Path(written).is_dir():
        said = model_type(written)
        kind = _OF_MODEL_TYPE.get(said, said)
        return (kind if kind in DETECTORS else YES_NO), written
    if kind not in KINDS or not source:
        raise SteeringError(
            f"Expected a judge as KIND=FOLDER with a kind among {', '.join(KINDS)}, or a folder or model id alone, got "
            f"{written!r}; correct it."
        )
    return kind, source
