"""The host's weights during an evaluation: those made under `torch.inference_mode` stood in for (`hosts.modules`), packed
ones left as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from ...modules import frozen, stored


@contextmanager
def weights_for_autograd(model: nn.Module) -> Iterator[None]:
    """Inside, no parameter and no buffer of `model` is an inference tensor or asks for a gradient; see `frozen`. Packed
    weights stay, and what is computed of bytes is of no class of its own."""
    holds_bytes = any(_holds_bytes(tensor) for _, _, tensor in stored(model))
    plain_results = torch._C.DisableTorchFunctionSubclass() if holds_bytes else nullcontext()
    with frozen(model, leave=unpacked_when_used), plain_results:
        yield


def unpacked_when_used(tensor: Tensor) -> bool:
    """Whether a weight is packed - the host's quantised tensors, the bytes of GGUF files - and becomes an ordinary tensor
    anew at each use."""
    return type(tensor).__torch_dispatch__ is not Tensor.__torch_dispatch__ or _holds_bytes(tensor)


def _holds_bytes(tensor: Tensor) -> bool:
    """Whether a weight is a class of its own over bytes, as packs that load GGUF files make. What is computed of one
    would be of that class too, and such packs undo it by means that an evaluation does not allow."""
    return type(tensor) not in (Tensor, nn.Parameter) and not tensor.is_floating_point()
