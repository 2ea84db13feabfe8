"""Tables of an evaluation: shares with their intervals, settings compared picture by picture, costs, two judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .bench import Draw
from .detections import RelationVerdict, Verdict
from .score import Judged
from .statistics import agreement, compare_paired, share_interval
from .summary import figures


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures per setting of the results of `run`.

    images; ``relation`` = share of pictures that are right (every relation holds), with ``relation_95`` (bootstrapped over
    the sets of objects); the same ``given_present`` (over the pictures with all objects); ``each`` = share of single
    relations that hold; ``score``, the mean of the rule's; ``present`` with its interval; ``duplicates``, ``evaluations``,
    ``gradients`` and ``seconds`` per picture, None where no picture tells; ``cost`` = seconds over those of the setting
    "plain" on the same pictures, else of the first setting.
    """
    table: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(r["setting"] for r in results):
        rows = [r for r in results if r["setting"] == name]
        there = [r for r in rows if r["present"]]
        single = [x["holds"] for r in rows for x in r["relations"]]

        def mean(key: str, rows: list[dict[str, Any]] = rows) -> float | None:
            told = [r[key] for r in rows if r.get(key) is not None]
            return sum(told) / len(told) if told else None

        table[name] = {
            "images": len(rows),
            "relation": sum(map(is_right, rows)) / len(rows),
            "relation_95": _interval([is_right(r) for r in rows], rows),
            "given_present": sum(map(is_right, there)) / len(there) if there else 0.0,
            "given_present_95": _interval([is_right(r) for r in there], there),
            "each": sum(single) / max(1, len(single)),
            "score": mean("score"),
            "present": mean("present"),
            "present_95": _interval([r["present"] for r in rows], rows),
            "duplicates": mean("duplicates"),
            "evaluations": mean("evaluations"),
            "gradients": mean("gradients"),
            "seconds": mean("seconds"),
        }
    plain = table.get("plain", next(iter(table.values())))["seconds"]
    for row in table.values():
        row["cost"] = row["seconds"] / plain
    return table


def is_right(result: dict[str, Any]) -> bool:
    """Whether the picture shows what was asked: every relation, or whatever else the prompt is about."""
    return bool(result.get("right", all(x["holds"] for x in result["relations"])))


def _interval(outcomes: Sequence[bool], rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    return share_interval(outcomes, [r["cluster"] for r in rows])


def results_table(summary: dict[str, dict[str, Any]]) -> str:
    """A Markdown table, one row per setting of `summarise`. Ends with a newline."""
    base = "plain" if "plain" in summary else next(iter(summary))
    head = ["setting", "images", "relation accuracy (95%)", "given all present", "all objects present (95%)"]
    head += ["duplicates/image", "evaluations/image", "with gradient", "seconds/image", f"cost ({base} = 1)"]

    def share(row: dict[str, Any], key: str) -> str:
        low, high = row[f"{key}_95"]
        return f"{row[key]:.1%} ({low:.1%} - {high:.1%})"

    rows = [
        [
            name,
            str(row["images"]),
            share(row, "relation"),
            f"{row['given_present']:.1%}",
            share(row, "present"),
            _figure(row["duplicates"], 2),
            _figure(row["evaluations"], 1),
            _figure(row["gradients"], 1),
            _figure(row["seconds"], 2),
            f"{row['cost']:.2f}",
        ]
        for name, row in summary.items()
    ]
    return markdown(head, rows)


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def comparison_table(results: Sequence[dict[str, Any]], base: str) -> str:
    """A Markdown table that holds every setting against ``base`` on the same pictures, first by its relations, then by the
    presence of its objects. Ends with a newline; empty where ``base`` is alone."""
    by_setting: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for r in results:
        by_setting.setdefault(r["setting"], {})[r["prompt"], r["seed"]] = r
    first = by_setting[base]
    first_holds = all(r["relations"] for r in first.values())
    rows = []
    for name, second in by_setting.items():
        if name == base:
            continue
        for what, outcome in (
            ("relations hold" if first_holds else "right", is_right),
            ("objects present", lambda r: r["present"]),
        ):
            c = compare_paired(
                [outcome(r) for r in first.values()],
                [outcome(second[key]) for key in first],
                [r["cluster"] for r in first.values()],
            )
            low, high = c.interval or (-1.0, 1.0)
            rows.append([
                f"{name} - {base}: {what}", f"{c.difference:+.1%} ({low:+.1%} to {high:+.1%})",
                str(c.second_only), str(c.first_only), f"{c.p_value:.2g}",
            ])  # fmt: skip
    if not rows:
        return ""
    head = [
        "paired difference",
        "(95%, over sets of objects)",
        f"only not {base}",
        f"only {base}",
        "McNemar p",
    ]
    return markdown(head, rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first is text, the others are figures."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cells[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |\n"

    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (w + 1) + ':' for w in widths[1:])}|\n"
    return line(head) + rule + "".join(line(row) for row in rows)


def judged_by(
    draws: Sequence[Draw], results: Sequence[dict[str, Any]], judge: str | None = None
) -> dict[str, list[Judged]]:
    """Per setting its pictures as the rules' tables want them. judge: name of a further judge, None = the first."""
    asked = {(d.prompt, d.seed): d for d in draws}
    by_setting: dict[str, list[Judged]] = {}
    for line in results:
        draw = asked[line["prompt"], line["seed"]]
        said = line if judge is None else line["others"][judge]
        relations = tuple(
            RelationVerdict(a, x["holds"], score)
            for a, x, score in zip(
                draw.demand.relations, said["relations"], said["relation_scores"], strict=True
            )
        )
        verdict = Verdict(said["present"], relations, said["score"])
        picture = Judged(draw.prompt, draw.tag, verdict, tuple(sorted(draw.names)), ())
        by_setting.setdefault(line["setting"], []).append(picture)
    return by_setting


def figures_table(by_setting: dict[str, list[Judged]], rule: str, judge: str = "") -> str:
    """A Markdown table of the figures that the rule's source reports, a column per setting, under the judge's name. Ends
    with a newline."""
    columns = [dict((row[0], row) for row in figures(pictures, rule)) for pictures in by_setting.values()]
    rows = []
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = [column.get(name, (name, "-", "-", "")) for column in columns]
        shown = [value if bounds in ("", "-") else f"{value} ({bounds})" for _, value, bounds, _ in cells]
        rows.append([name, *shown, cells[0][3]])
    return markdown([judge, *by_setting, "of"], rows)


def agreement_table(results: Sequence[dict[str, Any]], first: str, second: str) -> str:
    """A Markdown table: on how many pictures of each setting two judges say the same. Ends with a newline."""
    rows = []
    for name in dict.fromkeys(r["setting"] for r in results):
        pairs = [(r, r["others"][second]) for r in results if r["setting"] == name]
        for what, said in (("right", is_right), ("objects present", lambda r: r["present"])):
            found = agreement([said(a) for a, _ in pairs], [said(b) for _, b in pairs])
            kappa = (
                "-" if found.kappa is None else f"{round(found.kappa, 2) + 0.0:.2f}"
            )  # no minus before 0.00
            rows.append(
                [
                    f"{name}: {what}",
                    f"{found.share:.1%}",
                    kappa,
                    str(found.first_only),
                    str(found.second_only),
                ]
            )
    return markdown(["both judges", "agree", "kappa", f"only {first}", f"only {second}"], rows)
