"""Chunks -> statements "this thing stands so to that thing".

The list of chunks is read from left to right, once. The reader keeps the current subjects, and the subjects
of the relation before (`head`), because the three ways to go on mean three things:

    a frog above a sneaker below a teapot       the object is the next subject
    a cat left of a dog and above a mat         "and" + relation: the subject before is meant again
    a cat left of a dog and a bird above a mat  "and" + noun + relation: a new subject
"""

from __future__ import annotations

from dataclasses import dataclass

from .groups import CONNECTORS, MAX_GROUP, GroupReader, is_setting
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .phrases import Chunk, Kind
from .relations import Relation, combine, relation_of_offset
from .words import NounPhrase

_RECENT = 24
_IN_PLACE = frozenset("in on at along through".split())
_PARTS = frozenset("on above over under below beneath inside in behind in front of".split()) | {"in front of"}


@dataclass(frozen=True)
class Said:
    """A relation as a prompt words it. `relation` is None where it is denied; `verb` stands before it."""

    relation: Relation | None
    word: str
    verb: str = ""


@dataclass(frozen=True)
class Statement:
    """One relation between two noun phrases. `own`: the object is a part of the subject's own body."""

    subject: NounPhrase
    said: Said
    object: NounPhrase
    own: bool = False
    setting: bool = False


