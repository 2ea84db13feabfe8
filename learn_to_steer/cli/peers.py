"""Settings of `evaluate` beside the plans: further goals, first noises, and what others do for the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation.bench import Setting
    from ..objectives import Objective

PEERS = (
    "attention",
    "attention-apart",
    "hard-boxes",
    "both",
    "thorough",
    "presence",
    "separation",
    "single",
    "goals",
    "seeds-4",
    "seeds-8",
    "seeds-4-fast",
    "best-of-4",
    "prompt-twice",
    "attend-and-excite",
    "rtd",
)
"""attention: attention guidance alone, without a gradient; attention-apart: with a place for things that are only named;
hard-boxes: the same places as hard masks of the attention; both: the gradient behind guidance; thorough: more of it.
presence, separation, single: "fast" with this further goal; goals: with all three. seeds-N: the best of N first noises,
drawn plainly or by "fast". best-of-4: the best of four whole pictures, as the classifier reads them. attend-and-excite,
rtd: these losses in the loop of "fast"."""


def peer(name: str, learned: Objective, layers: Sequence[str] | None) -> Setting:
    """The setting of this name. learned: the objective of relations; losses without one read these layers (None: all)."""
    from ..evaluation.bench import Setting
    from ..guidance import GuidancePlan, plan_for
    from ..objectives import AttendAndExciteObjective, CombinedObjective, RtdObjective
    from ..steering import SteeringPlan

    fast = SteeringPlan.preset("fast")
    chosen = tuple(layers) if layers is not None else None
    if name == "attention":
        return Setting(name, None, None, method="attention", guidance=GuidancePlan.preset(name))
    if name == "attention-apart":
        apart = CombinedObjective(learned, ("relation", "separation"))
        return Setting(name, apart, None, method="attention", guidance=GuidancePlan.preset("attention"))
    if name == "hard-boxes":
        # So many standard deviations of the logits leave nothing of a word outside its box.
        masks = GuidancePlan.preset("attention", hard=True, strength=30.0, background=0.0, end=0.4)
        return Setting(name, None, None, method="attention", guidance=masks)
    if name in ("both", "thorough"):
        plan = plan_for("fast" if name == "both" else name, "both")
        return Setting(name, learned, plan, method="both", guidance=GuidancePlan.preset("both"))
    if name == "prompt-twice":
        return Setting(name, None, None, repeat=True)
    if name == "attend-and-excite":
        return Setting(name, AttendAndExciteObjective(chosen), SteeringPlan.preset("fast", reached=1.0))
    if name == "rtd":
        # The first noise alone is moved: of the steps that are steered, each thousandth.
        return Setting(name, RtdObjective(chosen), SteeringPlan.preset("fast", every=1000, reached=None))
    if name == "best-of-4":
        # Read off the pictures' own passes, at no further cost, as late as the classifier knows.
        return Setting(name, learned, SteeringPlan.preset("fast", budget=0, end=1.0), best_of=4)
    if name.startswith("seeds-"):
        count, *moved = name.removeprefix("seeds-").split("-")
        plan = fast if moved else SteeringPlan.preset("fast", strength=0.0)
        return Setting(name, learned, plan, seeds_tried=int(count))
    goals = ("presence", "separation", "single") if name == "goals" else (name,)
    return Setting(name, CombinedObjective(learned, ("relation", *goals)), fast)  # type: ignore[arg-type]
