"""A check in words, line by line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .run import Check, Way


def check_lines(check: Check, classifier: str, settings: Sequence[str]) -> list[str]:
    """What was found, a statement a line. classifier: in words. settings: how to use it, from the host, a line each; they
    are left out where the model cannot be steered."""
    width, height = check.size
    lines = [
        f"{check.verdict.answer[0].upper()}{check.verdict.answer[1:]}. {check.verdict.why}",
        f"Model family {check.family}; {len(check.layers)} of its {check.of_all} attention layers read"
        + (f" ({_named(check.layers)})." if check.layers else "."),
        f"Classifier: {classifier}.",
        f"{len(check.prompts)} pictures of {width} x {height} pixels each way. {_cost(check)}",
    ]
    if check.steered is not None and check.figures is not None:
        f = check.figures
        lines += [
            f"Probability of the relation: {f.before:.2f} at the first reading, {f.after:.2f} at the last; "
            "behind the moves "
            f"at least 0.5 in {f.kept:.0%} of the pictures, plain {_held(check.plain):.0%}.",
            f"The words act as asked in {f.acts_steered:.0%} of the pictures, plain {f.acts_plain:.0%} "
            "(the subject leads by "
            f"{f.lead_steered:+.2f} of a side, plain {f.lead_plain:+.2f}). Two words share {f.alike:.0%} "
            "of their attention.",
            f"The moves of a latent add up to {max(check.steered.moved):.1f} rms at most; its spread at the end is "
            f"{f.spread:.2f} of the plain one.",
        ]
        if f.seen_steered is not None:
            lines.append(
                f"Judge: the relation in {f.seen_steered:.0%} of the steered pictures, plain {f.seen_plain or 0:.0%}; "
                f"both objects in {f.present_steered or 0:.0%}, plain {f.present_plain or 0:.0%}."
            )
    lines.append(check.verdict.advice)
    if check.verdict.answer in ("will obey", "may obey"):
        lines += settings
    return lines


def _held(way: Way) -> float:
    return float(np.mean([p >= 0.5 for p in way.probability]))


def _named(layers: Sequence[str], most: int = 6) -> str:
    more = f" and {len(layers) - most} more" if len(layers) > most else ""
    return ", ".join(layers[:most]) + more


def _cost(check: Check) -> str:
    memory = "" if check.memory is None else f"; {check.memory / 2**30:.1f} GiB of memory at the peak"
    plain, steered = check.plain, check.steered
    if steered is None:
        return f"{plain.calls} passes, {plain.seconds:.2f} s a picture{memory}."
    each = float(np.mean(steered.evaluations))
    return (
        f"Passes: {plain.calls} plain, {steered.calls} steered ({each:.1f} evaluations a picture); seconds a picture: "
        f"{plain.seconds:.2f} plain, {steered.seconds:.2f} steered{memory}."
    )
