"""Relation phrases with their objects."""

from __future__ import annotations

from .discourse import Said, is_plural
from .groups import CONNECTORS, MAX_GROUP
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .phrases import Kind
from .places import PlaceReader
from .relations import Relation, combine, relation_of_offset
from .words import NounPhrase

_PARTS = frozenset("on above over under below beneath inside in behind".split()) | {"in front of"}
_HANGING = frozenset("hanging lying leaning perched floating mounted".split())
_LIFTING = frozenset("holding holds raising raises lifting lifts".split())
_PREPOSITIONS = frozenset(
    "of from for at by into through across along during against around in on to with".split()
)
_STACKED = {"above": (0, -1), "below": (0, 1)}
_IN_PLACE = frozenset("in on at along through".split())
# Where small things sit on somebody: "a bird on his hand".
_PERCHES = frozenset("hand hands finger fingers shoulder shoulders head lap arm arms wrist palm nose".split())


class RelationReader(PlaceReader):
    """Reads a relation where it stands: "X left of Y", "left of Y is X", "X with Y behind it"."""

    def _said(self, i: int) -> Said:
        before = self._at(i - 1)
        if before.kind is Kind.ATTACH and before.word in ("out", "down", "up", "away", "together", "off"):
            before = self._at(i - 2)
        verb = before.word if before.kind in (Kind.ATTACH, Kind.VERB) else ""
        return Said(self._at(i).relation, self._at(i).word, verb)

    def _relations(self, i: int) -> tuple[list[Said], int]:
        """The relations that share one object ("above and to the left of") -> (relations, next index)."""
        said = [self._said(i)]
        i += 1
        while len(said) < MAX_GROUP:
            j = self._skip(i, *CONNECTORS)
            if j == i or self._at(j).kind is not Kind.RELATION or self._at(j + 1).kind is Kind.PRONOUN:
                break
            joined = any(c.kind is Kind.AND for c in self.chunks[i:j])
            if not joined and said[-1].relation is not None:
                break
            last, new = said[-1].relation, self._at(j).relation
            if not joined and self._at(i).word != "but":
                break
            both = combine(last, new) if last and new else None
            other = Said(new, self._at(j).word, said[-1].verb)
            said[-1:] = [Said(both, "and", other.verb)] if both else [said[-1], other]
            i = j + 1
        return said, i

    def _relation(self, i: int) -> int:
        said, j = self._relations(i)
        k = self._skip(j, Kind.SEPARATOR)
        if len(said) == 1 and said[0].word == "and" and k == j + 1 and self._at(k).kind is Kind.NOUN:
            j = k  # "to the right of, and slightly below, a balloon"
        after = self._at(j)
        if after.kind is Kind.PRONOUN:
            return self._pronoun_object(i, j, said)
        if after.kind is Kind.EACH_OTHER:
            if len(self.subjects) > 1 and said[0].relation is Relation.NEXT_TO:
                self._emit(self.subjects[:1], said, self.subjects[1:])
            return j + 1
        if after.noun is None:
            described = self.subjects[-1].attribute if self.subjects else None
            ends = self._at(j).kind in (Kind.STOP, *CONNECTORS)
            k = i - 1 if self._at(i - 1).noun else i - 2  # "with a goldfish swimming inside"
            if described and ends and self._at(k).noun is described and self._with_before(k):
                self._emit([described], said, self.subjects[-1:])  # "a girl with a castle behind"
                self.whole = self.subjects[-1]
            elif ends and said[0].word in _STACKED and self._at(i - 1).noun and self.subjects:
                return self._place(i, j, _STACKED[said[0].word])  # "a cat above, a dog below"
            elif self._at(j).kind is Kind.WHICH and self.subjects:
                return self._beside_which(j, said)
            return j
        signs = said[0].relation.signs if said[0].relation else None
        scene = after.noun.determiner in ("the", "this") and _is_scene(said[0], after.noun)
        if signs and len(said) == 1 and scene:
            return self._place(i, j + 1, signs)
        place, prep = self._at(i - 1).noun, self._at(i - 2).word
        if said[0].word == "adjacent to" and place and place.head in lex.SCENERY and prep in _IN_PLACE:
            self._new_clause([place])  # "a kite in a field adjacent to a lake"
        return self._objects(i, j, said)

    def _beside_which(self, j: int, said: list[Said]) -> int:
        """ "an elephant, to the left of which is a mouse"."""
        at = self._skip(j + 1, Kind.VERB, Kind.EXISTS)
        if self._at(at).kind is not Kind.NOUN:
            return j
        known = self.subjects
        subjects, end = self._following(at)
        self._remember(subjects)
        self._emit(subjects, said, known)
        self._new_clause(subjects)
        self.head = subjects
        return end

    def _objects(self, i: int, j: int, said: list[Said]) -> int:
        """The relation at i with its objects from j on."""
        if self._at(i - 1).word in lex.BE_FORMS and self._at(i - 2).kind is Kind.NOUN and self.head:
            self.subjects = self.head  # "the cat that sits on the sofa is left of the dog"
        starts_here = self._starts_here(i)
        # "a tray, beside the tray a glass": what follows is the subject
        again = starts_here and any(_same(one, self._at(j).noun) for one in self.subjects)
        objects, starts, end = self._group(j, as_subject=False, may_touch=bool(self.subjects) and not again)
        self._remember(objects)
        if starts_here:
            after = self._inverted(end, said, objects)
            if after:
                return after
        if not self.subjects:
            return end
        keep = 2 if said[0].relation is Relation.BETWEEN else 1
        if len(objects) > keep and self._is_predicate(end):
            objects, end = objects[:keep], starts[keep] - 1
        self._state(i, said, objects)
        return end

    def _inverted(self, end: int, said: list[Said], objects: list[NounPhrase]) -> int:
        """ "above the table hangs a lamp": the subject follows. Returns where to go on, 0 where it does not."""
        at = self._skip(end, Kind.VERB, Kind.EXISTS)
        verb = at > end
        if not verb and (not self.subjects or self.reference):
            at = self._skip(end, Kind.SEPARATOR)
            if at > end and self._at(at).kind is Kind.EXISTS:
                at, verb = at + 1, True
        further = self._at(end).kind is Kind.RELATION and self._at(end + 1).kind is Kind.NOUN
        if not self.subjects and further and said[0].word not in ("on", "in"):
            if self._at(end + 2).kind in (Kind.VERB, Kind.EXISTS):
                at, verb = end + 3, True  # "left of the vase on the table is a cup"
        comma = self._at(end).kind is Kind.SEPARATOR
        noun, known = self._at(at).noun, self.subjects
        # "a tray, beside the tray a glass"
        again = noun is not None and _has_start(noun) and any(_same(one, objects[0]) for one in known)
        if noun is None or not (at > end or not known or again):
            return 0
        subjects, after = self._following(at)
        # After a comma a bare noun is a style word: "next to a house, oil painting".
        if comma and not verb and not subjects[0].determiner and subjects[0].words[0] not in lex.NUMERALS:
            return 0
        self._remember(subjects)
        self._emit(subjects, said, objects)
        self._new_clause(subjects)
        self.head, self.reference = subjects, objects
        # "On the desk is a lamp; beside it ..." goes on about the lamp, "behind the house is a tree; beside it" not.
        self.topic = subjects if said[0].word in ("on", "in", "inside") else objects
        return after

    def _state(self, i: int, said: list[Said], objects: list[NounPhrase]) -> None:
        """The current subjects stand so to the objects; the objects are the next subjects."""
        main, first = self.subjects[-1], objects[0]
        described = self._standing_attribute(i, said[0], first)
        own = False
        if described:
            self._emit([described], said, objects)
        else:
            own = main.attribute is None and first.head in kinds.BODY and self._is_own(main, first)
            self._emit(self.subjects, said, objects, own)
        self.head, self.objects = self.subjects, objects
        # "on a mission to the left of a tree": no mission stands there.
        no_thing = lex.SCENERY - lex.FRAMES | kinds.ABSTRACT | kinds.EVENTS
        chained = said[0].relation is not Relation.BETWEEN and first.head not in no_thing
        if chained and not own and not described:
            self.subjects = objects[-1:]

    def _standing_attribute(self, i: int, said: Said, first: NounPhrase) -> NounPhrase | None:
        """What stands there, where it is not the subject itself: "a man with a hat on his head"."""
        main = self.subjects[-1]
        described = main.attribute
        if described is None:
            return None
        somebody = main.head in kinds.PEOPLE | kinds.ANIMALS
        if main.head in kinds.BODY and described.head in kinds.PEOPLE | kinds.ANIMALS:
            return described  # "on the shoulder of a pirate standing on a deck"
        body = first.head in kinds.BODY
        touching = self._at(i - 1).noun is described
        if touching and said.word in ("above", "over") and self._at(i - 2).word in _LIFTING:
            return described  # "a man holding an umbrella over a dog"
        if first.determiner in lex.POSSESSIVES and (body or (touching and main.head not in kinds.PEOPLE)):
            return None if main.head in kinds.PRINTS else described  # "a tattoo of a snake on his arm"
        inner = described if touching else described.attribute
        if inner and self._at(i - 1).noun is inner and inner.head in kinds.ABSTRACT | kinds.EVENTS:
            return inner  # "hinting at a return from a journey on the water"
        if not touching:
            # "a station with a clock hanging above the platform", "a sofa with a cat lying under it"
            with_it = (
                self._at(i - 2).noun is described
                and self._at(i - 4).noun is main
                and self._with_before(i - 2)
            )
            lying = self._at(i - 1).word in _HANGING or described.head in kinds.PEOPLE | kinds.ANIMALS
            verb = self._at(i - 1).kind in (Kind.VERB, Kind.ATTACH)
            return described if with_it and verb and lying and not somebody else None
        part = first.determiner == "the" and main.determiner != "the" and said.word in _PARTS
        if (
            (part or main.head in lex.SCENERY)
            and self._with_before(i - 1)
            and described.head not in lex.WEARABLES
        ):
            return described if body or not somebody else None  # "a piano with a song book above the keys"
        return None

    def _is_own(self, subject: NounPhrase, part: NounPhrase) -> bool:
        """Whether "his knees" are the subject's own: a bird on his hand sits on somebody else's."""
        if part.words[0].endswith("'s"):
            return False
        if (
            self.antecedent
            and self.antecedent[-1].head in kinds.PEOPLE | kinds.ANIMALS
            and part.head in _PERCHES
        ):
            return False
        if part.determiner in ("his", "her", "my", "your", "our"):
            return subject.head in kinds.PEOPLE or part.head not in _PERCHES
        return part.determiner in lex.POSSESSIVES

    def _pronoun_object(self, i: int, j: int, said: list[Said]) -> int:
        """ "a cat with a dog to its left", "There is a cat. A dog is next to it.", "behind it a tree"."""
        word = self._at(j).word
        if word == "one":
            return j + 1
        if said[0].word.endswith("side of") and word == "it" and self.last_objects:
            self._emit(self.subjects, said, self.last_objects[-1:])
            return j + 1
        if self._of_object(i, said, word):
            return j + 1
        if self._starts_here(i):
            after = self._behind_it(i, j, said)
            if after:
                return after
        subjects = self.subjects
        if not subjects:
            return j + 1
        described = subjects[-1].attribute
        if self.objects and subjects == self.head:
            self._emit(subjects, said, self._meant_object(word))
        elif (
            described
            and (self._with_before(i - 1) or self._is_new(i - 1, described))
            and (word in ("it", "them") or self._meant(word, subjects) == subjects[-1:])
        ):
            whole = self._several(subjects[-1]) if word == "them" else subjects[-1:]
            self._emit([*described.fellows, described], said, whole)
            if self._with_before(i - 1):
                self.whole = subjects[-1]
        elif self.setting and word == "it":
            self._emit(subjects, said, [self.setting])
        elif self.antecedent or word in ("her", "him"):
            sideways = said[0].relation in (Relation.LEFT, Relation.RIGHT)
            # "right of the sofa is a lamp, and a table is to its left", "a lamp is right of the sofa and a table to
            # its left": the sofa's
            opposite = sideways and self.last_said is not None and self.last_said.opposite is said[0].relation
            same = (
                self.shared or (self.reference if sideways else []) or (self.last_objects if opposite else [])
            )
            known = same if same and word in ("it", "them") else self._meant(word, self.antecedent)
            meant = [n for n in known if n not in subjects and n.head not in lex.FRAMES | lex.ARTWORKS][-2:]
            self._emit(self.head or subjects, said, meant)
            self.shared = meant
        elif said[0].word == "on top" and len(subjects) == 1:
            return self._place(i, j + 1, _STACKED["above"])
        else:
            self._emit(subjects[1:], said, subjects[:1])
        return j + 1

    def _several(self, noun: NounPhrase) -> list[NounPhrase]:
        """What "them" means behind "cats on a sofa with a lamp": the cats; behind "a fox next to an owl": both."""
        if is_plural(noun) or noun in self.head or not self.head:
            return [noun]
        several = len(self.head) > 1 or is_plural(self.head[0])
        return self.head if several else [*self.head, noun]

    def _is_new(self, i: int, described: NounPhrase) -> bool:
        """Whether an attribute at i may stand beside the subject: "hides a coin lying next to it"."""
        return described.determiner != "the" and self._at(i - 1).word not in _PREPOSITIONS

    def _of_object(self, i: int, said: list[Said], word: str) -> bool:
        """ "next to a river with a bridge over it", "a room with a stove with a hood above it"."""
        noun = self._at(i - 1).noun
        if noun is None or word not in ("it", "them") or not self._with_before(i - 1):
            return False
        if word == "them":  # "a clown between a lion and a tiger with a hoop above them"
            theirs = bool(self.objects) and self.objects[-1].attribute is noun
            if theirs and (len(self.objects) > 1 or is_plural(self.objects[-1])):
                self._emit([noun], said, self.objects)
                return True
            return False
        if self.objects and self.objects[-1].attribute is noun:
            self._emit([noun], said, self.objects[-1:])
            return True
        if (
            noun.holder
            and self.subjects
            and noun is self.subjects[-1].attribute
            and noun.holder is not self.subjects[-1]
        ):
            self._emit([noun], said, [noun.holder])
            return True
        return False

    def _behind_it(self, i: int, j: int, said: list[Said]) -> int:
        """ "..., behind it a surfboard", "behind her, white guns float"."""
        at = self._skip(j + 1, Kind.VERB, Kind.EXISTS, Kind.SEPARATOR)
        noun = self._at(at).noun
        verb = any(c.kind in (Kind.VERB, Kind.EXISTS) for c in self.chunks[j + 1 : at])
        if noun is None or (self._at(i).word in ("on top", "in front", "in back") and not verb):
            return 0
        if at > j + 1 and self._at(at - 1).kind is Kind.SEPARATOR and self.subjects and not _has_start(noun):
            if self._at(at + 1).kind is not Kind.VERB:
                return 0
        known = self.topic or self.head or self.subjects or self.antecedent
        meant = self._meant(self._at(j).word, known)[:2]
        subjects, after = self._following(at)
        self._remember(subjects)
        self._emit(subjects, said, [n for n in meant if n not in subjects])
        self._new_clause(subjects)
        self.head, self.reference, self.topic = subjects, meant, meant
        return after

    def _position(self, i: int) -> int:
        signs = self.chunks[i].position
        after = self._at(i + 1)
        if after.word == "of":  # "in the middle of a road" is a setting, "... of the image" a place
            noun = self._at(i + 2).noun
            if noun is None or noun.head not in lex.FRAMES:
                return i + 1 if noun is None else self._phrase(i + 2, as_subject=False)[1]
            return self._place(i, i + 3, signs)
        if after.kind is Kind.AND and self._at(i + 2).kind is Kind.RELATION:
            mine, (others, j) = relation_of_offset(*signs), self._relations(i + 2)
            both = combine(mine, others[0].relation) if mine and others[0].relation else None
            if both and self._at(j).kind is Kind.NOUN:  # "to the left and above a cat"
                return self._objects(i, j, [Said(both, "and"), *others[1:]])
        return self._place(i, i + 1, signs)


def _same(noun: NounPhrase, again: NounPhrase | None) -> bool:
    """Whether "the tray" is the tray named before."""
    return (
        again is not None
        and again.determiner == "the"
        and again.head == noun.head
        and set(again.words) <= set(noun.words)
    )


def _has_start(noun: NounPhrase) -> bool:
    return bool(noun.determiner) or noun.words[0] in lex.NUMERALS


def _is_scene(said: Said, noun: NounPhrase) -> bool:
    """Whether "on the left side of the room" is a place in the picture rather than a place beside a thing."""
    if noun.head in lex.FRAMES:
        return True
    inside = said.word.startswith(("on ", "in ", "at ")) and said.word.endswith(("side of", "in the left of"))
    return inside and noun.head in lex.SCENERY