class Reader(GroupReader):
    """One reading of a chunk list. Methods named after a chunk take its index and return where to go on."""

    def __init__(self, chunks: list[Chunk]) -> None:
        super().__init__(chunks)
        self.found: dict[tuple[object, ...], Statement] = {}
        self.subjects: list[NounPhrase] = []  # what the next relation says something about
        self.head: list[NounPhrase] = []  # subjects of the relation before, within the clause
        self.antecedent: list[NounPhrase] = []  # subjects of the clause before: what "it" means
        self.objects: list[NounPhrase] = []  # objects of the relation before, within the sentence
        self.pair: list[NounPhrase] = []  # both sides of the relation before, for "them"
        self.recent: list[NounPhrase] = []  # the last few things named, for "her" and "him"
        self.setting: NounPhrase | None = None  # "a beach with ...": the beach
        self.topic: list[NounPhrase] = []  # "behind it is a garden": what "it" goes on to mean
        self.whole: NounPhrase | None = None  # "a plate with a fork on the left": the plate
        self.reference: list[NounPhrase] = []  # "left of the house is a tree, to the right a car": the house
        self.placed: tuple[NounPhrase, tuple[int, int]] | None = None  # last "X on the left"
        self.position_first = False  # "on the left is a dog, on the right ..."

    def run(self) -> list[Statement]:
        """The statements of the chunk list, in reading order of the mentions."""
        i = 0
        while i < len(self.chunks):
            kind = self.chunks[i].kind
            if kind is Kind.NOUN:
                i = self._subject(i)
            elif kind is Kind.RELATION:
                i = self._relation(i)
            elif kind is Kind.POSITION:
                i = self._position(i)
            elif kind is Kind.ORDER:
                i = self._order(i)
            elif kind in CONNECTORS:
                i = self._connector(i)
            elif kind is Kind.ATTACH and self.subjects and self._at(self._skip(i, Kind.ATTACH)).noun:
                i = self._more_about_subject(i) if self._describes_before(i) else i + 1
            else:
                if kind in (Kind.STOP, Kind.EXISTS):
                    self._new_clause([])
                    if kind is Kind.STOP:
                        self.whole, self.reference, self.setting = None, [], None
                elif kind is Kind.PRONOUN:
                    self._pronoun_subject(self.chunks[i].word)
                i += 1
        return sorted(self.found.values(), key=_reading_order)

    def _new_clause(self, subjects: list[NounPhrase]) -> None:
        self.antecedent = self.head or self.subjects or self.antecedent
        self.subjects, self.head, self.objects = subjects, [], []

    def _remember(self, phrases: list[NounPhrase]) -> None:
        for phrase in phrases:
            self.recent += [phrase] + ([phrase.attribute] if phrase.attribute else [])
        del self.recent[:-_RECENT]

    def _emit(
        self, subjects: list[NounPhrase], said: list[Said], objects: list[NounPhrase], own: bool = False
    ) -> None:
        for subject in subjects:
            for one in said:
                for other in objects:
                    if one.relation is not None and subject.span != other.span:
                        key = (subject.span, one.relation, other.span)
                        self.found.setdefault(key, Statement(subject, one, other, own))
        if subjects and objects:
            self.pair = [subjects[0], objects[-1]]

    def _setting_at(self, i: int, subject: NounPhrase) -> None:
        chunk, other = self._at(i), self._at(i + 1).noun
        if chunk.relation is not None and other is not None and subject.span != other.span:
            if other.determiner in lex.POSSESSIVES and subject.attribute:
                subject = subject.attribute
            key = (subject.span, chunk.relation, other.span)
            said = Said(chunk.relation, chunk.word)
            self.found.setdefault(key, Statement(subject, said, other, setting=True))

    # -- subjects --

    def _subject(self, i: int) -> int:
        start, first = i, self.chunks[i].noun
        if first and first.only_adjectives and not first.determiner and self._at(i - 1).kind is Kind.VERB:
            return i + 1  # "the dog, which is brown, ..."
        while (noun := self._at(i).noun) is not None:
            j = self._skip(i + 1, Kind.ATTACH, Kind.WITH, Kind.EXISTS, Kind.WHICH)
            joints = {c.word for c in self.chunks[i + 1 : j]}
            if i == 0 and noun.head in lex.FRAMES | lex.ARTWORKS:
                joints |= {"of"} & {"of" if "with" in joints else ""}
            if j == i + 1 or self._at(j).kind is not Kind.NOUN or not is_setting(noun, joints):
                break
            self.setting = None if noun.head in lex.FRAMES | lex.ARTWORKS else noun
            i = j
        if i > start and self._at(i).noun is None:
            return i
        phrases, _, end = self._group(i, as_subject=True)
        self._remember(phrases)
        self.topic = []
        if self.whole and self._at(i - 1).kind in CONNECTORS and self._stands_aside(end):
            whole = self.whole
            self._new_clause([whole])
            whole.attribute = phrases[-1]
            return end
        owner = (self.head or self.subjects)[-1:]
        if (
            owner
            and self._at(i - 1).kind is Kind.AND
            and owner[0].attribute
            and not phrases[-1].attribute
            and self._on_ones_own(end)
        ):
            owner[0].attribute = phrases[
                -1
            ]  # "a wizard with a staff in his hand and a raven on his shoulder"
            self.subjects = self.head = owner
            return end
        self._new_clause(phrases)
        return end

    def _stands_aside(self, i: int) -> bool:
        """Whether a place without an object follows: "and a knife on the right"."""
        if self._at(i).kind is Kind.RELATION:
            ends = self._at(i + 1).kind in (Kind.STOP, *CONNECTORS)
            return ends or self._at(i).word in ("on top", "in front", "in back")
        return self._at(i).kind is Kind.POSITION

    def _more_about_subject(self, i: int) -> int:
        """ "..., holding a gun", "and sits on a sidewalk": the subject stays."""
        subjects = self.head or self.subjects
        i = self._skip(i, Kind.ATTACH)
        if self._at(i - 1).relation is not None:
            self._setting_at(i - 1, subjects[-1])
        phrase, end = self._phrase(i, as_subject=True)
        self._remember([phrase])
        end = self._after_attributes(end, phrase, True)
        subjects[-1].attribute = phrase
        self.subjects = subjects
        return end

    def _pronoun_subject(self, word: str) -> None:
        if word == "one":
            self._new_clause([])
        else:
            known = self.head or self.subjects or self.antecedent
            self._new_clause(self._meant(word, known))

    def _meant(self, word: str, known: list[NounPhrase]) -> list[NounPhrase]:
        """What "her", "him", "them" or "it" stands for, where `known` are the subjects before."""
        if word in ("her", "him"):
            fitting = (kinds.WOMEN if word == "her" else kinds.MEN) | (
                kinds.PEOPLE - (kinds.MEN if word == "her" else kinds.WOMEN)
            )
            for noun in reversed(self.recent):
                if noun.head in fitting:
                    return [noun]
        elif word == "them":
            plural = known and (
                len(known) > 1 or known[-1].head.endswith("s") or known[-1].words[0] in lex.NUMERALS
            )
            return known if plural else self.pair
        elif known and known[-1].head in kinds.PEOPLE:
            for noun in reversed(self.recent):
                if noun.head not in kinds.PEOPLE and noun not in self.subjects:
                    return [noun]
        return known

    # -- joints --

    def _connector(self, i: int) -> int:
        """After "and" or a comma a bare relation goes back to the subject before: "... and above a mat"."""
        j = self._skip(i, *CONNECTORS)
        only_comma = all(self.chunks[k].kind is Kind.SEPARATOR for k in range(i, j))
        k = self._skip(j, Kind.VERB, Kind.ATTACH, Kind.WHICH)
        which = any(self.chunks[m].kind is Kind.WHICH for m in range(j, k))
        if self._at(k).kind in (Kind.RELATION, Kind.POSITION) and not (only_comma and which) and self.head:
            self.subjects = self.head
        if only_comma and self._at(j).kind is Kind.VERB and self._at(k).kind is Kind.RELATION:
            self._back_to_somebody()
        return j

    def _back_to_somebody(self) -> None:
        """ "a girl, long hair, sitting on a bench": what sits is the girl."""
        current = (self.head or self.subjects)[-1:]
        if not current or current[0].determiner or current[0].head in kinds.PEOPLE | kinds.ANIMALS:
            return
        if current[0].head not in kinds.BODY | lex.WEARABLES | kinds.TAGS | {"solo"}:
            return
        for noun in reversed(self.recent):
            if noun.head in kinds.PEOPLE | kinds.ANIMALS:
                self.subjects = self.head = [noun]
                return

    # -- relations --

    def _starts_here(self, i: int) -> bool:
        before = self._at(i - 1).kind
        return not self.subjects or before in (Kind.SEPARATOR, Kind.AND, Kind.STOP, Kind.EXISTS)

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
            if described and ends and self._at(i - 1).noun is described and self._with_before(i - 1):
                self._emit([described], said, self.subjects[-1:])  # "a girl with a castle behind"
                self.whole = self.subjects[-1]
            elif self._at(j).kind is Kind.WHICH and self.subjects:
                return self._beside_which(j, said)
            return j
        signs = said[0].relation.signs if said[0].relation else None
        if (
            signs
            and len(said) == 1
            and after.noun.determiner in ("the", "this")
            and _is_scene(said[0], after.noun)
        ):
            return self._place(i, j + 1, signs)
        place = self._at(i - 1).noun
        if (
            said[0].word == "adjacent to"
            and place
            and place.head in lex.SCENERY
            and self._at(i - 2).word in _IN_PLACE
        ):
            self._new_clause([place])  # "a kite in a field adjacent to a lake"
        return self._objects(i, j, said)

    def _with_before(self, i: int) -> bool:
        return self._at(i - 1).kind is Kind.WITH or (
            self.whole is not None and self._at(i - 1).kind in CONNECTORS
        )

    def _beside_which(self, j: int, said: list[Said]) -> int:
        """ "an elephant, to the left of which is a mouse"."""
        at = self._skip(j + 1, Kind.VERB, Kind.EXISTS)
        if self._at(at).kind is not Kind.NOUN:
            return j
        known = self.subjects
        subjects, _, end = self._group(at, as_subject=True)
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
        objects, starts, end = self._group(j, as_subject=False, may_touch=bool(self.subjects))
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
        if not self.subjects and not verb:
            at = self._skip(end, Kind.SEPARATOR)
            if at > end and self._at(at).kind is Kind.EXISTS:
                at, verb = at + 1, True
        further = self._at(end).kind is Kind.RELATION and self._at(end + 1).kind is Kind.NOUN
        if not self.subjects and further and said[0].word not in ("on", "in"):
            if self._at(end + 2).kind in (Kind.VERB, Kind.EXISTS):
                at, verb = end + 3, True  # "left of the vase on the table is a cup"
        comma = self._at(end).kind is Kind.SEPARATOR
        if self._at(at).kind is not Kind.NOUN or not (at > end or not self.subjects):
            return 0
        subjects, _, after = self._group(at, as_subject=True)
        # After a comma a bare noun is a style word: "next to a house, oil painting".
        if comma and not verb and not subjects[0].determiner and subjects[0].words[0] not in lex.NUMERALS:
            return 0
        self._remember(subjects)
        self._emit(subjects, said, objects)
        self._new_clause(subjects)
        self.head, self.reference, self.topic = subjects, objects, objects
        return after

    def _state(self, i: int, said: list[Said], objects: list[NounPhrase]) -> None:
        """The current subjects stand so to the objects; the objects are the next subjects."""
        main = self.subjects[-1]
        described, first = main.attribute, objects[0]
        body = first.head in kinds.BODY
        possessive = first.determiner in lex.POSSESSIVES
        touching = described is not None and self._at(i - 1).noun is described
        if described and possessive and (body or (touching and main.head not in kinds.PEOPLE)):
            # "a man with a hat on his head": the hat is on the head, and the man stays the subject.
            self._emit([described], said, objects[:1])
            return
        part = first.determiner == "the" and main.determiner != "the" and said[0].word in _PARTS
        part = part or main.head in lex.SCENERY
        if (
            described
            and touching
            and part
            and self._with_before(i - 1)
            and described.head not in lex.WEARABLES
        ):
            if body or main.head not in kinds.PEOPLE | kinds.ANIMALS:
                self._emit([described], said, objects)  # "a piano with a song book above the keys"
                self.head, self.objects = self.subjects, objects
                return
        self._emit(self.subjects, said, objects, own=possessive and body and described is None)
        self.head, self.objects = self.subjects, objects
        if said[0].relation is not Relation.BETWEEN and first.head not in lex.SCENERY:
            self.subjects = objects[-1:]

    def _pronoun_object(self, i: int, j: int, said: list[Said]) -> int:
        """ "a cat with a dog to its left", "There is a cat. A dog is next to it.", "behind it a tree"."""
        word = self._at(j).word
        if word == "one":
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
            and (self._with_before(i - 1) or described.determiner != "the")
            and (word in ("it", "them") or self._meant(word, subjects) == subjects[-1:])
        ):
            self._emit([described], said, subjects[-1:])
            if self._with_before(i - 1):
                self.whole = subjects[-1]
        elif self.setting and word == "it":
            self._emit(subjects, said, [self.setting])
        elif self.antecedent or word in ("her", "him"):
            self._emit(
                subjects, said, [n for n in self._meant(word, self.antecedent) if n not in subjects][-2:]
            )
        else:
            self._emit(subjects[1:], said, subjects[:1])
        return j + 1

    def _meant_object(self, word: str) -> list[NounPhrase]:
        """The pronoun in "not left of a tree but right of it": the object before; a person may be meant too."""
        return self._meant(word, self.objects if word == "it" else self.head)[-1:]

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
        subjects, _, after = self._group(at, as_subject=True)
        self._remember(subjects)
        self._emit(subjects, said, [n for n in meant if n not in subjects])
        self._new_clause(subjects)
        self.head, self.reference, self.topic = subjects, meant, meant
        return after

    # -- rows and places in the picture --

    def _order(self, i: int) -> int:
        """ "from left to right: a cat, a dog and a bird", "a cat and a dog from left to right"."""
        relation = self.chunks[i].relation
        said = [Said(relation, "in a row")]
        j = self._skip(i + 1, Kind.SEPARATOR, Kind.VERB, Kind.EXISTS, Kind.ATTACH, Kind.PRONOUN)
        phrases, end = self._ordered(j) if self._at(j).noun else ([], j)
        if len(phrases) < 2:
            phrases, end = self.subjects, i + 1
        for first, second in zip(phrases, phrases[1:], strict=False):
            self._emit([first], said, [second])
        if end > i + 1:
            self._remember(phrases)
            self._new_clause(phrases)
        return end

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

    def _place(self, i: int, end: int, signs: tuple[int, int]) -> int:
        """Something stands at a place in the picture; two such statements relate the two things."""
        if self._at(i - 1).kind in (Kind.ATTACH, Kind.VERB) and self._at(i - 1).word in kinds.LOOKING:
            return end
        label = self._at(i).word == "label"
        j = self._skip(end, Kind.VERB, Kind.EXISTS, Kind.SEPARATOR)
        verb = label or any(self.chunks[k].kind in (Kind.VERB, Kind.EXISTS) for k in range(end, j))
        if self._at(j).kind is Kind.NOUN and (
            not self.subjects or (self._starts_here(i) and (verb or self.position_first))
        ):
            phrases, _, end = self._group(j, as_subject=True)
            if label and phrases[0].only_adjectives and not phrases[0].determiner:
                return end  # "the left one is red"
            self._remember(phrases)
            reference = self.reference
            self._new_clause(phrases)
            side = relation_of_offset(*signs)
            if reference and side and not label:
                self._emit(phrases, [Said(side, "to that side")], reference)
                self.reference = reference
                return end
            self.position_first = True
        elif not self.subjects:
            return end
        elif self._beside_whole(i, signs):
            return end
        else:
            self.position_first = False
        subject = self.subjects[-1]
        if self.placed and (relation := _relation_of_places(self.placed[1], signs)):
            self._emit([self.placed[0]], [Said(relation, "place")], [subject])
        self.placed = (subject, signs)
        return end

    def _beside_whole(self, i: int, signs: tuple[int, int]) -> bool:
        """ "a house with a tree to the right": the tree stands right of the house."""
        main = self.subjects[-1]
        described, side = main.attribute, relation_of_offset(*signs)
        if (
            not described
            or self._at(i - 1).noun is not described
            or not (self._with_before(i - 1) or self.whole)
        ):
            return False
        if side is None or signs[1] or main.head in lex.PLACES | lex.FRAMES | lex.ARTWORKS:
            return False
        self._emit([described], [Said(side, "with side")], [main])
        self.whole = main
        return True


def _has_start(noun: NounPhrase) -> bool:
    return bool(noun.determiner) or noun.words[0] in lex.NUMERALS


def _is_scene(said: Said, noun: NounPhrase) -> bool:
    """Whether "on the left side of the room" is a place in the picture rather than a place beside a thing."""
    if noun.head in lex.FRAMES:
        return True
    inside = said.word.startswith(("on ", "in ", "at ")) and said.word.endswith(("side of", "in the left of"))
    return inside and noun.head in lex.SCENERY


def _relation_of_places(first: tuple[int, int], second: tuple[int, int]) -> Relation | None:
    """Left and right, left and middle, top-left and bottom-right compare; left and top do not."""
    dx, dy = first[0] - second[0], first[1] - second[1]
    if any(first) and any(second) and [bool(v) for v in first] != [bool(v) for v in second]:
        return None
    return relation_of_offset(dx, dy)


def _reading_order(statement: Statement) -> tuple[int, int]:
    starts = (statement.subject.span[0], statement.object.span[0])
    return min(starts), max(starts)
