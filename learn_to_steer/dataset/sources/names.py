"""Names of objects as prompts need them, and pairs of names that a picture cannot tell apart."""

from __future__ import annotations

import re

from .base import PHRASES

LONGEST = 40

_PLAIN = re.compile(r"[^\W\d_]+(?:[ '\-][^\W\d_]+)*")
_OF_PHRASES = {word for phrases in PHRASES.values() for phrase in phrases for word in phrase.split()}

KINDS: dict[str, frozenset[str]] = {
    general: frozenset(special.split())
    for general, special in {
        "person": "man woman boy girl child kid baby lady guy player skier surfer rider driver pedestrian people",
        "people": "man woman boy girl child kid person men women children crowd",
        "child": "boy girl kid baby",
        "man": "guy boy player",
        "woman": "lady girl",
        "animal": "dog cat horse cow sheep elephant bear zebra giraffe bird puppy kitten lamb goat duck",
        "bird": "duck goose pigeon seagull parrot owl penguin chicken",
        "vehicle": "car truck bus van train motorcycle bike bicycle boat taxi suv",
        "car": "taxi suv van",
        "bike": "bicycle motorcycle",
        "food": "pizza sandwich cake bread fruit vegetable meat salad donut",
        "fruit": "apple banana orange strawberry lemon grape",
        "vegetable": "carrot broccoli tomato onion pepper",
        "furniture": "chair table couch sofa bed desk cabinet dresser shelf",
        "couch": "sofa",
        "plant": "tree flower bush grass",
        "clothing": "shirt jacket coat pants dress jeans hat shoe sock",
        "coat": "jacket",
        "pants": "jeans shorts",
        "building": "house church tower barn",
        "container": "box bowl basket cup bottle jar",
        "drink": "coffee wine beer juice water",
        "laptop": "computer",
        "cup": "mug glass",
    }.items()
}
"""What is a kind of what, of the objects that photographs show most often."""


def name_of(value: object) -> str | None:
    """A name as a prompt can hold it: letters, single spaces, hyphens and apostrophes, in lower case; None for anything
    else, and for names that contain a word of the relations ("left", "top")."""
    if not isinstance(value, str):
        return None
    name = " ".join(value.replace("_", " ").split()).lower()
    if not name or len(name) > LONGEST or not _PLAIN.fullmatch(name):
        return None
    return None if _OF_PHRASES & set(name.split()) else name


def alike(a: str, b: str) -> bool:
    """Whether one name may stand for the other: the same one, the plural, a part of it ("bear", "teddy bear"), a kind of
    it ("person", "woman")."""
    one, other = _single(a), _single(b)
    if one == other or set(one.split()) <= set(other.split()) or set(other.split()) <= set(one.split()):
        return True
    heads = one.split()[-1], other.split()[-1]
    return any(y in KINDS.get(x, ()) for x, y in (heads, heads[::-1], (a, b), (b, a)))


def _single(name: str) -> str:
    for ending, kept in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("s", "")):
        if name.endswith(ending) and not name.endswith("ss") and len(name) > len(ending) + 1:
            return name.removesuffix(ending) + kept
    return name
