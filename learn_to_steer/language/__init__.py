"""Text only: which relations a prompt states, and where its words are. Nothing here needs torch."""

from .mentions import find_words
from .parse import parse_relations, strip_weighting, triplets_as_json
from .relations import Relation, RelationTriplet, canonical_relation, vocabulary_name
from .triplets import Triplet, understood_triplets, written_triplet

__all__ = [
    "Relation",
    "RelationTriplet",
    "Triplet",
    "canonical_relation",
    "find_words",
    "parse_relations",
    "strip_weighting",
    "triplets_as_json",
    "understood_triplets",
    "vocabulary_name",
    "written_triplet",
]
