"""A diffusers folder -> a pipeline that can be steered: class, weight files, number format, device and offloading."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch

from ...errors import SteeringError, UnreadableModel
from .pipelines import PIPELINES

Offload = Literal["none", "model", "sequential"]

_WEIGHTS = re.compile(
    r"(?P<stem>[^.]+)"
    r"(?:\.(?P<variant>[^.]+?))??(?:-\d{5}-of-\d{5})?"
    r"\.(?P<kind>safetensors|bin)$"
)


def load_folder(
    folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32, offload: Offload = "none"
) -> Any:
    """The pipeline in this folder, without progress bars.

    Weight files of a variant ("model.fp16.safetensors") are taken where a part has no others. offload: "model" brings each
    network to the device while it is used, "sequential" each layer (diffusers' `enable_model_cpu_offload` and
    `enable_sequential_cpu_offload`); slower, in less memory.

    Raises SteeringError for a pipeline that cannot be steered and for offloading to the CPU itself.
    """
    if offload != "none" and torch.device(device).type == "cpu":
        raise SteeringError(
            f"Expected a GPU to offload from with {offload} offloading, got the device cpu; leave offloading out."
        )
    name = class_of(folder)
    pipe = getattr(diffusers, name).from_pretrained(
        folder, local_files_only=True, torch_dtype=dtype, variant=variant_of(folder)
    )
    pipe.set_progress_bar_config(disable=True)
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def class_of(folder: Path) -> str:
    """The name of the pipeline's class. Raises UnreadableModel where it is none that can be steered, SteeringError where
    there is none at all."""
    try:
        name = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SteeringError(
            f"Expected a diffusers folder at {folder}, found no readable model_index.json; check it."
        ) from error
    known = [kind.__name__ for kind in PIPELINES]
    if name not in known:
        raise UnreadableModel(
            f"Expected a {', '.join(known[:-1])} or {known[-1]} in {folder}, got {name}; choose another model."
        )
    return str(name)


def variant_of(folder: Path) -> str | None:
    """The variant ("fp16") to load: that of the first part whose weight files all have one; None where every part has
    plain files."""
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = list(_variants(part))
        if found and None not in found:
            return sorted(variant for variant in found if variant)[0]
    return None


def _variants(part: Path) -> Iterator[str | None]:
    for file in part.iterdir():
        if match := _WEIGHTS.match(file.name):
            yield match["variant"]
