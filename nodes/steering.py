"""Steering Options, and Apply Relation Steering: a MODEL that steers itself in any sampler."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..learn_to_steer.guidance import METHODS, GuidancePlan, plan_for
from ..learn_to_steer.hosts.comfyui.choice import Choice, steering_of
from ..learn_to_steer.hosts.comfyui.log import SteeringLog
from ..learn_to_steer.hosts.comfyui.steer import steered_model
from ..learn_to_steer.steering import SteeringPlan
from .compat import aliases
from .types import ADVANCED, CATEGORY, CLASSIFIER, LAYOUT, MODELS, OPTIONS, RELATIONS, TRACE

GOALS = (
    "relation",
    "relation, separation",
    "relation, presence",
    "relation, presence, separation",
    "relation, implied, presence, separation, single",
)
"""Goals that the node offers, as `objectives.GOALS` names them."""


class SteeringOptions(io.ComfyNode):
    """Widgets -> plan."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteeringOptions",
            **aliases("steering plan", "strength", "layout"),
            display_name="Steering Options",
            category=CATEGORY,
            description='When, how often and how far to steer. Without this node the plan "fast" is used. "plan", "strength", '
            '"method" and "goals" always count; the other settings only where the plan is "custom".',
            inputs=[
                io.Combo.Input("plan", options=["fast", "thorough", "paper", "paper-schnell", "custom"], default="fast", tooltip='"fast": up to three evaluations at a step of the first 40% of the schedule, where a relation does not hold yet. "thorough": for prompts of several relations, with the method "both": up to four behind the guidance of attention, where "fast" has two. "paper": as published, up to 16 at each step of the first half. "paper-schnell": the same in the first quarter. "custom": the settings below; with the other plans they do nothing.'),
                io.Float.Input("strength", default=1.0, min=0.0, max=10.0, step=0.05, tooltip="Counts with every plan: multiplies every move, and the bias of the methods with attention; 0 switches steering off, bit for bit."),
                io.Float.Input("start", default=0.0, min=0.0, max=1.0, step=0.01, tooltip="Custom: where steering starts, as a share of the model's own schedule (as start and end percent of other nodes). A second pass at low noise lies beyond the end and stays plain.", **ADVANCED),
                io.Float.Input("end", default=0.4, min=0.0, max=1.0, step=0.01, tooltip="Custom: where steering ends, as a share of the model's own schedule.", **ADVANCED),
                io.Int.Input("every", default=1, min=1, max=100, tooltip="Custom: steer each n-th of these steps.", **ADVANCED),
                io.Int.Input("evaluations_per_step", default=3, min=1, max=64, tooltip="Custom: at most so many evaluations (a forward and a backward pass each) at one step.", **ADVANCED),
                io.Int.Input("budget", default=0, min=0, max=10000, tooltip="Custom: at most so many evaluations in all, per picture; 0: no limit.", **ADVANCED),
                io.Combo.Input("step_rule", options=["rms", "relative", "gradient"], default="rms", tooltip='Custom. "rms": lengths in units of the latent\'s rms per element, which mean the same at every size of the picture. "gradient": a factor on the plain gradient, as published. "relative": a fraction of the latent\'s own size, the longer the larger the picture; for old graphs.', **ADVANCED),
                io.Float.Input("step_size", default=5.0, min=0.0, max=1000.0, step=0.01, tooltip="Custom: of the step rule: units of rms (2 to 8), the factor (5 to 7.5), or the fraction (0.02 at 512 pixels, 0.15 at 128).", **ADVANCED),
                io.Float.Input("reached", default=0.98, min=0.01, max=1.0, step=0.01, tooltip="Custom: a relation of this probability counts as reached, and its picture is left alone for this step.", **ADVANCED),
                io.Combo.Input("combine", options=["sum", "round_robin"], default="sum", tooltip="Custom, for several relations: all together, or one after the other.", **ADVANCED),
                io.String.Input("layers", default="", optional=True, tooltip='Custom: names of attention layers to read, such as "mid.0, up.1.0", separated by commas; empty: the classifier\'s own. Only for classifiers that take any layers.', **ADVANCED),
                io.Combo.Input("method", options=list(METHODS), default="gradient", optional=True, tooltip='"gradient": moves of the latent, after the plan above. "attention": no gradient and no further pass: the places of the objects are solved from the relations and written into the model\'s attention in the first steps; works for quantised and compiled models, and without a classifier. "both": attention first, few moves where a relation still does not hold.'),
                io.Combo.Input("goals", options=list(GOALS), default="relation", optional=True, tooltip='Counts with every plan: what the moves are for. "separation": the named objects do not lie on each other, which keeps objects from fusing where a prompt states several relations. "presence": each named object has a place of its own. "implied": A above B and B above C, so A above C. "single": no object twice. The last three also steer a prompt without a relation, such as "a cat and a dog".'),
            ],
            outputs=[OPTIONS.Output("options", display_name="options", tooltip="For Apply Relation Steering and the steering samplers.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        plan: str,
        strength: float,
        layers: str = "",
        budget: int = 0,
        method: Any = "gradient",
        goals: str = "relation",
        **custom: Any,
    ) -> io.NodeOutput:
        if plan == "custom":
            names = tuple(name.strip() for name in (layers or "").split(",") if name.strip())
            chosen = SteeringPlan(strength=strength, layers=names or None, budget=budget or None, **custom)
        else:
            chosen = plan_for(plan, method, strength=strength)
        guidance = GuidancePlan() if method == "gradient" else GuidancePlan.preset(method)
        wanted: Any = tuple(goals.split(", "))
        return io.NodeOutput(Choice(chosen, method, guidance, wanted))


class ApplyRelationSteering(io.ComfyNode):
    """MODEL -> MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_ApplyRelationSteering",
            **aliases("left right", "regional", "layout", "attend and excite", "learn to steer", "position"),
            display_name="Apply Relation Steering",
            category=CATEGORY,
            description="A model that steers itself towards the prompt's relations in whatever sampler node it is used. Without a "
            "relation it is the model itself. One after another they join their relations.",
            inputs=[
                io.Model.Input("model", tooltip=MODELS),
                RELATIONS.Input("relations", tooltip="From Relation Prompt, whose conditioning must be the sampler's positive one, or part of it."),
                CLASSIFIER.Input("classifier", optional=True, tooltip='From Load Relation Classifier: the universal one, or one made for this model. The method "attention" goes without.'),
                OPTIONS.Input("options", optional=True, tooltip='From Steering Options; without it the plan "fast".'),
                LAYOUT.Input("layout", optional=True, tooltip="From Relation Layout: places of objects by hand, for the methods with attention. Without it they are solved from the relations."),
            ],
            outputs=[
                io.Model.Output("steered_model", display_name="MODEL", tooltip="The steered model; the one that came in is not changed."),
                TRACE.Output("trace", display_name="trace", tooltip="What steering did, filled while a sampler runs; for Steering Report."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, relations: Any, classifier: Any = None, options: Any = None, layout: Any = None
    ) -> io.NodeOutput:
        log = SteeringLog()
        return io.NodeOutput(
            steered_model(model, steering_of(options, relations, classifier, layout, log)), log
        )


NODES: list[type[io.ComfyNode]] = [SteeringOptions, ApplyRelationSteering]
