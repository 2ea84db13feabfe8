"""Prompt text -> relation triplets with character spans.

`prompt_chunks` cuts the text into noun phrases, relation phrases and conjunctions; this file reads that list
from left to right, once. It keeps the current subjects, and the subjects of the relation before (`head`),
because the three ways to go on mean three things:

    a frog above a sneaker below a teapot       the object is the next subject
    a cat left of a dog and above a mat         "and" + relation: the subject before is meant again
    a cat left of a dog and a bird above a mat  "and" + noun + relation: a new subject
"""

from typing import Any

from . import lexicon as lex
from .chunks import Chunk, Kind, chunk_prompt
from .relations import Relation, RelationTriplet, combine, relation_of_offset
from .words import NounPhrase, strip_weighting

__all__ = ["parse_relations", "strip_weighting", "triplets_as_json"]

# More coordinated nouns than this are not one group; keeps subjects x objects and list look-ahead bounded.
_MAX_GROUP = 8


def parse_relations(prompt: str) -> list[RelationTriplet]:
    """The spatial relations stated in an English prompt, in reading order of the mentions; [] if none.

    Subject and object keep the prompt's own case; weighting syntax (`(a dog:1.2)`, `embedding:x`) is read
    over, while spans index the original prompt. Articles, "a photo of" and style suffixes are left out,
    a pronoun is never a subject or an object. Never raises for a `str`; the time is linear in its length.
    """
    return _Reader(chunk_prompt(prompt)).run()


def triplets_as_json(prompt: str) -> dict[str, Any]:
    """{"prompt": prompt, "triplets": [[subject, relation, object], ...]} with canonical relation names."""
    return {
        "prompt": prompt,
        "triplets": [[t.subject, str(t.relation), t.object] for t in parse_relations(prompt)],
    }


_END = Chunk(Kind.STOP)
_CONNECTORS = (Kind.SEPARATOR, Kind.AND)


