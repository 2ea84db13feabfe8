"""The rules by which published suites judge a picture: pure functions of boxes or masks, scores and names.

Each rule is a module with ``judges(relation)``, whether it has a say on a relation, and ``judge(detections,
demand)``, its verdict on a picture. What the sources leave open is the same in all of them: an object that is not
found makes its relations false, with score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...errors import SteeringError
from ...language import Relation
from ..detections import Demand, Detection, Verdict
from . import geneval, pse, t2i_compbench, visor


class Rule(Protocol):
    """What the modules of this room offer."""

    def judges(self, relation: Relation) -> bool:
        """Whether the rule has a say on this relation."""

    def judge(self, detections: Sequence[Detection], demand: Demand) -> Verdict:
        """The verdict on a picture in which these objects were found."""


RULES: dict[str, Rule] = {
    "geneval": geneval,
    "t2i-compbench": t2i_compbench,
    "visor": visor,
    "pse": pse,
}
"""By the names of the command line."""


def rule_named(name: str) -> Rule:
    """Raises SteeringError for a rule that is not known."""
    if name not in RULES:
        raise SteeringError(f"Expected a rule among {', '.join(RULES)}, got {name!r}; choose one of them.")
    return RULES[name]
