"""Noun phrases with what describes them, and lists of noun phrases, read from the chunks."""

from __future__ import annotations

from .lexicons import english as lex
from .matching import TEXT
from .phrases import Chunk, Kind
from .words import NounPhrase, is_participle

# More coordinated nouns than this are not one group; keeps subjects x objects and list look-ahead bounded.
MAX_GROUP = 8
CONNECTORS = (Kind.SEPARATOR, Kind.AND)
_OPENING = frozenset("as before after during than for like out off per".split())
_END = Chunk(Kind.STOP)
SHOWING = frozenset("showing depicting shows depicts illustrating featuring".split())
# Pictures that stand or hang about as things.
HANGING = frozenset("picture pictures photo photos photograph photographs frame canvas panel page".split())
_HAVING = frozenset("with wearing wears holding holds has have having carrying carries".split())


class GroupReader:
    """A chunk list and the questions about it that change nothing."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks
        # Of each index, that of the next "and": looking ahead for it again and again would take its time.
        self._next_and = [len(chunks) + 2 * MAX_GROUP] * (len(chunks) + 1)
        for i in range(len(chunks) - 1, -1, -1):
            self._next_and[i] = i if chunks[i].kind is Kind.AND else self._next_and[i + 1]

    def _at(self, i: int) -> Chunk:
        return self.chunks[i] if 0 <= i < len(self.chunks) else _END

    def _skip(self, i: int, *kinds: Kind) -> int:
        while i < len(self.chunks) and self.chunks[i].kind in kinds:
            i += 1
        return i

    def _setting_at(self, i: int, subject: NounPhrase) -> None:
        """Called for each "on the beach" that is passed over: a setting, not a place beside a thing."""

    def _phrase(self, i: int, as_subject: bool, may_touch: bool = True) -> tuple[NounPhrase, int]:
        """The noun phrase at i with all that only describes it ("a cat with a hat") -> (phrase, next index).

        may_touch: whether a noun phrase that follows without any word between belongs to it as well.
        """
        phrase = self.chunks[i].noun
        assert phrase is not None
        before, held = phrase, True
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
            joints = {c.word for c in self.chunks[i:j]}
            if phrase.head in lex.ARTWORKS | lex.FRAMES and joints & SHOWING:
                phrase, i = other, j + 1  # "a poster on the wall shows a rocket"
                continue
            if self._at(j - 1).relation is not None:
                self._setting_at(j - 1, phrase)
            if all(c.word != "without" for c in self.chunks[i:j]) and TEXT not in other.words:
                phrase.attribute = other
                other.holder = before if self._at(j - 1).kind is Kind.WITH and held else None
            before, held = other, any(c.word in _HAVING for c in self.chunks[i:j])
            wearing = any(c.word in ("wearing", "wears", "wore") for c in self.chunks[i:j])
            end = self._list_on_it(j)
            if end:
                phrase.attribute = self.chunks[end - 1].noun
                return phrase, end
            i = self._after_attributes(j + 1, other, held, wearing)

    def _list_on_it(self, i: int) -> int:
        """ "with a computer, a lamp and a mouse on it": the index behind a list of attributes, 0 for none."""
        listed = [noun for k in range(i, i + 1) if (noun := self._at(k).noun)]
        while len(listed) < MAX_GROUP:
            j = self._skip(i + 1, *CONNECTORS)
            noun = self._at(j).noun
            if j == i + 1 or noun is None or j > i + 3:
                break
            listed.append(noun)
            i = j
        placed = self._at(i + 1).kind is Kind.RELATION and self._at(i + 2).kind is Kind.PRONOUN
        if len(listed) < 2 or not placed or self._at(i - 1).kind is not Kind.AND:
            return 0
        listed[-1].fellows = tuple(listed[:-1])
        return i + 1

    def _after_attributes(self, i: int, first: NounPhrase, having: bool, wearing: bool = False) -> int:
        """ "a tree with red leaves and yellow fruit": the index behind the attributes joined to `first`."""
        for _ in range(MAX_GROUP):
            j = i + 1
            if self._at(i).kind is Kind.SEPARATOR and self._at(i).word == ",":
                j += self._at(i + 1).kind is Kind.AND
                if j == i + 1:
                    return i
            elif self._at(i).kind is not Kind.AND:
                return i
            second = self._at(j).noun
            if second is None:
                return i
            worn = {first.head, second.head} <= lex.WEARABLES or (wearing and second.head in lex.WEARABLES)
            bare = having and not second.determiner and second.words[0] not in lex.NUMERALS
            placed = self._at(j + 1).kind is Kind.POSITION or (
                self._at(j + 1).kind is Kind.RELATION and self._at(j + 2).kind is Kind.PRONOUN
            )
            if placed or not (worn or bare):
                return i
            i = j + 1
        return i

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
            i = self._next_in_list(j, phrases, as_subject)
            if i < 0 or len(phrases) == MAX_GROUP:
                return phrases, starts, j

    def _following(self, i: int) -> tuple[list[NounPhrase], int]:
        """The subjects that follow their place, from i: "left of it is a cat, and a dog is above it" names one."""
        phrases, starts, end = self._group(i, as_subject=True)
        if len(phrases) > 1 and self._is_predicate(end):
            return phrases[:-1], self._joint_before(starts[-1])
        return phrases, end

    def _joint_before(self, i: int) -> int:
        while self._at(i - 1).kind in CONNECTORS:
            i -= 1
        return i

    def _next_in_list(self, i: int, phrases: list[NounPhrase], as_subject: bool) -> int:
        """Index of the next noun of the list whose joint stands at i, or -1 where the list has ended."""
        first = phrases[0]
        if self._at(i).kind is Kind.AND:
            if first.attribute and as_subject and self._on_ones_own(i + 2):
                return -1
            picture = self._at(i + 1).noun
            if picture and picture.head in lex.FRAMES and self._at(i + 2).word == "of":
                return -1  # "... and a photo of a tiger"
            return i + 1 if picture else -1
        if self._at(i).kind is not Kind.SEPARATOR or self._at(i).word != ",":
            return -1
        start = i + 1 if self._at(i + 1).kind is not Kind.AND else i + 2
        if start == i + 2 and len(phrases) == 1 and not as_subject:
            return -1  # "... on a table, and the cat sleeps": a new clause
        if self._next_and[i] > i + 2 * MAX_GROUP:
            return -1
        # A comma joins only where an "and" follows within the list; style words ("oil painting") have no
        # article.
        j = i
        for _ in range(MAX_GROUP):
            last = self._at(j).kind is Kind.AND or self._at(j + 1).kind is Kind.AND
            j += 2 if self._at(j).kind is Kind.SEPARATOR and self._at(j + 1).kind is Kind.AND else 1
            noun = self._at(j).noun
            if noun is None or bool(noun.determiner) != bool(first.determiner):
                return -1
            if last:
                return start
            j += 1
            if self._at(j).kind not in CONNECTORS:
                return -1
        return -1

    def _on_ones_own(self, i: int) -> bool:
        """Whether "on his shoulder" follows at i: what stands before belongs to somebody named before."""
        place = self._at(i + 1).noun
        return (
            (self._at(i).relation is not None) and place is not None and place.determiner in lex.POSSESSIVES
        )

    def _ordered(self, i: int) -> tuple[list[NounPhrase], int]:
        """A list of things in a row from i, with or without articles -> (phrases, next index)."""
        phrases: list[NounPhrase] = []
        while self._at(i).kind is Kind.NOUN and len(phrases) < MAX_GROUP:
            phrase, i = self._phrase(i, as_subject=False, may_touch=False)
            phrases.append(phrase)
            j = self._skip(i, *CONNECTORS)
            if j == i or self._at(j).kind is not Kind.NOUN:
                break
            i = j
        return phrases, i

    def _is_predicate(self, i: int) -> bool:
        """Whether something is said of the nouns that end at i, so that they are subjects, not objects."""
        j = self._skip(i, Kind.ATTACH, Kind.VERB)
        return self._at(j).kind in (Kind.RELATION, Kind.POSITION) or self._at(i).kind is Kind.VERB

    def _describes_before(self, i: int) -> bool:
        """Whether the word at i ("holding", "sits on") goes on about the subject before a comma or "and"."""
        chunk = self._at(i)
        if chunk.kind is not Kind.ATTACH:
            return False
        if self._at(i - 1).kind in (
            Kind.WHICH,
            *CONNECTORS,
        ):  # "a sign that says ...", "a glove, ..., hides a coin"
            return chunk.word not in _OPENING
        return is_participle(chunk.word) or chunk.word in _HAVING or chunk.relation is not None


def is_setting(noun: NounPhrase, joints: set[str]) -> bool:
    """Whether "NOUN of/with/showing ..." opens a prompt, so that NOUN itself is not drawn as a thing."""
    if noun.head in lex.FRAMES:
        return not ("on" in joints and noun.determiner and noun.head in HANGING)  # "a picture on the wall"
    if noun.head in lex.ARTWORKS:
        return bool(joints & (SHOWING | {"of"}))
    return noun.head in lex.PLACES and bool(
        joints & {"with", "where", "featuring", "containing", "has", "in which"}
    )
