"""What a judge of the pictures says, in plain words: the verdict of a check that was given one.

The probability stands beside it. Where it rises and the pictures do not follow, the moves deceive the classifier. So does
what the model's attention says, where it is another thing: pictures of a spoilt attention can come right by chance, and a
judge can miss what is there.
"""

from __future__ import annotations

from dataclasses import replace

from .verdict import MANY, MOST, PLAINLY, Figures, Verdict, advice, attends, noise

FEWER = 0.25
"""Share of the pictures, two of eight, from which more or fewer of them are more than chance would lightly do."""


def verdict_of_judge(figures: Figures) -> Verdict:
    """The first of these that is true: the model draws noise; the judge misses the objects, with steering or without; the
    relation is seen in most steered pictures, in more than plainly, or not at all. The figures hold a judge's.

    The answer rests on the pictures alone. Attention that does not read like that of a model that places objects is said
    beside it, whatever the answer, and one that does where the pictures do not follow.
    """
    if (drawn := noise(figures)) is not None:
        return drawn
    seen, reads = _seen(figures), attends(figures)
    if reads is False:
        why = f"{seen.why} Its attention does not read like that of a model that places objects {_acting(figures)}."
        more = "" if seen.answer == "will not obey" else f" {LOOK}"
        return replace(seen, why=why, advice=seen.advice + more)
    if reads and seen.answer == "will not obey":
        why = f"{seen.why} Its attention reads like that of a model that places objects {_acting(figures)}."
        return replace(seen, why=why, advice=f"{seen.advice} {MISSES}")
    return seen


LOOK = "If this model was merged or patched, look at its attention and its text encoder."
MISSES = "Look at the sheet first: perhaps the judge does not know what stands there."


def _acting(f: Figures) -> str:
    """What `verdict.attends` rests on."""
    return (
        f"(by bounds that were set on EmojiWorld): two words share {f.alike:.0%} of it, and act where they were asked to "
        f"in {f.acts_steered:.0%} of the steered pictures (plain {f.acts_plain:.0%})"
    )


def _seen(figures: Figures) -> Verdict:
    f = figures
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
