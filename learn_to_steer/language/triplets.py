"""The relations of prompts: parsed, or given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SteeringError
from .mentions import find_words
from .parse import parse_relations
from .relations import RelationTriplet, canonical_relation

Triplet = RelationTriplet | tuple[str, str, str]
"""A relation triplet, or (subject words, relation name, object words) of the prompt."""


def understood_triplets(
    prompts: Sequence[str],
    given: Sequence[Triplet] | Sequence[Sequence[Triplet]] | None = None,
    single: bool = False,
) -> list[list[RelationTriplet]]:
    """The relations of each prompt: parsed, or as `given` by hand, one list per prompt.

    single: with one prompt `given` may be just its list. Raises SteeringError for words that are not in the
    prompt, relations that are not in the vocabulary, and a wrong number of lists.
    """
    if given is None:
        return [list(parse_relations(prompt)) for prompt in prompts]
    lists: list[Any] = list(given)
    if single and (
        not lists or isinstance(lists[0], RelationTriplet) or isinstance(next(iter(lists[0]), None), str)
    ):
        lists = [lists]
    if len(lists) != len(prompts):
        raise SteeringError(
            f"Expected one list of triplets for each of {len(prompts)} prompts, got {len(lists)}; "
            "give a list per prompt."
        )
    return [[_triplet(prompt, t) for t in of_image] for prompt, of_image in zip(prompts, lists, strict=True)]


def _triplet(prompt: str, given: Triplet) -> RelationTriplet:
    if isinstance(given, RelationTriplet):
        return given
    if len(given) != 3:
        raise SteeringError(f"Expected (subject, relation, object), got {given!r}; give three texts.")
    subject, relation, other = given
    first, second = find_words(prompt, subject), find_words(prompt, other)
    return RelationTriplet(subject, canonical_relation(relation), other, first, second, first, second)


def written_triplet(line: str) -> tuple[str, str, str]:
    """The three parts of "dog | right of | teddy bear". Raises SteeringError for a text of another form."""
    parts = [part.strip() for part in line.split("|")]
    if len(parts) != 3 or not all(parts):
        raise SteeringError(
            f'Expected a triplet "SUBJECT | RELATION | OBJECT" such as "dog | right of | teddy bear", got '
            f'"{line.strip()}"; separate its parts by a vertical bar.'
        )
    return parts[0], parts[1], parts[2]
