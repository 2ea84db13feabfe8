"""Text only: which relations a prompt states, and where its words are. Nothing here needs torch."""

from .consistency import contradiction
from .implied import implied_relations
from .markup import strip_weighting
from .mentions import find_words
from .objects import NamedObject
from .parse import MAX_RELATIONS, Understanding, parse_relations, read_prompt, triplets_as_json
from .relations import Relation, RelationTriplet, canonical_relation, vocabulary_name
from .triplets import Triplet, understandings, understood_triplets, written_triplet

__all__ = [
    "MAX_RELATIONS",
    "NamedObject",
    "Relation",
    "RelationTriplet",
    "Triplet",
    "Understanding",
    "canonical_relation",
    "contradiction",
    "find_words",
    "implied_relations",
    "parse_relations",
    "read_prompt",
    "strip_weighting",
    "triplets_as_json",
    "understandings",
    "understood_triplets",
    "vocabulary_name",
    "written_triplet",
]
