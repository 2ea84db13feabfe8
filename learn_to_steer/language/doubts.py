"""Which statements are certain enough to be steered, and why the others are not.

A wrong relation moves a picture for nothing, a missed one can be given by hand: where a phrase may be a
manner of speaking, it is doubted.
"""

from __future__ import annotations

import re

from .discourse import Said, Statement
from .groups import HANGING
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .matching import TEXT
from .relations import Relation
from .words import NounPhrase

# Words of place that serve many other purposes too.
_WEAK = frozenset(
    "on onto upon over under in inside within behind above below beneath underneath between near close to "
    "beside by in between".split()
) | {"in between", "close to", "near to", "next to"}
_ON = frozenset({"on", "onto", "upon", "over", "on top", "on top of"})
_DOWN = frozenset({"on", "onto", "upon", "over"})
_INSIDE_OF_THINGS = ("at the top of", "at top of", "at the bottom of", "at bottom of", "in the front of", "at the front of",
                     "in the back of", "at the back of", "in the rear of", "at the rear of")  # fmt: skip
_LIMBS = frozenset(
    "hand hands arm arms foot feet leg legs head face finger fingers knee knees elbow elbows palm palms fist hair "
    "chin cheek tongue eyes".split()
)
# Media that are things as well: "a pencil in a cup", but "pencil on paper".
_DRAWN = frozenset(
    "painting watercolor watercolour drawing art artwork oil acrylic gouache ink pencil charcoal pastel pastels crayon "
    "video book".split()
)
_CLOTHES = lex.WEARABLES - kinds.BODY - frozenset("umbrella backpack handle lid mask crown ring".split())
_VIEWERS = frozenset("camera lens viewer viewers".split())
_DEVICES = frozenset("phone cellphone smartphone telephone laptop computer tablet radio microphone".split())
_VEHICLES = frozenset("bus train plane airplane aeroplane subway tram metro flight".split())
_LAMPS = frozenset(
    "traffic street signal stop warning brake tail head ceiling desk night floor porch neon led string fairy "
    "christmas stage stadium".split()
)
_SKY = frozenset("sky skies heavens horizon weather".split())
_WEATHER = frozenset("rain snow wind breeze storm storms lightning air thunder snowfall rainfall".split())
_NOUNS_TOO = lex.NOUN_LIKE_ADJECTIVES | frozenset("square oval light dark round".split())
_MANY = re.compile(r"\d{2,}")


def is_denied(statement: Statement) -> bool:
    """Whether the sentence says that there is no such thing: "next to no other animals"."""
    for noun in (statement.subject, statement.object):
        if noun.determiner in ("no", "neither") or noun.head in lex.NO_THINGS or noun.words[0] == "no":
            return True
    return False


def doubt(text: str, statement: Statement) -> str:
    """Why the statement is not certain enough to be steered, in a few words; "" where it is certain.

    text: the prompt with its markup blanked.
    """
    subject, said, other = statement.subject, statement.said, statement.object
    if reason := doubt_of_setting(statement):
        return reason
    reasons = (_title(text, subject, said, other), _picture(subject, said, other), _manner(statement),
               _kinds(subject, said, other), _measure(said, other), _bare(subject, said, other))  # fmt: skip
    return next((reason for reason in reasons if reason), "")


def doubt_of_setting(statement: Statement) -> str:
    """The doubts that hold in every language: settings and quoted text."""
    if statement.setting:
        return f'"{statement.said.word} {statement.object.text}" may only be the setting'
    if TEXT in statement.subject.words or TEXT in statement.object.words:
        return "quoted text is no thing of the scene"
    return ""


