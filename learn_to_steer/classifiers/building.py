"""A described classifier becomes a module with weights, or one sentence about its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from ..errors import SteeringError
from .reader import RelationReader

T = TypeVar("T")


def built(path: Path, build: Callable[[], T]) -> T:
    """What `build` gives; a SteeringError about the file where its sizes make no module."""
    try:
        return build()
    except SteeringError:
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError) as error:
        raise SteeringError(
            f"Expected sizes a classifier can be built from, but those in {path.name} make none "
            f"({type(error).__name__}); choose another file."
        ) from error


def filled(module: RelationReader, tensors: dict[str, Tensor], path: Path) -> RelationReader:
    """The module with these weights, in evaluation mode. Raises SteeringError unless names and shapes are exactly its own
    and every weight is finite."""
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
