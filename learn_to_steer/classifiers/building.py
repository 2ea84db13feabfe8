"""A described classifier becomes a module with weights, or one sentence about its file.

It is built without memory first (torch's meta device), so that sizes are compared before any is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import SteeringError
from .header import MOST_BYTES
from .reader import RelationReader

T = TypeVar("T", bound=nn.Module)


def built(path: Path, build: Callable[[], T]) -> T:
    """What `build` gives, without memory for its weights; a SteeringError about the file where its sizes make no module or
    one larger than any classifier."""
    try:
        with torch.device("meta"):
            module = build()
        size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    except SteeringError:
        raise
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError, ArithmeticError) as error:
        raise SteeringError(
            f"Expected sizes a classifier can be built from, but those in {path.name} make none "
            f"({type(error).__name__}); choose another file."
        ) from error
    if size > MOST_BYTES:
        raise SteeringError(
            f"Expected a classifier of at most {MOST_BYTES // 2**20} MB, but {path.name} describes one of {size // 2**20} "
            "MB; choose a classifier file."
        )
    return module


def check_shapes(module: nn.Module, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raises SteeringError unless names and shapes are exactly those of the module."""
    own = {name: tuple(t.shape) for name, t in module.state_dict().items()}
    missing, unknown = sorted(own.keys() - shapes.keys()), sorted(shapes.keys() - own.keys())
    if missing or unknown:
        raise SteeringError(
            f"Expected exactly the weights of the described classifier, but {path.name} lacks "
            f"{_some(missing)} and has {_some(unknown)} besides; choose a file that matches its description."
        )
    for name, shape in own.items():
        if shapes[name] != shape:
            raise SteeringError(
                f"Expected {name} of shape {shape}, {path.name} has {shapes[name]}; choose a file that matches its "
                "description."
            )


def filled(module: RelationReader, tensors: Mapping[str, Tensor], path: Path) -> RelationReader:
    """The module, so far without memory, with these weights on the CPU, in evaluation mode. Raises SteeringError unless
    names and shapes are exactly its own and every weight is finite."""
    check_shapes(module, {name: tuple(t.shape) for name, t in tensors.items()}, path)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise SteeringError(
                f"Expected finite weights, but {name} in {path.name} is not; download the file again."
            )
    module.to_empty(device="cpu")
    module.load_state_dict(dict(tensors), strict=True)
    return module.eval()


def _some(names: list[str]) -> str:
    return (
        ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        if names
        else "nothing"
    )
