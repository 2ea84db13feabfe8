"""What the figures of a check say in plain words: can this model be expected to obey, and how should it be used?

The bounds were set on two trained models (EmojiWorld's UNet and its MMDiT), on the same models with permuted keys, permuted
values and permuted text tokens, and on random weights. Attention shared by two words: 0.3 to 0.5 trained, 0.5 to 0.98
spoilt. Lead of the words in the asked direction, steered: 0.27 to 0.33 trained, at most 0.15 spoilt. No downloaded
checkpoint was at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Answer = Literal["will obey", "may obey", "will not obey", "cannot be read"]

NOISE = 0.1
"""Likeness of neighbouring places of a finished latent, under which it is noise: trained models 0.2 and more, random
weights 0.03 and less."""

ALIKE = 0.7
"""Attention that two different words share, from which the maps hardly tell words apart."""

DOUBTFUL = 0.9
"""... and from which they are doubted even where the words follow."""

LEAD = 0.1
"""How far, in sides of the picture, the subject must act from the object for a picture to count."""

SURE_LEAD = 0.2
"""The same, of the mean over all pictures less its standard error."""

MOST = 0.75
"""Of the pictures: so many must count."""

MANY = 0.5
"""... and from so many on, if more than before, steering helps."""

SPREAD = (0.8, 1.25)
"""Spread of the finished latent, steered to plain, in which pictures are as usual."""

PLAINLY = "Use this model plainly (strength 0)"


@dataclass(frozen=True)
class Figures:
    """What was measured over all pictures.

    texture: likeness of neighbouring places of the finished latents (plain), see `acting.texture`. alike: attention
    that the two words share (plain). before, after: mean probability of the relation at the first and at the last
    reading of steering. kept: share of pictures read as right later on, at a pass without moves. acts_plain,
    acts_steered: share of the pictures in which the words act as asked. lead_plain, lead_steered: how far, and
    lead_sure less its standard error, in sides of the picture. spread: of the finished latents, steered to plain.
    seen_plain, seen_steered: share in which a judge sees the relation, present_plain, present_steered: both objects; None
    without one.
    """

    texture: float
    alike: float
    before: float
    after: float
    kept: float
    acts_plain: float
    acts_steered: float
    lead_plain: float
    lead_steered: float
    lead_sure: float
    spread: float
    seen_plain: float | None = None
    seen_steered: float | None = None
    present_plain: float | None = None
    present_steered: float | None = None


@dataclass(frozen=True)
class Verdict:
    """answer: in two words. why: the figures it rests on, in a sentence - two where the pictures and the model's attention
    say different things. advice: what to use, likewise."""

    answer: Answer
    why: str
    advice: str


def unreadable(reason: str) -> Verdict:
    """The verdict on a model whose attention cannot be read. reason: a sentence."""
    return Verdict(
        "cannot be read",
        f"This model's attention cannot be read, so nothing can be steered in it: {reason}",
        "Use it plainly, or steer another model.",
    )


def noise(figures: Figures) -> Verdict | None:
    """The verdict on a model that draws noise; None for one that draws pictures."""
    f = figures
    if f.texture >= NOISE:
        return None
    return Verdict(
        "will not obey",
        f"Its pictures are noise (neighbouring places of a finished latent are alike by {f.texture:.2f}), as of a model "
        f"that was never trained; that the moves bring the probability from {f.before:.2f} to {f.after:.2f} says nothing.",
        f"{PLAINLY}, and see that its weights are whole.",
    )


def verdict(figures: Figures) -> Verdict:
    """The first of these that is true: the model draws noise, the words do not follow the moves - because the maps do not
    tell words apart, or although they do -, what was reached is lost again, the maps or a judge raise doubts; else the
    model will obey."""
    f = figures
    if (drawn := noise(f)) is not None:
        return drawn
    follows, helped = _follows(f), _helped(f)
    if not follows and f.alike >= ALIKE:
        return Verdict(
            "will not obey",
            f"The maps of two different words are nearly the same (they share {f.alike:.0%}), so what is "
            "read at a word does "
            f"not belong to it: the moves bring the probability from {f.before:.2f} to {f.after:.2f}, and "
            "the words act where "
            f"they were asked to in only {f.acts_steered:.0%} of the steered pictures (plain {f.acts_plain:.0%}).",
            f"{PLAINLY}; if it was merged or patched, look at its attention and its text encoder.",
        )
    if not follows and not helped:
        return Verdict(
            "will not obey",
            f"The classifier is pleased (probability {f.before:.2f} before the moves, {f.after:.2f} after), but the words "
            f"act where they were asked to in only {f.acts_steered:.0%} of the steered pictures (plain "
            f"{f.acts_plain:.0%}): "
            "the moves deceive the classifier and do not place the objects.",
            f"{PLAINLY}, or train a classifier for it.",
        )
    if not follows:
        return Verdict(
            "may obey",
            f"The words act where they were asked to in {f.acts_steered:.0%} of the steered pictures, plain "
            f"{f.acts_plain:.0%}: it helps, and less than it should.",
            "Try it with a classifier trained for this model, and look at the sheet before you rely on it.",
        )
    if f.kept < MOST:
        return Verdict(
            "may obey",
            f"The relations are read right after the moves, and later on in only {f.kept:.0%} of the "
            "pictures: they slip back.",
            "Steer for longer (plan custom, end 0.6), or with a classifier trained for this model.",
        )
    if f.alike >= DOUBTFUL:
        return Verdict(
            "may obey",
            f"The words act where they were asked to in {f.acts_steered:.0%} of the pictures (plain "
            f"{f.acts_plain:.0%}), but "
            f"the maps of two different words share {f.alike:.0%} of their attention, more than in any "
            "model that was seen to "
            "obey.",
            "Look at the sheet before you rely on it, and read fewer layers (Steering Options).",
        )
    if f.seen_steered is not None and f.seen_steered < MOST and f.seen_steered < (f.seen_plain or 0.0) + 0.25:
        return Verdict(
            "may obey",
            f"Its attention says that the objects stand as asked, but the judge sees it in only {f.seen_steered:.0%} of "
            f"the steered pictures (plain {f.seen_plain or 0.0:.0%}).",
            "Look at the sheet: either the objects are missing, or the judge does not know them.",
        )
    seen = f", and the judge agrees ({f.seen_steered:.0%})" if f.seen_steered is not None else ""
    return Verdict(
        "will obey",
        f"Its maps tell words apart (they share {f.alike:.0%}), and after the moves the words act where "
        "they were asked to in "
        f"{f.acts_steered:.0%} of the pictures (plain {f.acts_plain:.0%}){seen}.",
        advice(f),
    )


def attends(figures: Figures) -> bool | None:
    """Whether a model attends like one that places objects where it is asked to, whatever its pictures show: True, False
    where its words do not follow the moves or its maps hardly tell two words apart; None for what is neither."""
    f = figures
    if f.alike >= DOUBTFUL or not (_follows(f) or (_helped(f) and f.alike < ALIKE)):
        return False
    return True if _follows(f) and f.kept >= MOST else None


def _follows(f: Figures) -> bool:
    """The words act as asked, in most pictures and clearly."""
    return f.acts_steered >= MOST and f.lead_sure >= SURE_LEAD


def _helped(f: Figures) -> bool:
    """... in many, and in more than plainly."""
    return f.acts_steered >= MANY and f.acts_steered >= f.acts_plain + 0.25 and f.lead_sure >= LEAD


def advice(f: Figures) -> str:
    """How to use a model that will obey."""
    if not SPREAD[0] <= f.spread <= SPREAD[1]:
        return (
            f"Use strength 0.5: the moves change the latent's spread to {f.spread:.2f} of the plain one, and pictures may "
            "suffer."
        )
    return "Use the settings below as they are."
