"""The authors' published classifiers: .pth files.

A pickled dict of plain data and tensors, read with `torch.load(weights_only=True)` and nothing else, so that a file that
carries code is refused without running it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import SteeringError
from ..language import vocabulary_name
from .building import built, filled
from .card import FAMILY_CHANNELS, ClassifierCard
from .header import check_archive
from .official import OfficialConfig, RelationClassifier
from .reader import RelationReader

_FAMILY_BY_CHANNELS = {channels: family for family, channels in FAMILY_CHANNELS.items()}

_MOST_STEPS = 10_000  # of a schedule


def official_sigmas(family: str, timesteps: Sequence[int], num_timesteps: int) -> tuple[float, ...] | None:
    """Noise levels of step indices on the schedules the authors trained with; None for other families.

    SD 1.x and 2.x: DDIM, "leading" spacing with offset 1, scaled-linear betas 0.00085..0.012; sigma =
    sqrt(1 - abar) / sqrt(abar). Flux: rectified flow, time 1..0; with more than 4 steps (dev) shifted as for
    512 x 512 pixels, which is 1024 image tokens.
    """
    if family in ("sd1", "sd2"):
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        kept = (1 - betas).cumprod(0)
        at = [kept[(num_timesteps - 1 - i) * (1000 // num_timesteps) + 1] for i in timesteps]
        return tuple(float(((1 - a) / a) ** 0.5) for a in at)
    if family == "flux":
        times = [1 - i / num_timesteps for i in timesteps]
        if num_timesteps <= 4:
            return tuple(times)
        shift = math.exp(0.5 + (1.15 - 0.5) * (1024 - 256) / (4096 - 256))
        return tuple(shift / (shift + 1 / t - 1) for t in times)
    return None


def load_authors_file(path: Path) -> RelationReader:
    """The classifier in one of the authors' .pth files. Raises SteeringError as `load_classifier` does."""
    # Weights of an archive stay in the file until their shapes have been compared.
    is_archive = check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except Exception as error:  # torch raises many kinds: unpickling, zip, runtime, end of file
        reason = (
            "it asks to run code or is not plain data"
            if "Weights only load failed" in str(error) or "Unsupported" in str(error)
            else "it is damaged or of another kind"
        )
        raise SteeringError(
            f"Expected a .pth file of plain tensors and settings, but {path.name} was refused because "
            f"{reason}; use a file from its author or a .safetensors classifier."
        ) from None
    try:
        card, config = _official_description(content)
        tensors = dict(content["model_state_dict"])
        if not all(isinstance(name, str) and isinstance(t, Tensor) for name, t in tensors.items()):
            raise TypeError("model_state_dict")
        head_code = tensors.get("relation_classifier.positional_encoding.pe")
        if isinstance(head_code, Tensor) and head_code.ndim == 3:
            config = replace(config, positions=head_code.shape[1])
    except SteeringError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise SteeringError(
            f"Expected a relation classifier in the authors' layout, but {path.name} lacks or misstates "
            f"{error}; choose a classifier file."
        ) from error
    if config.use_mean:
        tensors = {name: t for name, t in tensors.items() if not name.startswith("object_extractor.")}
    return filled(built(path, lambda: RelationClassifier(card, config)), tensors, path)


def _official_description(content: Mapping[str, Any]) -> tuple[ClassifierCard, OfficialConfig]:
    """The authors' dict -> card and config. Their maps are renormalised by the "official" rule."""
    config, training = content["config"], content.get("training_config") or {}
    extractor, head = config["extractor"], config["classifier"]
    if head.get("mode", "multiclass") != "multiclass" or head.get("fc_ver", "v1") != "v1":
        raise SteeringError(
            f'Expected a classifier with mode "multiclass" and fc_ver "v1", got "{head.get("mode")}" and '
            f'"{head.get("fc_ver")}"; this variant is not supported.'
        )
    names = {int(index): str(name) for index, name in content["idx_to_rel_name"].items()}
    if sorted(names) != list(range(len(names))):
        raise ValueError("idx_to_rel_name")
    num_timesteps, channels = int(config["num_timesteps"]), int(content["input_channels"])
    if num_timesteps > _MOST_STEPS:
        raise ValueError("num_timesteps")
    timesteps = tuple(sorted({int(t) for t in training.get("timesteps") or range(num_timesteps)}))
    embedding = extractor.get("timestep_embedding") or {}
    relations = tuple(names[i] for i in range(len(names)))
    canonical = tuple(vocabulary_name(name) for name in relations)
    family = _FAMILY_BY_CHANNELS.get(channels, "custom")
    card = ClassifierCard(
        relations=canonical if len(set(canonical)) == len(relations) else relations,
        channels=channels,
        map_size=int(config["map_size"]),
        timesteps=timesteps,
        num_timesteps=num_timesteps,
        sigmas=official_sigmas(family, timesteps, num_timesteps),
        family=family,
        renormalise="official",
        about="converted from the authors' format",
    )
    return card, OfficialConfig(
        d_model=int(config["d_model"]),
        extractor_layers=int(extractor["num_layers"]),
        extractor_heads=int(extractor["nhead"]),
        extractor_feedforward=int(extractor["dim_feedforward"]),
        extractor_query_heads=int(extractor["layer_attn_nheads"]),
        timestep_mode=embedding.get("mode", "pre") if embedding.get("enable") else "off",
        head_layers=int(head["num_layers"]),
        head_heads=int(head["nhead"]),
        head_feedforward=int(head["dim_feedforward"]),
        head_timestep_dim=int(head["timestep_embedding_dim"]),
        dropout=float(extractor.get("dropout", 0.3)),
        head_dropout=float(head.get("dropout", 0.3)),
        use_mean=bool(extractor.get("use_mean", False)),
    )
