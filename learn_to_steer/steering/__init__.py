"""When to evaluate, how far to move, when to stop: the plan, the step rules, the loop, and the trace of what happened."""

from .first_noises import MOST, best_of, checked_count, scored, scores, scoring_targets, seed_of
from .loop import Evaluate, SteeringLoop, watch
from .plan import SteeringPlan
from .schedule import coarse, steered_steps
from .trace import FirstNoise, Record, SteeringTrace

__all__ = [
    "MOST",
    "Evaluate",
    "FirstNoise",
    "Record",
    "SteeringLoop",
    "SteeringPlan",
    "SteeringTrace",
    "best_of",
    "checked_count",
    "coarse",
    "scored",
    "scores",
    "scoring_targets",
    "seed_of",
    "steered_steps",
    "watch",
]
