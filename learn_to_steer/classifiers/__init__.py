"""Relation classifiers: maps of two objects in, logits of their relation out; and their files."""

from .authors import official_sigmas
from .card import ANY_FAMILY, ClassifierCard
from .files import convert, load_classifier, save_classifier
from .official import OfficialConfig, RelationClassifier
from .reader import RelationReader, check_classifier
from .symmetric import SYMMETRIC_RELATIONS, SymmetricConfig, SymmetricRelationClassifier

__all__ = [
    "ANY_FAMILY",
    "ClassifierCard",
    "OfficialConfig",
    "RelationClassifier",
    "RelationReader",
    "SYMMETRIC_RELATIONS",
    "SymmetricConfig",
    "SymmetricRelationClassifier",
    "check_classifier",
    "convert",
    "load_classifier",
    "official_sigmas",
    "save_classifier",
]