def _picture(subject: NounPhrase, said: Said, other: NounPhrase) -> str:
    weak = said.word in _WEAK or said.word in _ON
    if len(subject.words) > 1 and subject.words[-2:] == ("picture", "frame"):
        return ""
    if subject.head in lex.FRAMES and not (
        subject.head in ("canvas", "photo", "photograph", "picture") and not weak
    ):
        return f'"{subject.text}" is the picture, not a thing in it'
    pictured = other.head in lex.FRAMES and (other.head not in HANGING or said.word == "on")
    if (pictured and other.head not in ("canvas", "page", "panel")) or other.head in lex.STYLE_WORDS:
        return f'"{other.text}" is the picture, not a thing in it'
    drawn = subject.head in _DRAWN and (subject.determiner or other.determiner or said.word != "on")
    if subject.head in lex.STYLE_WORDS or (weak and subject.head in kinds.TAGS and not drawn):
        return f'"{subject.text}" is a tag or a manner of drawing'
    brand = (
        not other.determiner and other.words[0] in kinds.MEDIA
    )  # "on Kodak Portra", but "on a window sill"
    if said.word in ("on", "onto", "upon") and (other.head in kinds.MEDIA or brand):
        return f'"{said.word} {other.text}" may be a print, a medium or a site'
    if said.word in _ON and subject.head in kinds.PRINTS:
        return f'"{subject.text}" may be printed on the thing'
    if said.word in _DOWN and said.verb in kinds.PRINTING:
        return f'"{said.verb} {said.word}" is no place above'
    return ""


def _manner(statement: Statement) -> str:
    said = statement.said
    if said.word in _INSIDE_OF_THINGS:
        return f'"{said.word}" may mean a part of the thing'
    subject, other = statement.subject, statement.object
    if other.head in _VIEWERS and said.relation in (Relation.IN_FRONT_OF, Relation.BEHIND):
        return f'"{said.word} the {other.head}" is where the picture is taken'
    if said.word == "on" and other.head in _DEVICES and subject.head in kinds.PEOPLE:
        return f'"on the {other.head}" is using it, not above it'
    if said.word == "on" and other.head in _VEHICLES and subject.head in kinds.PEOPLE:
        return f'"on the {other.head}" is inside it, not above it'
    worn = subject.head in _CLOTHES or bool(subject.attribute and subject.attribute.head in lex.WEARABLES)
    if said.word in ("over", "under", "beneath", "underneath") and worn and other.head in _CLOTHES:
        return f'"{subject.text} {said.word} {other.text}" is how it is worn'
    if statement.own:
        return f'"{statement.object.text}" is a part of the subject itself'
    if said.word.startswith("from "):
        return ""
    if said.verb in kinds.LOOKING and said.verb not in ("facing", "faces", "turned", "turning"):
        return f'"{said.verb} {said.word}" is where somebody looks'
    if said.verb in kinds.LOOKING and said.relation in (Relation.LEFT, Relation.RIGHT):
        return f'"{said.verb} {said.word}" is where somebody looks'
    if said.word in _DOWN and said.verb in kinds.MANNER:
        return f'"{said.verb} {said.word}" is a manner of speaking'
    if said.word in ("on", "upon", "onto") and said.verb in kinds.LIGHTING:
        return f'"{said.verb} {said.word}" is light, not a place'
    return ""


def is_abstract(noun: NounPhrase) -> bool:
    """Whether the noun names what cannot be seen."""
    if noun.head in kinds.ABSTRACT:
        return True
    return noun.head.endswith(kinds.ABSTRACT_ENDINGS) and noun.head not in kinds.ABSTRACT_ENDING_THINGS


