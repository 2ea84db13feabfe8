"""Classifiers on disk: our .safetensors, and the authors' .pth.

Ours: one safetensors file, tensors as in the module's state dict, everything else as JSON in its metadata.
Theirs: a pickled dict of plain data and tensors, read with `torch.load(weights_only=True)` and nothing else,
so that a file that carries code is refused without running it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from .classifier import ClassifierCard, OfficialConfig, RelationClassifier, RelationReader
from .errors import SteeringError
from .language import canonical_relation
from .symmetric import SymmetricConfig, SymmetricRelationClassifier

FORMAT = "learn-to-steer-classifier"
VERSION = 1

# Channels (heads of all cross-attention layers) of the models the authors published classifiers for.
_FAMILY_BY_CHANNELS = {128: "sd1", 195: "sd2", 1368: "flux"}

T = TypeVar("T")


def load_classifier(path: str | os.PathLike[str]) -> RelationReader:
    """The classifier in a .safetensors or .pth file, on the CPU, in eval mode.

    Raises SteeringError for a missing, damaged or foreign file, a pickle that carries code, an unknown
    architecture, and weights that do not fit their description.
    """
    path = Path(path)
    if not path.is_file():
        raise SteeringError(f"Expected a classifier file at {path}, found none; check the path.")
    if path.suffix.lower() == ".safetensors":
        return _load_safetensors(path)
    if path.suffix.lower() in (".pth", ".pt"):
        return _load_pth(path)
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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


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


def _load_safetensors(path: Path) -> RelationReader:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise SteeringError(
            f"Expected a whole safetensors file, but {path.name} is damaged or of another kind; download it "
            "again."
        ) from error
    try:
        description = json.loads(metadata[FORMAT])
        version, architecture = description["version"], description["architecture"]
        card, config = _record(ClassifierCard, description["card"]), description["config"]
    except SteeringError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise SteeringError(
            f"Expected a relation classifier, but {path.name} holds no description of one; choose a "
            "classifier file."
        ) from error
    if version != VERSION:
        raise SteeringError(
            f"Expected version {VERSION} of the classifier format, {path.name} has {version}; update this "
            "package."
        )
    module: RelationReader
    if architecture == "official":
        module = _built(path, lambda: RelationClassifier(card, _record(OfficialConfig, config)))
    elif architecture == "symmetric":
        module = _built(path, lambda: SymmetricRelationClassifier(card, _record(SymmetricConfig, config)))
    else:
        raise SteeringError(
            f'Expected the architecture "official" or "symmetric", {path.name} has "{architecture}"; '
            "update this package."
        )
    return _filled(module, tensors, path)


def _load_pth(path: Path) -> RelationReader:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
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
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SteeringError(
            f"Expected a relation classifier in the authors' layout, but {path.name} lacks or misstates "
            f"{error}; choose a classifier file."
        ) from error
    if config.use_mean:
        tensors = {name: t for name, t in tensors.items() if not name.startswith("object_extractor.")}
    return _filled(_built(path, lambda: RelationClassifier(card, config)), tensors, path)


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
    timesteps = tuple(sorted({int(t) for t in training.get("timesteps") or range(num_timesteps)}))
    embedding = extractor.get("timestep_embedding") or {}
    relations = tuple(names[i] for i in range(len(names)))
    canonical = tuple(_canonical(name) for name in relations)
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


def _canonical(name: str) -> str:
    try:
        return str(canonical_relation(name).value)
    except SteeringError:
        return name


def _record(kind: type[T], values: Mapping[str, Any]) -> T:
    """A frozen dataclass out of JSON: lists become tuples, unknown names are an error."""
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - known):
        raise SteeringError(
            f"Expected classifier settings among {', '.join(sorted(known))}, got {', '.join(unknown)}; "
            "update this package."
        )
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _built(path: Path, build: Any) -> Any:
    try:
        return build()
    except SteeringError:
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError) as error:
        raise SteeringError(
            f"Expected sizes a classifier can be built from, but those in {path.name} make none "
            f"({type(error).__name__}); choose another file."
        ) from error


def _filled(module: RelationReader, tensors: dict[str, Tensor], path: Path) -> RelationReader:
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        raise SteeringError(
            f"Expected exactly the weights of the described classifier, but {path.name} lacks "
            f"{_some(missing)} and has {_some(unknown)} besides; choose a file that matches its description."
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise SteeringError(
                f"Expected {name} of shape {tuple(own[name].shape)}, {path.name} has {tuple(tensor.shape)}; "
                "choose a file that matches its description."
            )
        if not tensor.isfinite().all():
            raise SteeringError(
                f"Expected finite weights, but {name} in {path.name} is not; download the file again."
            )
    module.load_state_dict(tensors, strict=True)
    return module.eval()


def _some(names: list[str]) -> str:
    return (
        ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        if names
        else "nothing"
    )
