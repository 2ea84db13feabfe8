"""Rows and places in the picture: two things that are placed stand in a relation to each other."""

from __future__ import annotations

from .discourse import Discourse, Said
from .lexicons import english as lex
from .lexicons import english_kinds as kinds
from .phrases import Kind
from .relations import Relation, relation_of_offset

# A thing to the left of these is at a place in them.
_NO_REFERENCE = lex.PLACES | lex.FRAMES | lex.ARTWORKS | kinds.ABSTRACT


class PlaceReader(Discourse):
    """Reads "a cat on the left, a dog on the right" and "from left to right: a cat, a dog"."""

    def _order(self, i: int) -> int:
        """ "from left to right: an owl, a fox and a bear", "a cat and a dog from left to right"."""
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

    def _place(self, i: int, end: int, signs: tuple[int, int]) -> int:
        """Something stands at a place in the picture; two such statements relate the two things."""
        if self._at(i - 1).kind in (Kind.ATTACH, Kind.VERB) and self._at(i - 1).word in kinds.LOOKING:
            return end
        label = self._at(i).word == "label"
        j = self._skip(end, Kind.VERB, Kind.EXISTS, Kind.SEPARATOR)
        verb = label or any(self.chunks[k].kind in (Kind.VERB, Kind.EXISTS) for k in range(end, j))
        follows = not self.subjects or (self._starts_here(i) and (verb or self.position_first))
        side = relation_of_offset(*signs)
        if follows and self._at(j).kind is Kind.NOUN:
            phrases, end = self._following(j)
            if label and phrases[0].only_adjectives and not phrases[0].determiner:
                return end  # "the left one is red"
            self._remember(phrases)
            reference = self.reference
            self._new_clause(phrases)
            if reference and side and not label:
                self._emit(phrases, [Said(side, "to that side")], reference)
                self.reference = reference
                return end
            self.position_first = True
        elif not self.subjects:
            return end
        elif side and j == end and self._stands_beside(i, j):
            # "a mug, to the left a small plant"
            known = self.subjects
            phrases, end = self._following(j)
            self._remember(phrases)
            self._new_clause(phrases)
            self._emit(phrases, [Said(side, "to that side")], known[-1:])
            self.reference = known[-1:]
            return end
        elif not self.placed and self._beside_whole(i, signs):
            return end
        else:
            self.position_first = False
        subject = self.subjects[-1]
        other = self._at(i - 1).noun
        if self.placed and self.placed[0] is subject and other is not None and other is subject.attribute:
            subject = other  # "a knight on the left facing a dragon on the right"
        facing = self.last_said.opposite if self.last_said else None
        if not self.placed and side and side is facing and self._at(i).word.startswith("to the "):
            # "a knife to the left of the plate and a spoon to the right"
            self._emit([subject], [Said(side, "to that side")], self.last_objects[-1:])
            return end
        if not self.placed and self._beside_before(i, signs):
            return end
        if self.placed and (relation := relation_of_places(self.placed[1], signs)):
            self._emit([self.placed[0]], [Said(relation, "place")], [subject])
        self.placed = (subject, signs)
        return end

    def _stands_beside(self, i: int, j: int) -> bool:
        """Whether the noun at j, behind a side at i, stands to that side of the thing named before."""
        noun, known = self._at(j).noun, self.subjects[-1]
        opens = self._starts_here(i) and self._at(i).word.startswith("to the ") and not self.placed
        return opens and noun is not None and bool(noun.determiner) and known.head not in _NO_REFERENCE

    def _beside_before(self, i: int, signs: tuple[int, int]) -> bool:
        """ "a fox on a rock, a tree to the left": the tree stands left of the fox."""
        subject, side, known = self.subjects[-1], relation_of_offset(*signs), self.antecedent[-1:]
        ends = self._at(i + 1).kind is Kind.STOP or self._at(i + 1).kind is Kind.SEPARATOR
        touching = self._at(i - 1).noun is subject and self._at(i - 2).kind in (Kind.SEPARATOR, Kind.AND)
        if not (side and known and ends and touching and self._at(i).word.startswith("to the ")):
            return False
        if not subject.determiner or not known[0].determiner or subject.head in kinds.BODY | kinds.ABSTRACT:
            return False
        if known[0].head in _NO_REFERENCE:
            return False
        self._emit([subject], [Said(side, "to that side")], known)
        return True

    def _beside_whole(self, i: int, signs: tuple[int, int]) -> bool:
        """ "a house with a tree to the right": the tree stands right of the house."""
        main = self.subjects[-1]
        described, side = main.attribute, relation_of_offset(*signs)
        touching = described is not None and self._at(i - 1).noun is described
        if not described or not touching or not (self._with_before(i - 1) or self.whole):
            return False
        if side is None or signs[1] or main.head in lex.PLACES | lex.FRAMES | lex.ARTWORKS:
            return False
        self._emit([described], [Said(side, "with side")], [main])
        self.whole = main
        return True


def relation_of_places(first: tuple[int, int], second: tuple[int, int]) -> Relation | None:
    """Left and right, left and middle, top-left and bottom-right compare; left and top do not."""
    dx, dy = first[0] - second[0], first[1] - second[1]
    if any(first) and any(second) and [bool(v) for v in first] != [bool(v) for v in second]:
        return None
    return relation_of_offset(dx, dy)
