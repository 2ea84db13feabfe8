"""Fit a relation classifier to recorded maps, and ask whether it reads the picture or the prompt."""

from .fit import EpochDone, FitOptions, FitReport, fit
from .leakage import LeakageReport, accuracy, as_json, errors_in_words, leakage, readings
from .pilot import Choice, choose_layers
from .recipe import (
    KINDS,
    Kind,
    Trained,
    add_to_card,
    build,
    card_of,
    fitted_in_words,
    train,
    train_from_shards,
)
from .steering_check import Steered, in_words, steering_check

__all__ = [
    "Choice",
    "EpochDone",
    "FitOptions",
    "FitReport",
    "KINDS",
    "Kind",
    "LeakageReport",
    "Steered",
    "Trained",
    "accuracy",
    "add_to_card",
    "as_json",
    "build",
    "card_of",
    "choose_layers",
    "errors_in_words",
    "fit",
    "fitted_in_words",
    "in_words",
    "leakage",
    "readings",
    "steering_check",
    "train",
    "train_from_shards",
]