def _kinds(subject: NounPhrase, said: Said, other: NounPhrase) -> str:
    weak = said.word in _WEAK or said.word in _ON
    sideways = said.relation is not None and said.relation.signs is not None and not weak
    for noun in (subject, other):
        if noun is other and other.only_adjectives and not other.determiner and other.head not in _NOUNS_TOO:
            return f'"{other.text}" names no thing'
        if noun is other and weak and noun.words[-1] in kinds.ABSTRACT and noun.text.islower():
            return f'"{noun.text}" may be nothing that can be seen'
        if is_abstract(noun) and not (sideways and noun is subject):
            return f'"{noun.text}" may be nothing that can be seen'
    if not weak:
        return ""
    names = other.text.split()
    if (
        said.word == "on"
        and other.determiner == "the"
        and all(name[0].isupper() for name in names if name.isalpha())
    ):
        return f'"on the {other.text}" may only be where it is'
    if subject.head in kinds.EVENTS or (said.relation is Relation.BETWEEN and subject.head in kinds.ABSTRACT):
        return f'"{subject.text}" happens, it has no place'
    lamp = len(subject.words) > 1 and subject.words[-2] in _LAMPS
    hour = subject.head == "sun" and (
        said.word == "on" or (said.verb in kinds.LIGHTING and said.word in _DOWN)
    )
    weather = subject.head in _SKY or (subject.head in _WEATHER and said.word in _DOWN) or hour
    if weather or (subject.head in kinds.LIGHT and not lamp):
        return f'"{subject.text}" is light or weather, not a thing'
    if other.head in _SKY and said.word not in ("under",):
        return f'"{other.text}" is light or weather, not a thing'
    on_body = other.head in kinds.BODY and not other.words[0].endswith("'s")
    bare = not subject.determiner and not other.determiner
    if bare and (subject.head in _LIMBS or (said.word == "over" and other.head in kinds.BODY)):
        return f'"{subject.text} {said.word} {other.text}" is a pose'
    if said.word == "on" and subject.head in kinds.BODY and other.head in kinds.BODY:
        return f'"{subject.text}" is a part of the body'
    limb = subject.head in _LIMBS and said.word in ("on", "over", "behind", "between", "under", "in")
    if limb and (on_body or (other.words and other.words[-1] in kinds.BODY)):
        return f'"{subject.text} {said.word} {other.text}" is a pose'
    return ""


def _measure(said: Said, other: NounPhrase) -> str:
    first = other.words[0]
    numeral = first in lex.NUMERALS or first[0].isdigit()
    if said.word not in _WEAK and said.word not in _ON:
        return ""
    if numeral and (other.head in kinds.UNITS or (not other.determiner and _MANY.fullmatch(first))):
        return f'"{said.word} {other.text}" is a measure'
    if numeral and len(other.words) > 1 and other.words[1].endswith("ing"):
        return f'"{said.word} {first}" is a measure'  # "children under nine playing chess"
    return ""


def _bare(subject: NounPhrase, said: Said, other: NounPhrase) -> str:
    """ "a man behind schedule": one thing without an article is a state, unless it is a mass or a name."""
    if said.word not in ("over", "under", "above", "below", "beneath", "behind", "near", "inside", "within"):
        return ""
    if other.determiner or not subject.determiner or len(other.words) > 1 or other.head in kinds.MASSES:
        return ""
    plural = other.head.endswith("s") and not other.head.endswith(("ss", "us", "is"))
    name = other.text[:1].isupper()
    if plural or name or other.words[0] in lex.NUMERALS or not other.head.isascii():
        return ""
    return f'"{said.word} {other.text}" may be a state, not a place'


def _title(text: str, subject: NounPhrase, said: Said, other: NounPhrase) -> str:
    """ "Ghost in the Shell" in a sentence that is otherwise in lower case."""
    if said.word not in _WEAK:
        return ""
    start, end = subject.noun[1], other.span[0]
    between = text[start:end].split()
    if not 1 <= len(between) <= 3 or not other.text[:1].isupper() or not text[subject.noun[0]].isupper():
        return ""
    relation_capital = between[0][:1].isupper()
    if (subject.determiner and not relation_capital) or text.isupper():
        return ""
    before = text[: subject.span[0]].rstrip()
    opens_sentence = not before or before[-1] in ".!?\n"
    named = len(between) > 1 and between[-1].lower() == "the"
    words = [w for w in text.split() if w[:1].isalpha()]
    capitals = sum(w[0].isupper() for w in words)
    if capitals > 0.7 * len(words) and not named:
        return ""
    if relation_capital or (named and not opens_sentence):
        return f'"{" ".join(text[subject.span[0] : other.span[1]].split())}" may be a title'
    return ""
