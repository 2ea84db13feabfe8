"""What `generate` says in words of one plain and one steered picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..language import RelationTriplet, Understanding
from .models import ModelFolder, nouns

if TYPE_CHECKING:
    from ..hosts.diffusers import SteeredOutput
    from ..hosts.targets import LeftOut
    from ..steering import SteeringPlan, SteeringTrace


@dataclass(frozen=True)
class Timed:
    """A `SteeredOutput` and the seconds it took."""

    output: SteeredOutput
    seconds: float


def judged(
    prompt: str, triplets: Sequence[RelationTriplet], model: ModelFolder, pictures: list[Any]
) -> list[list[tuple[str, bool]]]:
    """Per picture, (relation in words, whether EmojiWorld's judge sees it); nothing for another model, and
    nothing for relations that are no directions. Of duplicates the most confident one counts."""
    directions = [t for t in triplets if t.relation.direction is not None]
    if not model.is_emojiworld or not directions:
        return [[] for _ in pictures]
    import numpy as np

    from ..emojiworld.judge import EmojiWorldDetector
    from ..evaluation.detections import Asked, Demand, Thing
    from ..evaluation.rules import geneval

    def asked(triplet: RelationTriplet) -> Asked:
        subject, other = nouns(prompt, triplet)
        return Asked(Thing(triplet.subject, subject), triplet.relation, Thing(triplet.object, other))

    demand = Demand(tuple(asked(t) for t in directions))
    found = EmojiWorldDetector(model.path).detect(np.stack([np.asarray(p) for p in pictures]))
    return [
        [
            (_words(t), verdict.holds)
            for t, verdict in zip(directions, geneval.judge(objects, demand).relations, strict=True)
        ]
        for objects in found
    ]


def _words(triplet: RelationTriplet, joint: str = " ") -> str:
    return joint.join(" ".join(part.split()) for part in (triplet.subject, triplet.relation, triplet.object))


def understood_lines(
    understanding: Understanding,
    wanted: Sequence[RelationTriplet],
    lost: Sequence[LeftOut],
    strength: float,
    trace: SteeringTrace,
) -> list[str]:
    """What the prompt was understood to say, and what of it was not steered and why. wanted: the relations that the
    objective knows; lost: those left out, with the reason."""
    triplets = understanding.relations
    doubtful = [f'Not steered: "{_words(t, " | ")}" is doubtful: {t.doubt}' for t in understanding.doubtful]
    if doubtful:
        doubtful.append("To steer a doubtful relation, give it with --triplet.")
    rest = doubtful + ([understanding.note] if understanding.note else [])
    if not triplets and trace.labels[0]:
        names = ", ".join(" ".join(thing.text.split()) for thing in understanding.objects)
        return [f"Understood: no spatial relation, but these things: {names}", *rest]
    if not triplets:
        none = "Understood: no spatial relation, so nothing was steered and both pictures are the same."
        return [none, *rest]
    lines = ["Understood: " + ", ".join(_words(t, " | ") for t in triplets)]
    elsewhere = [one.triplet for one in lost]
    if unknown := [_words(t) for t in triplets if t not in wanted and t not in elsewhere]:
        lines.append(f"Not steered, because the objective does not know the relation: {', '.join(unknown)}")
    lines += [f"Not steered: {_words(one.triplet)}. {one.reason}" for one in lost]
    if strength == 0 and not trace.first_noises or not trace.labels[0] and trace.guidance is None:
        why = "Strength 0" if strength == 0 else "No relation is left"
        lines.append(f"{why}: nothing was steered and both pictures are the same.")
    return lines + rest


def spent_lines(plain: Timed, steered: Timed) -> list[str]:
    """Evaluations, model calls and seconds, beside those of the plain picture."""
    count, calls = steered.output.trace.evaluations[0], steered.output.model_calls
    if not count:
        return [f"Spent: no evaluation, {calls} model calls, {steered.seconds:.2f} s"]
    return [
        f"Spent: {count} evaluation{'s' if count > 1 else ''}, "
        f"{calls} model calls instead of {plain.output.model_calls}, "
        f"{steered.seconds:.2f} s instead of {plain.seconds:.2f} s "
        f"({steered.seconds / plain.seconds:.2f} times the plain cost)"
    ]


def reached_lines(trace: SteeringTrace, plan: SteeringPlan) -> list[str]:
    """The probability of each relation at its first and at its last evaluation."""
    records = trace.image(0)
    if not records:
        return []
    first: dict[int, Any] = {}
    last: dict[int, Any] = {}
    for record in records:
        first.setdefault(record.relation, record)
        last[record.relation] = record
    goal = f"wanted {plan.reached:g}" if plan.reached is not None else f"wanted loss {plan.stop_loss:g}"
    changes = (f"{r.label} {first[i].probability:.2f} to {r.probability:.2f}" for i, r in last.items())
    return [f"Probability, first and last evaluation ({goal}): {', '.join(changes)}"]


def holding_lines(panels: Sequence[Any]) -> list[str]:
    """How many relations the judge sees in each picture; nothing where it judged none."""
    if not panels[0].verdicts:
        return []
    seen = (
        f"{panel.title.lower()} {sum(holds for _, holds in panel.verdicts)} of {len(panel.verdicts)}"
        for panel in panels
    )
    return [f"Relations that the independent judge sees: {', '.join(seen)}"]
