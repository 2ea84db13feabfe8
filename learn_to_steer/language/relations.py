"""Spatial relations: their canonical names, opposites, directions and the phrases people write for them."""

import math
import re
from dataclasses import dataclass
from enum import Enum
from itertools import product

from ..errors import SteeringError


class Relation(str, Enum):
    """A spatial relation; the value is the canonical name and is what `str()` gives."""

    LEFT = "to the left of"
    RIGHT = "to the right of"
    ABOVE = "above"
    BELOW = "below"
    NEXT_TO = "next to"
    INSIDE = "inside"
    IN_FRONT_OF = "in front of"
    BEHIND = "behind"
    BETWEEN = "between"
    ABOVE_LEFT = "above-left of"
    ABOVE_RIGHT = "above-right of"
    BELOW_LEFT = "below-left of"
    BELOW_RIGHT = "below-right of"

    def __str__(self) -> str:
        return self.value

    @property
    def opposite(self) -> "Relation | None":
        """The relation r' for which (A, r, B) says the same as (B, r', A).

        `next to` and `between` are their own opposites. `inside` has none (None): no canonical relation
        says "contains".
        """
        return _OPPOSITES.get(self)

    @property
    def signs(self) -> tuple[int, int] | None:
        """Signs of `direction`, each -1, 0 or 1; None for relations that do not fix a direction."""
        return _DIRECTION_SIGNS.get(self)

    @property
    def direction(self) -> tuple[float, float] | None:
        """Unit vector (dx, dy) from object to subject in image coordinates (x to the right, y down).

        None for relations that do not fix a direction in the image plane.
        """
        signs = self.signs
        if signs is None:
            return None
        length = math.hypot(*signs)
        return signs[0] / length, signs[1] / length


_OPPOSITES = {
    Relation.LEFT: Relation.RIGHT,
    Relation.ABOVE: Relation.BELOW,
    Relation.IN_FRONT_OF: Relation.BEHIND,
    Relation.NEXT_TO: Relation.NEXT_TO,
    Relation.BETWEEN: Relation.BETWEEN,
    Relation.ABOVE_LEFT: Relation.BELOW_RIGHT,
    Relation.ABOVE_RIGHT: Relation.BELOW_LEFT,
}
_OPPOSITES |= {back: forth for forth, back in _OPPOSITES.items()}

_DIRECTION_SIGNS: dict[Relation, tuple[int, int]] = {
    Relation.LEFT: (-1, 0),
    Relation.RIGHT: (1, 0),
    Relation.ABOVE: (0, -1),
    Relation.BELOW: (0, 1),
    Relation.ABOVE_LEFT: (-1, -1),
    Relation.ABOVE_RIGHT: (1, -1),
    Relation.BELOW_LEFT: (-1, 1),
    Relation.BELOW_RIGHT: (1, 1),
}
_RELATION_OF_SIGNS = {signs: relation for relation, signs in _DIRECTION_SIGNS.items()}


def relation_of_offset(dx: float, dy: float) -> Relation | None:
    """The directional relation whose direction has the signs of (dx, dy), image coordinates (y down).

    Only the signs count: (-3, 0) is `to the left of`, (-3, -1) is `above-left of`; (0, 0) gives None.
    """
    return _RELATION_OF_SIGNS.get(((dx > 0) - (dx < 0), (dy > 0) - (dy < 0)))


def combine(first: Relation, second: Relation) -> Relation | None:
    """`above` and `to the left of` together are `above-left of`; None where two relations do not add up."""
    one, two = first.signs, second.signs
    if one is None or two is None or (one[0] * two[0] + one[1] * two[1]) != 0:
        return None
    return relation_of_offset(one[0] + two[0], one[1] + two[1])


# What stands for each corner or side of a thing, as word sequences.
SIDE_WORDS: dict[str, Relation] = {"left": Relation.LEFT, "right": Relation.RIGHT}
CORNER_WORDS: dict[str, Relation] = {
    f"{row} {column}": relation
    for row, column, relation in [
        *product(("upper", "top", "above"), ("left",), (Relation.ABOVE_LEFT,)),
        *product(("upper", "top", "above"), ("right",), (Relation.ABOVE_RIGHT,)),
        *product(("lower", "bottom", "below"), ("left",), (Relation.BELOW_LEFT,)),
        *product(("lower", "bottom", "below"), ("right",), (Relation.BELOW_RIGHT,)),
    ]
}

