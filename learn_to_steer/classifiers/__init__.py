"""Relation classifiers: maps of two objects in, logits of their relation out; and their files."""

from .authors import official_sigmas
from .card import ANY_FAMILY, ClassifierCard
from .files import convert, load_classifier, save_classifier, save_numbered
from .model_card import write_card
from .official import OfficialConfig, RelationClassifier
from .reader import RelationReader, check_classifier
from .shipped import OWN, UNIVERSAL, default_classifier, shipped_classifier, shipped_folder
from .symmetric import SYMMETRIC_RELATIONS, SymmetricConfig, SymmetricRelationClassifier

__all__ = [
    "ANY_FAMILY",
    "ClassifierCard",
    "OWN",
    "OfficialConfig",
    "RelationClassifier",
    "RelationReader",
    "SYMMETRIC_RELATIONS",
    "SymmetricConfig",
    "SymmetricRelationClassifier",
    "UNIVERSAL",
    "check_classifier",
    "convert",
    "default_classifier",
    "load_classifier",
    "official_sigmas",
    "save_classifier",
    "save_numbered",
    "shipped_classifier",
    "shipped_folder",
    "write_card",
]