class _Reader:
    """One reading of a chunk list. Methods named after a chunk take its index and return where to go on."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks
        self.found: dict[tuple[object, ...], RelationTriplet] = {}
        self.subjects: list[NounPhrase] = []  # what the next relation says something about
        self.head: list[NounPhrase] = []  # subjects of the relation before, within the clause
        self.antecedent: list[NounPhrase] = []  # subjects of the clause before: what "it" means
        self.placed: tuple[NounPhrase, tuple[int, int]] | None = None  # last "X on the left"
        self.position_first = False  # "on the left is a dog, on the right ..."

    def run(self) -> list[RelationTriplet]:
        i = 0
        while i < len(self.chunks):
            kind = self.chunks[i].kind
            if kind is Kind.NOUN:
                i = self._subject(i)
            elif kind is Kind.RELATION:
                i = self._relation(i)
            elif kind is Kind.POSITION:
                i = self._position(i)
            elif kind in _CONNECTORS:
                i = self._connector(i)
            else:
                if kind in (Kind.STOP, Kind.EXISTS):
                    self._new_clause([])
                elif kind is Kind.PRONOUN:
                    known = self.head or self.subjects or self.antecedent
                    self._new_clause(known if self.chunks[i].word == "it" else [])
                i += 1
        return sorted(self.found.values(), key=_reading_order)

    def _at(self, i: int) -> Chunk:
        return self.chunks[i] if 0 <= i < len(self.chunks) else _END

    def _skip(self, i: int, *kinds: Kind) -> int:
        while i < len(self.chunks) and self.chunks[i].kind in kinds:
            i += 1
        return i

    def _new_clause(self, subjects: list[NounPhrase]) -> None:
        self.antecedent = self.head or self.subjects or self.antecedent
        self.subjects, self.head = subjects, []

    def _emit(
        self, subjects: list[NounPhrase], relations: list[Relation | None], objects: list[NounPhrase]
    ) -> None:
        for subject in subjects:
            for relation in relations:
                for other in objects:
                    if relation is not None and subject.span != other.span:
                        triplet = RelationTriplet(
                            subject.text,
                            relation,
                            other.text,
                            subject.span,
                            other.span,
                            subject.noun,
                            other.noun,
                        )
                        self.found.setdefault((subject.span, relation, other.span), triplet)

    # -- noun phrases --

    def _phrase(self, i: int, as_subject: bool, may_touch: bool = True) -> tuple[NounPhrase, int]:
        """The noun phrase at i with all that only describes it ("a cat with a hat") -> (phrase, next index).

        may_touch: whether a noun phrase that follows without any word between belongs to it as well.
        """
        phrase = self.chunks[i].noun
        assert phrase is not None
        describing = (Kind.ATTACH, Kind.WITH, Kind.VERB) if as_subject else (Kind.ATTACH, Kind.WITH)
        i += 1
        while True:
            j = self._skip(i, *describing)
            other = self._at(j).noun
            if other is None:
                if j > i and self._at(j).kind is Kind.PRONOUN:
                    i = j + 1
                    continue
                return phrase, i
            if (j == i and not may_touch) or (not as_subject and self._starts_clause(i, j)):
                return phrase, i
            if all(c.word != "without" for c in self.chunks[i:j]):
                phrase.attribute = other
            i = j + 1
            scarf = self._at(i + 1).noun
            if self._at(i).kind is Kind.AND and scarf and {other.head, scarf.head} <= lex.WEARABLES:
                i += 2

    def _starts_clause(self, i: int, noun_at: int) -> bool:
        """Whether "with NOUN" after an object opens a clause: "... of a dog with a bird above a tree"."""
        noun = self._at(noun_at).noun
        after = self._at(noun_at + 1)
        opens = after.kind is Kind.RELATION and self._at(noun_at + 2).kind is Kind.NOUN
        return self._at(i).kind is Kind.WITH and opens and noun is not None and noun.head not in lex.WEARABLES

    def _group(
        self, i: int, as_subject: bool, may_touch: bool = True
    ) -> tuple[list[NounPhrase], list[int], int]:
        """Coordinated nouns from i: "a dog, a cat and a bird" -> (phrases, their indices, next index)."""
        phrases: list[NounPhrase] = []
        starts: list[int] = []
        while True:
            phrase, j = self._phrase(i, as_subject, may_touch)
            phrases.append(phrase)
            starts.append(i)
            i = self._next_in_list(j, phrases[0])
            if i < 0 or len(phrases) == _MAX_GROUP:
                return phrases, starts, j

    def _next_in_list(self, i: int, first: NounPhrase) -> int:
        """Index of the next noun of the list whose joint stands at i, or -1 where the list has ended."""
        if self._at(i).kind is Kind.AND:
            return i + 1 if self._at(i + 1).kind is Kind.NOUN else -1
        if self._at(i).kind is not Kind.SEPARATOR or self._at(i).word != ",":
            return -1
        start = i + 1 if self._at(i + 1).kind is not Kind.AND else i + 2
        # A comma joins only where an "and" follows within the list; style words ("oil painting") have no
        # article.
        j = i
        for _ in range(_MAX_GROUP):
            last = self._at(j).kind is Kind.AND or self._at(j + 1).kind is Kind.AND
            j += 2 if self._at(j).kind is Kind.SEPARATOR and self._at(j + 1).kind is Kind.AND else 1
            noun = self._at(j).noun
            if noun is None or bool(noun.determiner) != bool(first.determiner):
                return -1
            if last:
                return start
            j += 1
            if self._at(j).kind not in _CONNECTORS:
                return -1
        return -1

    def _subject(self, i: int) -> int:
        start, first = i, self.chunks[i].noun
        if first and first.only_adjectives and not first.determiner and self._at(i - 1).kind is Kind.VERB:
            return i + 1  # "the dog, which is brown, ..."
        while (noun := self._at(i).noun) is not None:
            j = self._skip(i + 1, Kind.ATTACH, Kind.WITH, Kind.EXISTS, Kind.WHICH)
            joints = {c.word for c in self.chunks[i + 1 : j]}
            if j == i + 1 or self._at(j).kind is not Kind.NOUN or not _is_setting(noun, joints):
                break
            i = j
        if i > start and self._at(i).noun is None:
            return i
        phrases, _, end = self._group(i, as_subject=True)
        self._new_clause(phrases)
        return end

    # -- joints --

    def _connector(self, i: int) -> int:
        """After "and" or a comma a bare relation goes back to the subject before: "... and above a mat"."""
        j = self._skip(i, *_CONNECTORS)
        only_comma = all(self.chunks[k].kind is Kind.SEPARATOR for k in range(i, j))
        k = self._skip(j, Kind.VERB, Kind.ATTACH, Kind.WHICH)
        which = any(self.chunks[m].kind is Kind.WHICH for m in range(j, k))
        if self._at(k).kind in (Kind.RELATION, Kind.POSITION) and not (only_comma and which) and self.head:
            self.subjects = self.head
        return j

    # -- relations --

    def _starts_here(self, i: int) -> bool:
        before = self._at(i - 1).kind
        return not self.subjects or before in (Kind.SEPARATOR, Kind.AND, Kind.STOP, Kind.EXISTS)

    def _relations(self, i: int) -> tuple[list[Relation | None], int]:
        """The relations that share one object ("above and to the left of") -> (relations, next index)."""
        relations = [self._at(i).relation]
        i += 1
        while (
            self._at(i).kind is Kind.AND
            and self._at(i + 1).kind is Kind.RELATION
            and len(relations) < _MAX_GROUP
        ):
            last, new = relations[-1], self._at(i + 1).relation
            both = combine(last, new) if last and new else None
            relations[-1:] = [both] if both else [last, new]
            i += 2
        return relations, i

    def _relation(self, i: int) -> int:
        relations, j = self._relations(i)
        after = self._at(j)
        if after.kind is Kind.PRONOUN:
            if after.word == "it":
                self._pronoun_object(relations)
            return j + 1
        if after.kind is Kind.EACH_OTHER:
            if len(self.subjects) > 1 and relations == [Relation.NEXT_TO]:
                self._emit(self.subjects[:1], relations, self.subjects[1:])
            return j + 1
        if after.noun is None:
            return j
        signs = relations[0].signs if relations[0] else None
        if (
            signs
            and len(relations) == 1
            and after.noun.head in lex.FRAMES
            and after.noun.determiner in ("the", "this")
        ):
            return self._place(i, j + 1, signs)
        return self._objects(i, j, relations)

    def _objects(self, i: int, j: int, relations: list[Relation | None]) -> int:
        """The relation at i with its objects from j on."""
        if self._at(i - 1).word in lex.BE_FORMS and self._at(i - 2).kind is Kind.NOUN and self.head:
            self.subjects = self.head  # "the cat that sits on the sofa is left of the dog"
        starts_here = self._starts_here(i)
        objects, starts, end = self._group(j, as_subject=False, may_touch=bool(self.subjects))
        if starts_here:
            inverted_at = self._skip(end, Kind.VERB, Kind.EXISTS)
            if not self.subjects and inverted_at == end:
                inverted_at = self._skip(end, Kind.SEPARATOR)
            comma = self._at(end).kind is Kind.SEPARATOR
            if self._at(inverted_at).kind is Kind.NOUN and (inverted_at > end or not self.subjects):
                subjects, _, after = self._group(inverted_at, as_subject=True)
                # After a comma a bare noun is a style word: "next to a house, oil painting".
                if not comma or subjects[0].determiner or not objects[0].determiner:
                    self._emit(subjects, relations, objects)
                    self._new_clause(subjects)
                    self.head = subjects
                    return after
        if not self.subjects:
            return end
        keep = 2 if relations == [Relation.BETWEEN] else 1
        if len(objects) > keep and self._predicate_follows(end):
            objects, end = objects[:keep], starts[keep] - 1
        described = self.subjects[-1].attribute
        if described and objects[0].determiner in lex.POSSESSIVES:
            # "a man with a hat on his head": the hat is on the head, and the man stays the subject.
            self._emit([described], relations, objects[:1])
            return end
        self._emit(self.subjects, relations, objects)
        self.head = self.subjects
        self.subjects = self.head if relations == [Relation.BETWEEN] else objects[-1:]
        return end

    def _predicate_follows(self, i: int) -> bool:
        """Whether something is said of the nouns that end at i, so that they are subjects, not objects."""
        j = self._skip(i, Kind.ATTACH, Kind.VERB)
        return self._at(j).kind in (Kind.RELATION, Kind.POSITION) or self._at(i).kind is Kind.VERB

    def _pronoun_object(self, relations: list[Relation | None]) -> None:
        """ "a cat with a dog to its left", "There is a cat. A dog is next to it." """
        subjects = self.subjects
        if not subjects:
            return
        described = subjects[-1].attribute
        if described:
            self._emit([described], relations, subjects[-1:])
        elif self.antecedent:
            self._emit(subjects, relations, self.antecedent[-1:])
        else:
            self._emit(subjects[1:], relations, subjects[:1])

    # -- places in the picture --

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
            both = combine(mine, others[0]) if mine and others[0] else None
            if both and self._at(j).kind is Kind.NOUN:  # "to the left and above a cat"
                return self._objects(i, j, [both, *others[1:]])
        return self._place(i, i + 1, signs)

    def _place(self, i: int, end: int, signs: tuple[int, int]) -> int:
        """Something stands at a place in the picture; two such statements relate the two things."""
        j = self._skip(end, Kind.VERB, Kind.EXISTS, Kind.SEPARATOR)
        verb = any(self.chunks[k].kind in (Kind.VERB, Kind.EXISTS) for k in range(end, j))
        if self._at(j).kind is Kind.NOUN and (
            not self.subjects or (self._starts_here(i) and (verb or self.position_first))
        ):
            phrases, _, end = self._group(j, as_subject=True)
            self._new_clause(phrases)
            self.position_first = True
        elif not self.subjects:
            return end
        else:
            self.position_first = False
        subject = self.subjects[-1]
        if self.placed and (relation := _relation_of_places(self.placed[1], signs)):
            self._emit([self.placed[0]], [relation], [subject])
        self.placed = (subject, signs)
        return end


def _relation_of_places(first: tuple[int, int], second: tuple[int, int]) -> Relation | None:
    """Left and right, left and middle, top-left and bottom-right compare; left and top do not."""
    dx, dy = first[0] - second[0], first[1] - second[1]
    if any(first) and any(second) and [bool(v) for v in first] != [bool(v) for v in second]:
        return None
    return relation_of_offset(dx, dy)


def _is_setting(noun: NounPhrase, joints: set[str]) -> bool:
    """Whether "NOUN of/with/showing ..." opens a prompt, so that NOUN itself is not drawn as a thing."""
    if noun.head in lex.FRAMES:
        return True
    if noun.head in lex.ARTWORKS:
        return bool(joints & {"of", "showing", "depicting", "shows", "depicts", "illustrating", "featuring"})
    return noun.head in lex.PLACES and bool(
        joints & {"with", "where", "featuring", "containing", "has", "in which"}
    )


def _reading_order(triplet: RelationTriplet) -> tuple[int, int]:
    starts = (triplet.subject_span[0], triplet.object_span[0])
    return min(starts), max(starts)
