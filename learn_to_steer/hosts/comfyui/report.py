"""The runs that made a picture, in words and as records to plot."""

from __future__ import annotations

from collections.abc import Sequence

from ...guidance import Layout
from ...steering import Record, SteeringTrace
from .log import SampledRun, merged

_ROUTINE = ("", "reached", "watched")
"""Notes of a record that the plot shows anyway."""

_NO_ROWS = "no pass of the model at the guided steps had rows that were surely this prompt's."


def in_words(
    runs: Sequence[SampledRun], image: int, pictures: int, reasons: Sequence[str] = (), remarks: Sequence[str] = ()
) -> list[str]:  # fmt: skip
    """What happened to one picture, a statement a line.

    image: its place among `pictures` pictures. reasons: what is not steered in any run. remarks: on the runs as a whole.
    """
    not_steered = [f"Not steered: {reason}" for reason in reasons]
    if not runs:
        return not_steered or [f"Not steered: {' '.join(remarks)}".removesuffix(": ")]
    lines: list[str] = []
    for number, run in enumerate(runs, 1):
        name = f"run {number} of {len(runs)}, " if len(runs) > 1 else ""
        lines += [f"{name}{run.in_words()}", *_of_run(run, image, pictures)]
    return [*lines, *remarks, *not_steered]


def _of_run(run: SampledRun, image: int, pictures: int) -> list[str]:
    trace, own = merged(run.traces), _own(run, image, pictures)
    guided = _guidance(run, own) if own is not None else []
    if guided and (trace is None or own is None or not trace.image(own)):
        return [*guided, *run.notes]
    unknown = _NO_ROWS if run.guided and not any(record.done for record in run.guided) else ""
    if trace is None or own is None or own >= len(trace.labels) or not trace.labels[own]:
        why = " ".join(run.notes) or unknown or "its relations needed no steering."
        return [f"Not steered: {why}"]
    records = trace.image(own)
    if not records:
        why = (
            " ".join(run.notes) or unknown or "the plan evaluates at no step at which this prompt is in use."
        )
        return [f"Not steered: {why}"]
    return [*guided, *_relations(trace, own), *_odd(records), *run.notes]


def _guidance(run: SampledRun, image: int) -> list[str]:
    """What attention guidance did to an image of a run: where its objects were put, and when each relation was on."""
    lines = []
    for record in run.guided:
        layout = record.layouts[image] if image < len(record.layouts) else None
        on = record.steps_on(image) if layout is not None else []
        if layout is None or not on:
            continue
        places = ", ".join(
            f"{name} at {x:.2f}, {y:.2f}"
            for name, (x, y) in zip(record.objects[image], layout.places, strict=True)
        )
        lines.append(
            f"Attention guided at {_steps(on, run.steps)}, in {record.layers} layers, strength {record.strength:g}: "
            f"{places}."
        )
        for relation, label in enumerate(record.labels[image]):
            own = record.steps_on(image, relation)
            if own != on:
                lines.append(
                    f"{label}: guided at {_steps(own, run.steps)}, left alone where it held."
                    if own
                    else f"{label}: held, not guided."
                )
    return lines


def _steps(steps: Sequence[int], total: int) -> str:
    """ "steps 1 to 3 and 5 of 20"."""
    spans: list[list[int]] = []
    for step in sorted(steps):
        if spans and step == spans[-1][1] + 1:
            spans[-1][1] = step
        else:
            spans.append([step, step])
    said = [f"{a + 1}" if a == b else f"{a + 1} to {b + 1}" for a, b in spans]
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"step{'s' if len(steps) > 1 else ''} {listed} of {total}"


def layouts_of(runs: Sequence[SampledRun], image: int, pictures: int) -> list[tuple[Layout, list[str]]]:
    """The layouts that were written into the attention for this picture, with the words of their objects, each once."""
    found: dict[str, tuple[Layout, list[str]]] = {}
    for run in runs:
        own = _own(run, image, pictures)
        for record in run.guided if own is not None else ():
            layout = record.layouts[own] if own is not None and own < len(record.layouts) else None
            if layout is not None and own is not None and record.steps_on(own):
                found[str(layout.to_dict(record.objects[own]))] = layout, record.objects[own]
    return list(found.values())


def _relations(trace: SteeringTrace, image: int) -> list[str]:
    records, count = trace.image(image), trace.evaluations[image]
    spent = f"{count} evaluation" + ("" if count == 1 else "s")
    lines = []
    for relation in dict.fromkeys(r.relation for r in sorted(records, key=lambda r: r.relation)):
        mine = [r for r in records if r.relation == relation]
        first, last = mine[0].probability, mine[-1].probability
        seen = f"probability {last:.2f}"
        if len(mine) > 1:
            seen = f"probability {first:.2f} at the first evaluation, {last:.2f} at the last"
        lines.append(f"{mine[-1].label}: {seen} ({spent}).")
    return lines


def _odd(records: Sequence[Record]) -> list[str]:
    """What went otherwise than planned, each once, with the number of evaluations at which it did."""
    met = dict.fromkeys((r.step, r.evaluation, r.note) for r in records if r.note not in _ROUTINE)
    notes = [note for _, _, note in met]
    return [f"At {notes.count(note)} of the evaluations: {note}." for note in dict.fromkeys(notes)]


def plots_of(runs: Sequence[SampledRun], image: int, pictures: int) -> list[tuple[str, list[Record]]]:
    """Title and records of each run in which something was read for this picture."""
    found = []
    for number, run in enumerate(runs, 1):
        trace, own = merged(run.traces), _own(run, image, pictures)
        records = trace.image(own) if trace is not None and own is not None else []
        if records:
            name = f"Run {number}: {run.in_words()}" if len(runs) > 1 else "What steering did"
            found.append((name, records))
    return found


def _own(run: SampledRun, image: int, pictures: int) -> int | None:
    """The place of a picture in the batch of a run: the same, or the only one that it can come from. None where that cannot
    be told."""
    if run.batch == pictures:
        return image
    if run.batch == 1:
        return 0
    return image if image < run.batch else None
