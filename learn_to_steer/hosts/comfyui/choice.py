"""What a user chooses for a steered run: the method and the plans."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import SteeringError
from ...guidance import GuidancePlan, Method
from ...objectives import CentroidObjective, Goal, Objective, with_goals
from ...steering import SteeringPlan
from .guide.layout import RelationLayout
from .log import SteeringLog
from .prompt.relations import PromptRelations
from .run import Steering


@dataclass(frozen=True)
class Choice:
    """plan: of the moves; its strength counts with every method. method, guidance: see `Steering`. goals: what the moves
    are for, of `objectives.GOALS`."""

    plan: SteeringPlan = field(default_factory=lambda: SteeringPlan.preset("fast"))
    method: Method = "gradient"
    guidance: GuidancePlan = field(default_factory=GuidancePlan)
    goals: tuple[Goal, ...] = ("relation",)


def steering_of(
    choice: Choice | None,
    relations: PromptRelations,
    objective: Objective | None,
    layout: RelationLayout | None,
    log: SteeringLog,
) -> Steering:
    """The steering that a user has asked for. choice: None = the usual one. objective: None = no classifier is connected.

    Raises SteeringError where the latent is to be moved and no classifier says where to.
    """
    choice = choice or Choice()
    if objective is None and choice.method != "attention":
        raise SteeringError(
            f'Expected a classifier for the method "{choice.method}", got none; connect Load Relation Classifier, or '
            'choose the method "attention" in Steering Options, which needs none.'
        )
    objective = objective or CentroidObjective()
    return Steering(
        relations,
        objective if choice.goals == ("relation",) else with_goals(objective, choice.goals),
        choice.plan,
        log,
        method=choice.method,
        guidance=choice.guidance,
        layout=layout,
    )
