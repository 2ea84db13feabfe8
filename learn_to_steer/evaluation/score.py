"""Judging detections made elsewhere: lines of JSON in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import SteeringError
from .detections import Verdict, plain_name
from .records import Record, read_record
from .rules import rule_named

BYTE_ORDER_MARK = "\ufeff"
"""Some editors write it in front of a file; where several were put together it stands in front of later lines, too."""

MASK_RULES = ("pse",)
"""Rules that read masks instead of boxes."""


@dataclass(frozen=True)
class Judged:
    """One picture, judged.

    Attributes:
        prompt, tag: as given.
        verdict: the rule's.
        objects: the names that are asked for, in a fixed order; pictures of the same are one cluster.
        passed_over: (subject, relation, object) that the prompt states and the rule has no say on.
    """

    prompt: str
    tag: str
    verdict: Verdict
    objects: tuple[str, ...]
    passed_over: tuple[tuple[str, str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """The line that is written for this picture; "not_judged" only where relations were passed over.

        "score" is None, which JSON writes as null, where nothing was asked that the rule could judge.
        """
        line = {
            "prompt": self.prompt,
            "present": self.verdict.present,
            "relations": [
                {"relation": list(r.asked.words), "holds": r.holds, "score": r.score}
                for r in self.verdict.relations
            ],
            "score": self.verdict.score,
        }
        return line | (
            {"not_judged": [list(words) for words in self.passed_over]} if self.passed_over else {}
        )


def judge_record(record: Record, rule: str) -> Judged:
    """The verdict of the named rule on one picture."""
    return Judged(
        prompt=record.prompt,
        tag=record.tag,
        verdict=rule_named(rule).judge(record.detections, record.demand),
        objects=tuple(sorted({plain_name(t.noun) for t in record.demand.things})),
        passed_over=tuple(a.words for a in record.passed_over),
    )


def score_lines(lines: Iterable[bytes], rule: str, where: str) -> Iterator[Judged]:
    """Judge a file line by line; blank lines are passed over.

    lines: UTF-8. where: the file's name for messages. Raises SteeringError for the first line that cannot be used, in
    one sentence that names it, and for a file without a line.
    """
    judges, masks = rule_named(rule), rule in MASK_RULES
    empty = True
    for count, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8").lstrip(BYTE_ORDER_MARK).strip()
            if not text:
                continue
            empty = False
            yield judge_record(read_record(text, judges, masks), rule)
        except UnicodeDecodeError as error:
            raise SteeringError(
                f"Line {count} of {where}: Expected UTF-8 text, byte {error.start} is not; save the file as UTF-8."
            ) from error
        except SteeringError as error:
            raise SteeringError(f"Line {count} of {where}: {error}") from error
    if empty:
        raise SteeringError(f"Expected lines of detections in {where}, got none; check the file.")
