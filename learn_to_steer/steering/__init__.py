"""When to evaluate, how far to move, when to stop: the plan, the step rules, the loop, and the trace of what happened."""

from .loop import Evaluate, SteeringLoop, watch
from .plan import SteeringPlan
from .schedule import steered_steps
from .trace import Record, SteeringTrace

__all__ = ["Evaluate", "Record", "SteeringPlan", "SteeringTrace", "SteeringLoop", "steered_steps", "watch"]
