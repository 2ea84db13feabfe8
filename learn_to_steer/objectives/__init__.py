"""What "right" means: an objective turns maps into a loss and a probability for each target."""

from .base import Objective, Reading, StepInfo, goals_of, last_share, lowest_sigma
from .centroid import CentroidObjective, centroids
from .combined import CombinedObjective, Gate, checked_goals, learned_part, with_goals
from .learned import LearnedObjective
from .peers import AttendAndExciteObjective, RtdObjective
from .presence import PresenceObjective
from .separation import SeparationObjective
from .single import SingleObjective
from .targets import (
    GOALS,
    Goal,
    PresenceTarget,
    RelationTarget,
    SeparationTarget,
    SingleTarget,
    Target,
)

__all__ = [
    "GOALS",
    "AttendAndExciteObjective",
    "CentroidObjective",
    "CombinedObjective",
    "Gate",
    "Goal",
    "LearnedObjective",
    "Objective",
    "PresenceObjective",
    "PresenceTarget",
    "Reading",
    "RelationTarget",
    "RtdObjective",
    "SeparationObjective",
    "SeparationTarget",
    "SingleObjective",
    "SingleTarget",
    "StepInfo",
    "Target",
    "centroids",
    "checked_goals",
    "goals_of",
    "last_share",
    "learned_part",
    "lowest_sigma",
    "with_goals",
]