_FIXED_PHRASES: dict[Relation, tuple[str, ...]] = {
    Relation.LEFT: ("left to", "left from", "to the left from", "leftward of", "leftwards of",
                    "left side of", "left hand side of"),
    Relation.RIGHT: ("right to", "right from", "to the right from", "rightward of", "rightwards of",
                     "right side of", "right hand side of"),
    Relation.ABOVE: ("above", "above of", "over", "atop", "atop of", "on", "onto", "upon", "over top of",
                     "on top of", "on the top of", "on top side of", "on the top side of", "at the top of",
                     "at top of"),
    Relation.BELOW: ("below", "below of", "beneath", "under", "underneath", "underneath of", "on bottom of",
                     "on the bottom of", "on the bottom side of", "at the bottom of", "at bottom of",
                     "on the underside of"),
    Relation.NEXT_TO: ("next to", "near", "near to", "nearby", "beside", "close to", "adjacent to",
                       "alongside",
                       "alongside of", "in the vicinity of", "side by side with", "not far from",
                       *(f"{prep} side of" for prep in ("on", "by", "at", "to")),
                       *(f"{prep} the side of" for prep in ("on", "by", "at", "to"))),
    Relation.INSIDE: ("inside", "inside of", "in", "within", "in the inside of"),
    Relation.IN_FRONT_OF: ("in front of", "in the front of", "at the front of", "infront of"),
    Relation.BEHIND: ("behind", "behind of", "in back of", "in the back of", "at the back of", "to the rear of",
                      "at the rear of", "in the rear of", "behind the back of",
                      *(f"{verb} {by}" for verb in ("hidden", "obscured", "concealed", "occluded", "blocked",
                                                    "eclipsed", "masked", "screened")
                        for by in ("by", "from view by", "from sight by"))),
    Relation.BETWEEN: ("between", "in between"),
}  # fmt: skip


def _build_synonyms() -> dict[str, Relation]:
    phrases = {phrase: relation for relation, group in _FIXED_PHRASES.items() for phrase in group}
    heads = [f"{prep} {the}{degree}" for prep, the, degree in product(
        ("to", "on", "at", "in", "toward", "towards"), ("", "the "), ("", "immediate ", "far ", "direct "))]  # fmt: skip
    for words, relation in (SIDE_WORDS | CORNER_WORDS).items():
        phrases[f"{words} of"] = relation
        for head, tail in product(heads, ("", "side ", "hand side ", "hand ")):
            phrases[f"{head}{words} {tail}of"] = relation
    for row, column in product(("above", "below"), ("left", "right")):
        relation = CORNER_WORDS[f"{row} {column}"]
        phrases[f"to the {column} {row}"] = relation
        if column == "left":  # "right above" is "directly above"
            phrases[f"{column} {row}"] = relation
    return phrases


# Phrase as it stands in a prompt (lower case, words joined by one space) -> relation.
SYNONYMS: dict[str, Relation] = _build_synonyms()

# Names for a relation that are too ambiguous to be looked for in a prompt.
_SHORT_NAMES: dict[str, Relation] = {
    **SIDE_WORDS, **CORNER_WORDS, "top": Relation.ABOVE, "bottom": Relation.BELOW, "on top": Relation.ABOVE,
    "in front": Relation.IN_FRONT_OF, "front": Relation.IN_FRONT_OF, "next": Relation.NEXT_TO,
}  # fmt: skip


def canonical_relation(name: str) -> Relation:
    """The relation meant by a canonical name or a synonym.

    Case does not matter and `_`, `-` and spaces are the same: "left_of", "To the right of", "on-top-of".

    Raises:
        SteeringError: the name is not known; the message lists the canonical names.
    """
    key = " ".join(re.split(r"[\s_\-]+", str(name).lower().strip())).strip()
    relation = SYNONYMS.get(key) or _SHORT_NAMES.get(key)
    if relation is None:
        known = ", ".join(repr(r.value) for r in Relation)
        raise SteeringError(
            f"Expected the name of a spatial relation, got {name!r}: use one of {known} or a synonym."
        )
    return relation


def vocabulary_name(name: str) -> str:
    """The vocabulary's name for a relation; a name outside the vocabulary stands for itself."""
    try:
        return str(canonical_relation(name).value)
    except SteeringError:
        return name


@dataclass(frozen=True)
class RelationTriplet:
    """(subject, relation, object) as found in a prompt.

    Attributes:
        subject, object: the noun phrases without article, adjectives kept, in the prompt's own case.
        relation: the relation of the subject to the object.
        subject_span, object_span: character spans [start, end) of these phrases in the prompt.
        subject_noun, object_noun: character spans [start, end) of the nouns themselves: adjectives stripped,
            compounds ("fire hydrant") whole. The tokens of the noun are the ones that steer.
        doubt: why the relation is understood but not steered, in a few words; "" where it is certain.
    """

    subject: str
    relation: Relation
    object: str
    subject_span: tuple[int, int]
    object_span: tuple[int, int]
    subject_noun: tuple[int, int]
    object_noun: tuple[int, int]
    doubt: str = ""
