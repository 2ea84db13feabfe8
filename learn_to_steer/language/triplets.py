"""The relations of prompts: parsed, or given by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import SteeringError
from .mentions import find_two
from .objects import with_given
from .parse import Understanding, limited, read_prompt
from .relations import RelationTriplet, canonical_relation

Triplet = RelationTriplet | tuple[str, str, str]
"""A relation triplet, or (subject words, relation name, object words) of the prompt."""


def understandings(
    prompts: Sequence[str],
    given: Sequence[Triplet] | Sequence[Sequence[Triplet]] | None = None,
    single: bool = False,
) -> list[Understanding]:
    """What each prompt says: parsed, or the relations as `given` by hand, one list per prompt.

    single: with one prompt `given` may be just its list. Articles in `given` are free ("the dog" is found in
    "a dog"); the same words twice are the first and the second mention. A relation that the parser doubts is as good
    as any other there. Of more than MAX_RELATIONS the first are kept and the `note` names the others. Raises
    SteeringError for words that are not in the prompt, one mention on both sides, relations that are not in the
    vocabulary, and a wrong number of lists.
    """
    if given is None:
        return [read_prompt(prompt) for prompt in prompts]
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
    by_hand = [
        [_triplet(prompt, t) for t in of_image] for prompt, of_image in zip(prompts, lists, strict=True)
    ]
    found = []
    for prompt, (kept, note) in zip(prompts, map(limited, by_hand), strict=True):
        found.append(Understanding(kept, note=note, objects=with_given(read_prompt(prompt).objects, kept)))
    return found


def understood_triplets(
    prompts: Sequence[str],
    given: Sequence[Triplet] | Sequence[Sequence[Triplet]] | None = None,
    single: bool = False,
) -> list[list[RelationTriplet]]:
    """The relations of `understandings`."""
    return [list(one.relations) for one in understandings(prompts, given, single)]


def _triplet(prompt: str, given: Triplet) -> RelationTriplet:
    if isinstance(given, RelationTriplet):
        (a, b), (c, d) = given.subject_span, given.object_span
        if a < d and c < b:
            raise SteeringError(
                f'Expected a triplet of two mentions, got "{given.subject}" and "{given.object}" at the same place '
                "of the prompt; give two things."
            )
        return given
    if len(given) != 3:
        raise SteeringError(f"Expected (subject, relation, object), got {given!r}; give three texts.")
    subject, relation, other = given
    canonical = canonical_relation(relation)
    first, second = find_two(prompt, subject, other)
    return RelationTriplet(
        _words(prompt, first), canonical, _words(prompt, second), first, second, first, second
    )


def _words(prompt: str, span: tuple[int, int]) -> str:
    return " ".join(prompt[slice(*span)].split())


def written_triplet(line: str) -> tuple[str, str, str]:
    """The three parts of "dog | right of | teddy bear". Raises SteeringError for a text of another form."""
    parts = [part.strip() for part in line.split("|")]
    if len(parts) != 3 or not all(parts):
        raise SteeringError(
            'Expected a triplet "SUBJECT | RELATION | OBJECT" such as "dog | right of | teddy bear", '
            f'got "{line.strip()}"; separate its parts by a vertical bar.'
        )
    return parts[0], parts[1], parts[2]
