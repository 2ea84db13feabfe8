"""Prompt rewriting by rule: a baseline that costs nothing.

A rewrite of the prompt by a language model is reported to help large models much; this one is made without a model, so that
anybody draws with the same words. The prompt stays as it is in front, and behind it each object is put on its side of the
picture: "a dog left of a cat. The dog is on the left side of the picture, the cat is on the right side of the picture."
"""

from __future__ import annotations

from collections.abc import Sequence

from ..language import Relation, RelationTriplet, parse_relations

_ACROSS = {-1: "on the left side", 1: "on the right side"}
_DOWN = {-1: "in the upper half", 1: "in the lower half"}
_OTHER = {
    Relation.NEXT_TO: "The {subject} and the {object} are close together.",
    Relation.IN_FRONT_OF: "The {subject} is near, the {object} is further away.",
    Relation.BEHIND: "The {subject} is far away, the {object} is nearer.",
}


def rewritten(prompt: str) -> str:
    """The prompt, followed by a sentence for each of its relations; the prompt itself where it states none that the rule
    puts into other words. The characters of the prompt keep their places."""
    sentences = [s for s in map(_sentence, parse_relations(prompt)) if s]
    if not sentences:
        return prompt
    end = "" if prompt.rstrip().endswith((".", "!", "?")) else "."
    return " ".join([prompt.rstrip() + end, *sentences])


def _sentence(triplet: RelationTriplet) -> str:
    subject, other = " ".join(triplet.subject.split()), " ".join(triplet.object.split())
    if triplet.relation in _OTHER:
        return _OTHER[triplet.relation].format(subject=subject, object=other)
    if triplet.relation.signs is None:
        return ""
    first, second = _place(triplet.relation.signs, 1), _place(triplet.relation.signs, -1)
    return f"The {subject} is {first} of the picture, the {other} is {second} of the picture."


def _place(signs: Sequence[int], end: int) -> str:
    """Where the subject (end 1) or the object (end -1) is."""
    across, down = (sign * end for sign in signs)
    return " and ".join(words[sign] for words, sign in ((_DOWN, down), (_ACROSS, across)) if sign)
