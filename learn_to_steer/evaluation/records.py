"""Detections made elsewhere, as JSON: one line per picture -> what was found and what is asked. Nothing is judged here.

A line: ``{"prompt": "...", "detections": [{"name", "box": [x0, y0, x1, y1], "score"}, ...]}``, with ``"mask"`` for
rules of masks. It may say by itself what is asked: ``"relations"`` (or ``"triplets"``, as ``parse`` prints them), a
list of [subject, relation, object], or GenEval's own ``"include"``, ``"exclude"`` and ``"tag"``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from ..errors import SteeringError
from ..language import canonical_relation
from .detections import (
    Asked,
    Demand,
    Detection,
    Mask,
    Thing,
    asked_by_hand,
    asked_of,
    checked_box,
    number,
    plain_name,
    short,
)
from .rules import Rule

MAX_PIXELS = 2**26
"""Of one mask: a few bytes of run lengths could claim any size."""

COUNTING_TAG = "counting"


@dataclass(frozen=True)
class Record:
    """One picture to judge.

    Attributes:
        prompt: its prompt.
        detections: what was found in it.
        demand: what is asked of it.
        passed_over: relations that the prompt states and the rule has no say on.
        tag: GenEval's name for the kind of prompt; "" without.
    """

    prompt: str
    detections: tuple[Detection, ...]
    demand: Demand
    passed_over: tuple[Asked, ...] = ()
    tag: str = ""


def read_record(line: str, rule: Rule, masks: bool = False) -> Record:
    """One line of JSON. masks: whether the rule reads masks instead of boxes.

    Relations that are read from the prompt and that the rule does not judge ("inside" under GenEval's) are passed
    over; those given by hand are refused. Raises SteeringError, one sentence, for whatever is missing or malformed.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SteeringError(
            f"Expected a JSON object, got {short(line)} ({_why(error)}); write one whole object a line."
        ) from error
    if isinstance(record, list):
        raise SteeringError(
            f"Expected one JSON object a line, got a list of {len(record)}; write each of its objects on a line of its own."
        )
    if not isinstance(record, dict) or not isinstance(record.get("prompt"), str):
        raise SteeringError(
            f'Expected a JSON object with a text under "prompt", got {short(record)}; add the prompt.'
        )
    found = record.get("detections")
    if not isinstance(found, list):
        raise SteeringError(
            f'Expected a list under "detections", got {short(found)}; give [] where nothing was found.'
        )
    detections = tuple(_detection(item, masks) for item in found)
    demand, passed_over = _demand(record, rule)
    tag = record.get("tag")
    return Record(record["prompt"], detections, demand, passed_over, tag if isinstance(tag, str) else "")


def _why(error: Exception) -> str:
    """What JSON's reader has against a line, and where."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number of too many digits"


def _detection(item: Any, masks: bool) -> Detection:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"].strip():
        raise SteeringError(
            f'Expected a detection as an object with a "name", got {short(item)}; name what was detected.'
        )
    score = item.get("score")
    confidence = 1.0 if score is None else number(score)
    if confidence is None or not 0 <= confidence <= 1:
        raise SteeringError(
            f'Expected a score from 0 to 1 for "{item["name"]}", got {short(score)}; '
            "give the detector's confidence or leave it out."
        )
    if masks:
        return Detection(item["name"], None, confidence, read_mask(item.get("mask")))
    box = item.get("box")
    if not isinstance(box, list):
        raise SteeringError(
            f'Expected a "box" [x0, y0, x1, y1] for "{item["name"]}", got {short(box)}; give it in pixels.'
        )
    return Detection(item["name"], checked_box(box), confidence)


def read_mask(value: Any) -> Mask:
    """A mask from rows of 0 and 1, or from COCO's uncompressed run lengths {"size": [h, w], "counts": [...]}.

    Run lengths go down the columns, from left to right, and start with the pixels outside of the object.
    Returns (height, width) bool. Raises SteeringError for anything else and for a mask without a pixel.
    """
    mask = _from_runs(value) if isinstance(value, dict) else _from_rows(value)
    if not mask.any():
        raise SteeringError(
            "Expected a mask with a pixel of the object, got an empty one; leave the detection out."
        )
    return mask


def _from_rows(rows: Any) -> Mask:
    even = (
        isinstance(rows, list) and rows and all(isinstance(r, list) and len(r) == len(rows[0]) for r in rows)
    )
    if (
        not even
        or not rows[0]
        or not all(set(map(type, r)) <= {int, bool} and set(r) <= {0, 1} for r in rows)
    ):
        raise SteeringError(
            f'Expected a "mask" of rows of 0 and 1, all of one length, or run lengths, got {short(rows)}; '
            "give one of them."
        )
    return np.array(rows, dtype=bool)


def _from_runs(runs: dict[str, Any]) -> Mask:
    size, counts = runs.get("size"), runs.get("counts")
    if not _whole_numbers(size) or len(size) != 2 or not _whole_numbers(counts):
        raise SteeringError(
            f'Expected run lengths {{"size": [height, width], "counts": [...]}} of whole numbers, got {short(runs)}; '
            "write them uncompressed."
        )
    if size[0] * size[1] > MAX_PIXELS or sum(counts) != size[0] * size[1]:
        raise SteeringError(
            f"Expected run lengths that add up to height x width, at most {MAX_PIXELS} pixels, got {sum(counts)} for "
            f"{size[0]} x {size[1]}; correct the mask."
        )
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(size[1], size[0]).T


def _whole_numbers(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _demand(record: dict[str, Any], rule: Rule) -> tuple[Demand, tuple[Asked, ...]]:
    """What is asked: by hand, by GenEval's metadata, or by the prompt - and what of it the rule cannot judge."""
    by_hand = record.get("relations", record.get("triplets"))
    include = demand_of_metadata(record) if "include" in record else Demand()
    if by_hand is None and "include" not in record:
        asked = asked_of(record["prompt"])
        judged = tuple(a for a in asked if rule.judges(a.relation))
        return Demand(judged), tuple(a for a in asked if not rule.judges(a.relation))
    relations = include.relations if by_hand is None else _written(by_hand)
    if wrong := [a for a in relations if not rule.judges(a.relation)]:
        raise SteeringError(
            f'Expected relations that this rule judges, got "{wrong[0].relation}"; '
            "leave it out or choose another rule."
        )
    return Demand(relations, include.counts, include.limits, include.counting), ()


def _written(relations: Any) -> tuple[Asked, ...]:
    if not isinstance(relations, list) or not all(_is_triplet(r) for r in relations):
        raise SteeringError(
            f"Expected a list of [subject, relation, object], got {short(relations)}; give three texts for each."
        )
    return tuple(asked_by_hand(*r) for r in relations)


def _is_triplet(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 3 and all(isinstance(v, str) and v.strip() for v in value)
    )


def demand_of_metadata(record: dict[str, Any], colours: bool = False) -> Demand:
    """What a line of GenEval's metadata asks: its ``include`` with counts, positions and colours, ``exclude`` and ``tag``.

    colours: whether something will read them. Raises SteeringError for another form, and for colours where nothing will.
    """
    include, exclude = (_entries(record.get(key, []), key) for key in ("include", "exclude"))
    counts = tuple((Thing(e["class"], e["class"]), e["count"]) for e in include)
    relations, coloured = [], []
    for entry, (thing, count) in zip(include, counts, strict=True):
        if "color" in entry and colours:
            coloured.append((thing, _colour(entry["color"]), count))
        elif "color" in entry:
            raise SteeringError(
                f'Expected a prompt without colours, got "color" for "{entry["class"]}"; boxes say nothing of them.'
            )
        if "position" in entry:
            relation, target = _position(entry["position"], include)
            relations.append(Asked(thing, canonical_relation(relation), counts[target][0]))
    limits = tuple((Thing(e["class"], e["class"]), e["count"]) for e in exclude)
    return Demand(tuple(relations), counts, limits, record.get("tag") == COUNTING_TAG, tuple(coloured))


def _colour(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SteeringError(
            f'Expected GenEval\'s "color" as a text, got {short(value)}; take the lines of its own file.'
        )
    return value.strip()


def _entries(entries: Any, key: str) -> list[dict[str, Any]]:
    well = isinstance(entries, list) and all(
        isinstance(e, dict)
        and isinstance(e.get("class"), str)
        and plain_name(e["class"])
        and type(e.get("count")) is int
        and e["count"] > 0
        for e in entries
    )
    if not well:
        raise SteeringError(
            f'Expected GenEval\'s metadata under "{key}", a list of {{"class", "count"}}, got {short(entries)}; '
            "take the lines of its own file."
        )
    return entries


def _position(position: Any, include: Sequence[dict[str, Any]]) -> tuple[str, int]:
    well = isinstance(position, list) and len(position) == 2 and isinstance(position[0], str)
    if not well or type(position[1]) is not int or not 0 <= position[1] < len(include):
        raise SteeringError(
            f'Expected GenEval\'s "position" as [relation, number of an entry], got {short(position)}; '
            "take the lines of its own file."
        )
    return position[0], position[1]
