"""Whose words is a conditioning made of? Told by its text states, never by its length.

A relation belongs to the text states that its prompt was encoded to. Each token's state is known by a digest. A
conditioning carries the prompt where these states stand in it, one behind the other: areas, masks, timestep ranges and
ControlNet leave them as they are, a concatenation shifts them, an average or zeros replace them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .relations import PromptRelations


def digests(states: Tensor) -> tuple[bytes, ...]:
    """One digest for each token of text states (T, width), of any dtype and device. Equal numbers have equal digests."""
    rows = states.detach().to("cpu", torch.float32) + 0.0  # no negative zeros
    return tuple(hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in rows)


def owned(relations: PromptRelations, conditioning: Iterable[Sequence[Any]]) -> PromptRelations:
    """The relations with the states of their own conditioning, as the host's text encoder gives it: (states, extra) pairs,
    states (B, T, width)."""
    states = dict.fromkeys(digests(one) for pair in conditioning for one in _images(pair[0]))
    return replace(relations, states=tuple(states))


def joined(one: PromptRelations, more: PromptRelations) -> PromptRelations | None:
    """The relations of both, where both are of the same text states; None where they are not."""
    if one.text != more.text or one.length != more.length or one.states != more.states:
        return None
    triplets = tuple(dict.fromkeys((*one.triplets, *more.triplets)))
    positions = tuple(sorted({**dict(one.positions), **dict(more.positions)}.items()))
    things = {thing.noun: thing for thing in (*more.objects, *one.objects)}
    objects = tuple(things[noun] for noun in sorted(things))
    return replace(one, triplets=triplets, positions=positions, objects=objects)


def places(relations: PromptRelations, states: Any) -> tuple[int, ...]:
    """The token positions at which the prompt begins in these text states (B, T, width); none: another prompt's, or its
    own but changed. In a batch it must begin at the same positions everywhere."""
    found: set[int] | None = None
    for one in _images(states):
        rows = digests(one)
        here = {at for own in relations.states for at in _starts(rows, own)}
        found = here if found is None else found & here
    return tuple(sorted(found or ()))


def placed(weights: Tensor, begins: Sequence[int], length: int) -> Tensor:
    """Token weights (B, O, T) of a prompt, in a text of `length` tokens in which it begins at these positions."""
    whole = weights.new_zeros(*weights.shape[:2], length)
    for at in begins:
        whole[..., at : at + weights.shape[2]] += weights
    return whole


def _images(states: Any) -> list[Tensor]:
    return list(states) if isinstance(states, Tensor) and states.ndim == 3 else []


def _starts(rows: Sequence[bytes], own: Sequence[bytes]) -> list[int]:
    """Where `own` stands in `rows`."""
    last = len(rows) - len(own)
    return [at for at in range(last + 1) if own and tuple(rows[at : at + len(own)]) == tuple(own)]
