"""Which relation two boxes stand in, for boxes given by their centres. The rule itself stands in `rules.geneval`."""

from __future__ import annotations

from collections.abc import Sequence

from ..language import Relation
from .rules import geneval

Box = Sequence[float]
"""(centre x, centre y, width, height) in pixels, y downwards."""


def position_holds(subject: Box, relation: Relation, reference: Box) -> bool:
    """GenEval's rule: does ``subject`` stand in ``relation`` (one of the eight directions) to ``reference``?

    Raises:
        ValueError: if the relation has no direction in the plane.
    """
    offset = subject[0] - reference[0], subject[1] - reference[1]
    return geneval.stands(offset, (subject[2] + reference[2], subject[3] + reference[3]), relation)
