"""Fit a relation classifier to recorded maps, and ask whether it reads the picture or the prompt."""

from .fit import FitOptions, FitReport, fit
from .leakage import LeakageReport, accuracy, leakage, predictions
from .recipe import Kind, Trained, build, train

__all__ = [
    "FitOptions",
    "FitReport",
    "Kind",
    "LeakageReport",
    "Trained",
    "accuracy",
    "build",
    "fit",
    "leakage",
    "predictions",
    "train",
]
