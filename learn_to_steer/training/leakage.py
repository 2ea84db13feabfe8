"""Does a classifier read the picture or the prompt? Its accuracy on maps recorded under right and under wrong relation
words, and the share of its errors that are the wrong word (Learn-to-Steer, "relation leakage")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..classifiers import RelationReader
from ..dataset import MapData, RecordedMaps, map_data
from ..evaluation.statistics import WrongWordErrors, wrong_word_errors

AT_ONCE = 512
"""Records read at a time."""


@dataclass(frozen=True)
class Group:
    """Some of the records: accuracy under right and under wrong words (None without such records), and what the errors
    under wrong words are (None without an error)."""

    right: float | None
    wrong: float | None
    errors: WrongWordErrors | None


@dataclass(frozen=True)
class LeakageReport:
    """Accuracy on maps recorded under right and under wrong relation words, and how often the wrong word won.

    A classifier that leaks is good under right words and follows the wrong ones. follows_wrong_word: share of the records
    under wrong words that are read as that word; `errors.share`: share of the *errors* that are the wrong word, with its
    Wilson interval - a reader blind to words has a third. by_relation: of records in whose picture the relation holds.
    by_step: of records at that step of the schedule.
    """

    right: float
    wrong: float
    follows_wrong_word: float
    errors: WrongWordErrors | None = None
    by_relation: Mapping[str, Group] = field(default_factory=dict)
    by_step: Mapping[int, Group] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """What a classifier reads of recorded maps. (N,) int64 each, indices into the data's relations."""

    read: Tensor
    holds: Tensor
    worded: Tensor
    timestep: Tensor


def device_of(classifier: torch.nn.Module) -> torch.device:
    """Where its weights are; the CPU for one without weights."""
    weight = next(iter(classifier.parameters()), None)
    return torch.device("cpu") if weight is None else weight.device


def relation_columns(classifier: RelationReader, relations: tuple[str, ...]) -> Tensor:
    """(relations,) int64: the column of the classifier's logits for each relation of the data."""
    return torch.tensor([classifier.relations.index(name) for name in relations])


@torch.no_grad()
def logits_of(classifier: RelationReader, x: Tensor, timestep: Tensor) -> Tensor:
    """(N, relations) float32 on the CPU, of maps (N, 2, C, S, S), in evaluation mode, some at a time."""
    classifier.eval()
    device = device_of(classifier)
    parts = zip(x.split(AT_ONCE), timestep.split(AT_ONCE), strict=True)
    return torch.cat([classifier(maps.to(device), steps.to(device)).cpu() for maps, steps in parts])


def readings(classifier: RelationReader, data: MapData | RecordedMaps) -> Read:
    """The most probable relation of each record, in evaluation mode, some at a time."""
    data = map_data(data)
    names = torch.tensor([data.relations.index(name) for name in classifier.relations])
    parts: list[tuple[Tensor, ...]] = []
    for batch in data.inputs(classifier.card).batches(AT_ONCE):
        logits = logits_of(classifier, batch.maps, batch.timestep)
        row = (names[logits.argmax(1)], batch.holds, batch.worded, batch.timestep)
        parts.append(tuple(t.to(torch.int16) for t in row))
    none = (torch.zeros(0, dtype=torch.int16),) * 4
    return Read(*(torch.cat(column).long() for column in zip(*(parts or [none]), strict=True)))


def accuracy(classifier: RelationReader, data: MapData | RecordedMaps) -> float:
    """Share of samples whose relation *in the picture* the classifier reads."""
    found = readings(classifier, data)
    return (found.read == found.holds).float().mean().item()


def leakage(classifier: RelationReader, data: MapData | RecordedMaps) -> LeakageReport:
    """Does the classifier read the picture or the prompt? `data` must hold samples of both kinds to say so."""
    data = map_data(data)
    found, count = readings(classifier, data), len(data.relations)
    every = torch.ones_like(found.read, dtype=torch.bool)
    whole, wrong = _group(found, every, count), found.holds != found.worded
    follows = (found.read == found.worded)[wrong].float().mean().item() if wrong.any() else float("nan")
    none = float("nan")
    return LeakageReport(
        right=none if whole.right is None else whole.right,
        wrong=none if whole.wrong is None else whole.wrong,
        follows_wrong_word=follows,
        errors=whole.errors,
        by_relation={name: _group(found, found.holds == i, count) for i, name in enumerate(data.relations)},
        by_step={int(step): _group(found, found.timestep == step, count) for step in found.timestep.unique()},
    )


def _group(found: Read, where: Tensor, relations: int) -> Group:
    right, held = found.holds == found.worded, found.read == found.holds
    shares = [
        held[where & kind].float().mean().item() if (where & kind).any() else None for kind in (right, ~right)
    ]
    columns = (t[where].numpy() for t in (found.holds, found.worded, found.read))
    return Group(shares[0], shares[1], wrong_word_errors(*columns, relations=relations))


def as_json(report: LeakageReport) -> dict[str, Any]:
    """Ready for JSON and short enough for a classifier's card: shares to four digits."""

    def errors(found: WrongWordErrors | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {
            "errors": found.errors,
            "followed": found.followed,
            "share": round(found.share, 4),
            "interval": [round(edge, 4) for edge in found.interval],
            "blind": round(found.baseline, 4),
        }

    def share(value: float | None) -> float | None:
        return None if value is None or value != value else round(value, 4)

    def group(one: Group) -> dict[str, Any]:
        return {"right": share(one.right), "wrong": share(one.wrong), "errors": errors(one.errors)}

    return {
        "right": share(report.right),
        "wrong": share(report.wrong),
        "follows_wrong_word": share(report.follows_wrong_word),
        "errors": errors(report.errors),
        "by_relation": {name: group(one) for name, one in report.by_relation.items()},
        "by_step": {str(step): group(one) for step, one in report.by_step.items()},
    }


def errors_in_words(errors: Mapping[str, Any] | None) -> str:
    """What `as_json` says of the errors, as part of a sentence."""
    if not errors:
        return "no error under wrong words"
    low, high = errors["interval"]
    return (
        f"{errors['share']:.0%} of {errors['errors']:,} errors under wrong words are that word ({low:.0%} - {high:.0%}; "
        f"{errors['blind']:.0%} for a reader blind to words)"
    )
