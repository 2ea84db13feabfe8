"""Classifiers on disk: one .safetensors file, tensors as in the module's state dict, everything else as JSON in its
metadata. The authors' .pth files are read as well (`authors.py`)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from ..errors import SteeringError
from ..records import atomic
from .authors import load_authors_file, official_sigmas
from .building import built, check_shapes, filled
from .card import ClassifierCard
from .header import parsed, safetensors_header
from .official import OfficialConfig, RelationClassifier
from .reader import RelationReader
from .symmetric import SymmetricConfig, SymmetricRelationClassifier

FORMAT = "learn-to-steer-classifier"


VERSION = 1


T = TypeVar("T")


def load_classifier(path: str | os.PathLike[str]) -> RelationReader:
    """The classifier in a .safetensors or .pth file, on the CPU, in eval mode.

    Raises SteeringError for a missing, damaged or foreign file, one larger than any classifier, a pickle that
    carries code, an unknown architecture, and weights that do not fit their description: from what the file says
    of itself, before memory is taken for it.
    """
    path = Path(path)
    if not path.is_file():
        raise SteeringError(f"Expected a classifier file at {path}, found none; check the path.")
    if path.suffix.lower() == ".safetensors":
        return _load_safetensors(path)
    if path.suffix.lower() in (".pth", ".pt"):
        return load_authors_file(path)
    raise SteeringError(f"Expected a .safetensors or .pth classifier, got {path.name}; choose another file.")


def save_classifier(module: RelationReader, path: str | os.PathLike[str]) -> None:
    """Write a classifier as .safetensors. The file appears whole or not at all.

    Raises SteeringError for another suffix or a module that is not one of ours; OSError where the disk says
    no.
    """
    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise SteeringError(
            f"Expected a file name that ends in .safetensors, got {path.name}; change the suffix."
        )
    if isinstance(module, SymmetricRelationClassifier):
        architecture = "symmetric"
    elif isinstance(module, RelationClassifier):
        architecture = "official"
    else:
        raise SteeringError(
            f"Expected a relation classifier of this package, got {type(module).__name__}; save that one."
        )
    description = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": architecture,
        "card": asdict(module.card),
        "config": asdict(module.config),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    data = to_bytes(tensors, metadata={"format": "pt", FORMAT: json.dumps(description)})
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def save_numbered(module: RelationReader, folder: Path, stem: str, overwrite: bool = False) -> Path:
    """Write a classifier as FOLDER/STEM.safetensors and return its path. Where another file has the name and is not to be
    overwritten, the new one is STEM-2, STEM-3 and so on; the same classifier again is no other.

    Raises as `save_classifier`.
    """
    for name in chain((stem,), (f"{stem}-{number}" for number in count(2))):
        path = folder / f"{name}.safetensors"
        if overwrite or not path.exists() or _holds(path, module):
            break
    save_classifier(module, path)
    return path


def _holds(path: Path, module: RelationReader) -> bool:
    """Whether this file holds the same classifier. Bytes do not tell: metadata is written in any order."""
    try:
        there = load_classifier(path)
    except SteeringError:
        return False
    own, tensors = module.state_dict(), there.state_dict()
    if type(there) is not type(module) or there.card != module.card or own.keys() != tensors.keys():
        return False
    return all(torch.equal(own[name].detach().cpu(), tensors[name]) for name in own)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    family: str | None = None,
    sigmas: tuple[float, ...] | None = None,
) -> RelationReader:
    """Read a classifier of either kind and write it as .safetensors; returns it.

    family, sigmas: facts the authors' files do not hold, to be written on the card (see `ClassifierCard`);
    sigmas default to those of the family's official schedule.
    Raises SteeringError as `load_classifier` and `save_classifier` do.
    """
    module = load_classifier(source)
    card = module.card if family is None else replace(module.card, family=family)
    known = sigmas or card.sigmas or official_sigmas(card.family, card.timesteps, card.num_timesteps)
    module.card = replace(card, sigmas=None if known is None else tuple(float(s) for s in known))
    save_classifier(module, target)
    return module


def _load_safetensors(path: Path) -> RelationReader:
    header = safetensors_header(path)
    try:
        description = parsed(header.metadata[FORMAT])
        version, architecture = description["version"], description["architecture"]
        card, config = _record(ClassifierCard, description["card"]), description["config"]
    except SteeringError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SteeringError(
            f"Expected a relation classifier, but {path.name} holds no description of one; choose a "
            "classifier file."
        ) from error
    if version != VERSION:
        raise SteeringError(
            f"Expected version {VERSION} of the classifier format, {path.name} has {str(version)[:20]}; update this "
            "package."
        )
    module: RelationReader
    if architecture == "official":
        module = built(path, lambda: RelationClassifier(card, _record(OfficialConfig, config)))
    elif architecture == "symmetric":
        module = built(path, lambda: SymmetricRelationClassifier(card, _record(SymmetricConfig, config)))
    else:
        raise SteeringError(
            f'Expected the architecture "official" or "symmetric", {path.name} has "{str(architecture)[:20]}"; '
            "update this package."
        )
    check_shapes(module, header.shapes, path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header.shapes}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise SteeringError(
            f"Expected a whole safetensors file, but {path.name} is damaged or of another kind; download it "
            "again."
        ) from error
    return filled(module, tensors, path)


def _record(kind: type[T], values: Mapping[str, Any]) -> T:
    """A frozen dataclass out of JSON: lists become tuples, unknown names and values of another type are an error."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - known.keys()):
        raise SteeringError(
            f"Expected classifier settings among {', '.join(sorted(known))}, got {', '.join(unknown)[:100]}; "
            "update this package."
        )
    for name, value in values.items():
        if not _is_of(str(known[name].type), value):
            raise SteeringError(
                f"Expected the classifier's {name} to be {known[name].type}, got {str(value)[:40]!r}; correct its "
                "description."
            )
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


_TYPES: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
}


def _is_of(annotation: str, value: object) -> bool:
    """Whether a value out of JSON is of this type: "int", "tuple[float, ...]", "tuple[str, ...] | None", else a string."""
    if annotation.endswith(" | None"):
        return value is None or _is_of(annotation.removesuffix(" | None"), value)
    if annotation.startswith("tuple["):
        inner = annotation.removeprefix("tuple[").removesuffix(", ...]")
        return isinstance(value, list) and all(_is_of(inner, item) for item in value)
    if isinstance(value, bool):
        return annotation == "bool"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _TYPES.get(annotation, (str,)))
