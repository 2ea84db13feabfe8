"""Which class of the host is this? Told by its name, so that nothing of the host is imported to ask.

A model of a class can only be met where the host has imported that class. A host that lacks a class, or has moved it,
thus loses the models of this class and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

MODULES = "comfy.ldm."
"""The package of the host with its networks; names in tables are given without it."""


def names_of(kind: type) -> list[str]:
    """The names of a class and of those it is made from, the host's without `comfy.ldm.`: "flux.model.Flux"."""
    return [f"{c.__module__}.{c.__qualname__}".removeprefix(MODULES) for c in kind.__mro__]


def is_a(thing: Any, names: str | Iterable[str]) -> bool:
    """Whether a thing is of one of these classes of the host, or of one made from them."""
    wanted = {names} if isinstance(names, str) else set(names)
    return not wanted.isdisjoint(names_of(type(thing)))


def is_exactly(thing: Any, name: str) -> bool:
    """Whether a thing is of this class of the host itself."""
    return names_of(type(thing))[0] == name
