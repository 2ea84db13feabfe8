"""The table of a run of judged pictures: shares with intervals that know of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..language import Relation
from .score import Judged
from .statistics import Interval, clustered_interval, share_interval, visor_n

SOFT_RULES = ("t2i-compbench", "pse")
"""Rules whose score is a number between right and wrong."""

_NAMES = {
    "visor": ("objects found (OA)", "right (unconditional)", "right, given found (conditional)"),
}
_PLAIN_NAMES = ("all objects present", "right", "right, given all present")

Row = tuple[str, str, str, str]


def summary(pictures: Sequence[Judged], rule: str) -> str:
    """A Markdown table of the figures that the rule's source reports, each with its 95% interval.

    Intervals are bootstrapped over the sets of objects that are asked for. A picture is right if its objects are
    present and every relation holds. Pictures of which nothing was asked do not count, and are named below.
    """
    asked = [p for p in pictures if p.verdict.score is not None]
    lines = _markdown(("", "value", "95% interval", "of"), figures(asked, rule))
    notes = [f"Rule: {rule}; {_count(len(asked), 'picture')} of {_count(len({p.prompt for p in asked}), 'prompt')}, "
             f"intervals over {_count(len({p.objects for p in asked}), 'set')} of objects."]  # fmt: skip
    if unasked := len(pictures) - len(asked):
        notes.append(f"Not counted, as nothing was asked that the rule judges: {_count(unasked, 'picture')}.")
    if over := sum(len(p.passed_over) for p in pictures):
        notes.append(f"Not judged, as the rule has no say on them: {_count(over, 'relation')}.")
    if rule == "visor" and _pictures_a_prompt(asked) is None:
        notes.append("No VISOR-n, as the prompts have different numbers of pictures.")
    return "\n".join([*lines, "", *notes])


def figures(pictures: Sequence[Judged], rule: str) -> Iterable[Row]:
    """(Name, value, 95% interval, of how many) of each figure; pictures of which nothing was asked must not be given."""
    present_name, right_name, given_name = _NAMES.get(rule, _PLAIN_NAMES)
    present = [p for p in pictures if p.verdict.present]
    yield _share(present_name, [p.verdict.present for p in pictures], pictures)
    yield _share(right_name, [_right(p) for p in pictures], pictures)
    yield _share(given_name, [_right(p) for p in present], present)
    if rule in SOFT_RULES:
        yield _mean("score", [p.verdict.score or 0.0 for p in pictures], pictures)
    yield from _by_relation(pictures, rule)
    if rule == "geneval":
        yield from _by_prompt(pictures)
    if rule == "visor" and (count := _pictures_a_prompt(pictures)):
        by_prompt = _grouped(pictures)
        shares = visor_n([[_right(p) for p in group] for group in by_prompt], count)
        for n, share in enumerate(shares, start=1):
            outcomes = [sum(map(_right, group)) >= n for group in by_prompt]
            interval = share_interval(outcomes, [group[0].objects for group in by_prompt])
            yield f"VISOR-{n}", f"{share:.1%}", _percent(interval), _count(len(by_prompt), "prompt")


def _by_relation(pictures: Sequence[Judged], rule: str) -> Iterable[Row]:
    single = [(r, p) for p in pictures for r in p.verdict.relations]
    for relation in Relation:
        of_relation = [(r, p) for r, p in single if r.asked.relation is relation]
        if not of_relation:
            continue
        owners = [p for _, p in of_relation]
        if rule in SOFT_RULES:
            yield _mean(relation.value, [r.score for r, _ in of_relation], owners, "relation")
        else:
            yield _share(relation.value, [r.holds for r, _ in of_relation], owners, "relation")


def _by_prompt(pictures: Sequence[Judged]) -> Iterable[Row]:
    """GenEval's other figures: prompts with a right picture; kinds of prompts and their mean, if there are several."""
    by_prompt = _grouped(pictures)
    outcomes = [any(map(_right, group)) for group in by_prompt]
    yield _share("prompts with a right picture", outcomes, [g[0] for g in by_prompt], "prompt")
    tags = list(dict.fromkeys(p.tag for p in pictures if p.tag))
    if len(tags) < 2:
        return
    shares = []
    for tag in tags:
        of_tag = [p for p in pictures if p.tag == tag]
        shares.append(sum(map(_right, of_tag)) / len(of_tag))
        yield _share(f"right, {tag}", [_right(p) for p in of_tag], of_tag)
    yield "mean over kinds of prompts", f"{sum(shares) / len(shares):.1%}", "", _count(len(tags), "kind")


def _right(picture: Judged) -> bool:
    """For the rules of yes and no the score says it (counts matter there); for soft ones the relations do."""
    verdict = picture.verdict
    return verdict.present and all(r.holds for r in verdict.relations) and bool(verdict.score)


def _grouped(pictures: Sequence[Judged]) -> list[list[Judged]]:
    groups: dict[tuple[str, tuple[str, ...]], list[Judged]] = {}
    for picture in pictures:
        groups.setdefault((picture.prompt, picture.objects), []).append(picture)
    return list(groups.values())


def _pictures_a_prompt(pictures: Sequence[Judged]) -> int | None:
    """The number of pictures of every prompt; None where they differ or there are none."""
    counts = {len(group) for group in _grouped(pictures)}
    return counts.pop() if len(counts) == 1 else None


def _share(name: str, outcomes: Sequence[bool], pictures: Sequence[Judged], unit: str = "picture") -> Row:
    if not outcomes:
        return name, "-", "-", _count(0, unit)
    interval = share_interval(outcomes, [p.objects for p in pictures])
    return name, f"{sum(outcomes) / len(outcomes):.1%}", _percent(interval), _count(len(outcomes), unit)


def _mean(name: str, values: Sequence[float], pictures: Sequence[Judged], unit: str = "picture") -> Row:
    if not values:
        return name, "-", "-", _count(0, unit)
    interval = clustered_interval(values, [p.objects for p in pictures])
    spread = interval is not None and interval[0] < interval[1]  # else the bootstrap has nothing to go by
    shown = f"{interval[0]:.3f} - {interval[1]:.3f}" if interval and spread else "-"
    return name, f"{sum(values) / len(values):.3f}", shown, _count(len(values), unit)


def _percent(interval: Interval) -> str:
    return f"{interval[0]:.1%} - {interval[1]:.1%}"


def _count(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _markdown(head: Row, rows: Iterable[Row]) -> list[str]:
    lines = [head, ("---", "---:", "---", "---"), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]
