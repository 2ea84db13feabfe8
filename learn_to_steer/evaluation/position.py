"""Position rules: which relation two boxes stand in. Pure functions: no model, no picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..language import Relation

Box = Sequence[float]
"""(centre x, centre y, width, height); any unit, y downwards."""


GENEVAL_SHRINK = 0.1


GENEVAL_MIN_COMPONENT = 0.5


def position_holds(subject: Box, relation: Relation, reference: Box) -> bool:
    """GenEval's rule: does ``subject`` stand in ``relation`` (one of the four directions) to ``reference``?

    The offset of the centres is shrunk towards zero by 0.1 of the summed dimensions on each axis; what is left is
    normalised, and its component along the relation's direction must exceed 0.5 (Ghosh et al. 2023, GenEval).

    Raises:
        ValueError: if the relation has no direction in the plane.
    """
    if relation.direction is None:
        raise ValueError(f"GenEval's rule judges directions, not '{relation.value}'.")
    offset = []
    for axis in (0, 1):
        delta = subject[axis] - reference[axis]
        slack = GENEVAL_SHRINK * (subject[axis + 2] + reference[axis + 2])
        offset.append(math.copysign(max(abs(delta) - slack, 0.0), delta))
    norm = math.hypot(*offset)
    if norm < 1e-3:
        return False
    dx, dy = relation.direction
    # A diagonal has both components: each must hold on its own axis.
    return all(
        component * offset[axis] / norm > GENEVAL_MIN_COMPONENT * abs(component)
        for axis, component in enumerate((dx, dy))
        if component
    )
