"""What "right" means: an objective turns maps into a loss and a probability for each target."""

from .base import Objective, Reading, RelationTarget, StepInfo, last_share, lowest_sigma
from .centroid import CentroidObjective, centroids
from .learned import LearnedObjective

__all__ = [
    "CentroidObjective",
    "LearnedObjective",
    "Objective",
    "Reading",
    "RelationTarget",
    "StepInfo",
    "centroids",
    "last_share",
    "lowest_sigma",
]
