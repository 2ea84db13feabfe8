"""Learn-to-Steer: text-to-image pictures that put things where the prompt says.

The names below are all that most programs need; each is imported when it is first used, so that `import learn_to_steer`
brings in neither torch nor a host.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifiers import load_classifier, save_classifier, shipped_classifier
    from .emojiworld import load_pipeline as load_emojiworld
    from .errors import SteeringError
    from .hosts.diffusers import generate
    from .language import parse_relations
    from .objectives import CentroidObjective, CombinedObjective, LearnedObjective
    from .steering import SteeringPlan, SteeringTrace
    from .training import train as train_classifier

__version__ = "0.1.0"

_FACE = {
    "CentroidObjective": ("objectives", "CentroidObjective"),
    "CombinedObjective": ("objectives", "CombinedObjective"),
    "LearnedObjective": ("objectives", "LearnedObjective"),
    "SteeringError": ("errors", "SteeringError"),
    "SteeringPlan": ("steering", "SteeringPlan"),
    "SteeringTrace": ("steering", "SteeringTrace"),
    "generate": ("hosts.diffusers", "generate"),
    "load_classifier": ("classifiers", "load_classifier"),
    "load_emojiworld": ("emojiworld", "load_pipeline"),
    "parse_relations": ("language", "parse_relations"),
    "save_classifier": ("classifiers", "save_classifier"),
    "shipped_classifier": ("classifiers", "shipped_classifier"),
    "train_classifier": ("training", "train"),
}

__all__ = [
    "CentroidObjective",
    "CombinedObjective",
    "LearnedObjective",
    "SteeringError",
    "SteeringPlan",
    "SteeringTrace",
    "generate",
    "load_classifier",
    "load_emojiworld",
    "parse_relations",
    "save_classifier",
    "shipped_classifier",
    "train_classifier",
]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _FACE[name]
    return getattr(import_module(f".{module}", __name__), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})
