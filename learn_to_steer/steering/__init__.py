"""When to evaluate, how far to move, when to stop: the plan, the step rules, the loop, and the trace of what happened."""

from .loop import Evaluate, steer, watch
from .plan import SteeringPlan
from .trace import Record, SteeringTrace

__all__ = ["Evaluate", "Record", "SteeringPlan", "SteeringTrace", "watch", "steer"]
