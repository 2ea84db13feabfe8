"""Fit a relation classifier to recorded maps, and ask whether it reads the picture or the prompt."""

from .fit import FitOptions, FitReport, fit
from .leakage import LeakageReport, accuracy, leakage, predictions

__all__ = ["FitOptions", "FitReport", "LeakageReport", "accuracy", "fit", "leakage", "predictions"]
