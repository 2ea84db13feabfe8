"""Tables of an evaluation: shares with their intervals, settings compared picture by picture, costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .statistics import compare_paired, share_interval


def summarise(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Figures per setting of the results of `run`.

    images; ``relation`` = share of pictures in which every relation holds, with ``relation_95`` (bootstrapped over the sets
    of objects); the same ``given_present`` (over the pictures with all objects); ``each`` = share of single relations that
    hold; ``present`` with its interval; ``duplicates``, ``evaluations``, ``gradients`` and ``seconds`` per picture;
    ``cost`` = seconds over those of the setting "plain" on the same pictures, else of the first setting.
    """
    table: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(r["setting"] for r in results):
        rows = [r for r in results if r["setting"] == name]
        there = [r for r in rows if r["present"]]
        single = [x["holds"] for r in rows for x in r["relations"]]

        def mean(key: str, rows: list[dict[str, Any]] = rows) -> float:
            return sum(r[key] for r in rows) / len(rows)

        table[name] = {
            "images": len(rows),
            "relation": sum(map(relations_hold, rows)) / len(rows),
            "relation_95": _interval([relations_hold(r) for r in rows], rows),
            "given_present": sum(map(relations_hold, there)) / len(there) if there else 0.0,
            "given_present_95": _interval([relations_hold(r) for r in there], there),
            "each": sum(single) / max(1, len(single)),
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


def relations_hold(result: dict[str, Any]) -> bool:
    """Whether every relation of the picture holds."""
    return all(x["holds"] for x in result["relations"])


def _interval(outcomes: Sequence[bool], rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    return share_interval(outcomes, [r["cluster"] for r in rows])


def results_table(summary: dict[str, dict[str, Any]]) -> str:
    """A Markdown table, one row per setting of `summarise`. Ends with a newline."""
    base = "plain" if "plain" in summary else next(iter(summary))
    head = ["setting", "images", "relation accuracy (95%)", "given all present", "all objects present (95%)"]
    head += ["duplicates/image", "evaluations/image", "with gradient", f"cost ({base} = 1)"]

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
            f"{row['duplicates']:.2f}",
            f"{row['evaluations']:.1f}",
            f"{row['gradients']:.1f}",
            f"{row['cost']:.2f}",
        ]
        for name, row in summary.items()
    ]
    return markdown(head, rows)


def comparison_table(results: Sequence[dict[str, Any]], base: str) -> str:
    """A Markdown table that holds every setting against ``base`` on the same pictures, first by its relations, then by the
    presence of its objects. Ends with a newline; empty where ``base`` is alone."""
    by_setting: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for r in results:
        by_setting.setdefault(r["setting"], {})[r["prompt"], r["seed"]] = r
    first = by_setting[base]
    rows = []
    for name, second in by_setting.items():
        if name == base:
            continue
        for what, outcome in (
            ("relations hold", relations_hold),
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
