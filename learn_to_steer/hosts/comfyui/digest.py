"""Which weights is a MODEL? A digest that is the same whether they are loaded or not, patched in place or not."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

_PREFIX = "diffusion_model."


def digest_of(model: Any) -> str:
    """SHA-256 of the denoiser's weights of a ModelPatcher and of what is to be patched into them (LoRA).

    Where the host has written patches into the weights, whosever they are, it keeps the ones that were there before: those
    count.
    """
    before = getattr(model, "backup", {})
    found = hashlib.sha256()
    for name, tensor in model.model.diffusion_model.state_dict().items():
        kept = before.get(_PREFIX + name)
        found.update(name.encode())
        _add(found, tensor if kept is None else getattr(kept, "weight", kept))
    for name, patches in sorted(model.patches.items()):
        found.update(name.encode())
        _add(found, patches)
    return found.hexdigest()


def _add(found: Any, value: Any) -> None:
    """Whatever patches are made of: tensors, numbers, names, and objects that hold them."""
    if isinstance(value, Tensor):
        found.update(_bytes(value))
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            found.update(str(key).encode())
            _add(found, value[key])
    elif isinstance(value, (list, tuple)):
        found.update(str(len(value)).encode())
        for one in value:
            _add(found, one)
    elif isinstance(value, (set, frozenset)):
        found.update(repr(sorted(map(str, value))).encode())
    elif hasattr(value, "__dict__"):
        found.update(type(value).__name__.encode())
        if not callable(value):
            _add(found, vars(value))
    else:
        found.update(repr(value).encode())


def _bytes(tensor: Tensor) -> bytes:
    tensor = tensor.detach().cpu()
    try:
        raw: bytes = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    except (RuntimeError, TypeError, NotImplementedError):  # a packed class of the host or of another pack
        raw = tensor.float().numpy().tobytes()
    return raw
