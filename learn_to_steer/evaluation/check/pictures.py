"""What a judge of the pictures says, in plain words: the verdict of a check that was given one.

The probability stands beside it. Where it rises and the pictures do not follow, the moves deceive the classifier.
"""

from __future__ import annotations

from .verdict import MANY, MOST, PLAINLY, Figures, Verdict, advice, noise

FEWER = 0.25
"""Share of the pictures, two of eight, from which more or fewer of them are more than chance would lightly do."""


def verdict_of_judge(figures: Figures) -> Verdict:
    """The first of these that is true: the model draws noise; the judge misses the objects, with steering or without; the
    relation is seen in most steered pictures, in more than plainly, or not at all. The figures hold a judge's."""
    f = figures
    if (drawn := noise(f)) is not None:
        return drawn
    seen, seen_plain = f.seen_steered or 0.0, f.seen_plain or 0.0
    present, present_plain = f.present_steered or 0.0, f.present_plain or 0.0
    pictures = (
        f"the relation in {seen:.0%} of the steered pictures (plain {seen_plain:.0%}) and both objects in {present:.0%} "
        f"(plain {present_plain:.0%})"
    )
    read = f"the probability goes from {f.before:.2f} to {f.after:.2f}"
    if present_plain < MANY and present < MANY:
        return Verdict(
            "may obey",
            f"The judge sees both objects in too few pictures to tell: {pictures}; {read}.",
            "Look at the sheet: either choose prompts about what this model draws, or a judge that knows these objects.",
        )
    if present <= present_plain - FEWER:
        return Verdict(
            "may obey",
            f"Steering loses objects: the judge sees {pictures}; {read}.",
            "Use strength 0.5, and check again before you rely on it.",
        )
    if seen >= MOST and seen >= seen_plain:
        return Verdict("will obey", f"The judge sees {pictures}; {read}.", advice(f))
    if seen >= seen_plain + FEWER:
        return Verdict(
            "may obey",
            f"It helps, and less than it should: the judge sees {pictures}; {read}.",
            "Try it with a classifier trained for this model, and look at the sheet before you rely on it.",
        )
    if f.after >= 0.5 and f.after > f.before:
        return Verdict(
            "will not obey",
            f"The classifier is pleased and the pictures are not: {read}, but the judge sees {pictures}.",
            f"{PLAINLY}, or train a classifier for it.",
        )
    return Verdict(
        "will not obey",
        f"Neither the reading nor the pictures follow the moves: {read}, and the judge sees {pictures}.",
        f"{PLAINLY}, or train a classifier for it.",
    )
