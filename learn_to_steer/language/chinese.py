"""Chinese prompts: place words stand behind their object, and there are no spaces.

    A 在 B 的左边      A is left of B
    B 的左边有 A       left of B there is A
    B 左边的 A         the A left of B
    左边是 A           A is on the left

Every place word is found once; what stands around it is looked at within a few dozen characters of the clause.
"""

from __future__ import annotations

import re

from .discourse import Said, Statement
from .lexicons import chinese as lex
from .markup import strip_weighting
from .places import relation_of_places
from .relations import Relation
from .words import NounPhrase

_SENTENCE_ENDS = tuple("。.！!？?\n")
_WINDOW = 30
_MAX_GROUP = 8


def _longest_first(items: object) -> str:
    return "|".join(re.escape(item) for item in sorted(items, key=len, reverse=True))  # type: ignore[call-overload]


_CLAUSE = re.compile(r"[^，,。.；;！!？?\n:：|]+")
_SIDE = re.compile(_longest_first([*lex.SIDES, *lex.SHORT_SIDES, *lex.MIDDLE]))
_AT = re.compile(_longest_first(lex.AT))
_HERE = re.compile(rf"(?:{_longest_first(lex.POSTURE)})?(?:着|了)?(?:{_longest_first(lex.OWNING)})?")
_TRAILING = re.compile(rf"(?:{_longest_first(lex.POSTURE)}|正|就|都|被|着|则|也|是)+$")
_COUNT = re.compile(rf"[{lex.NUMBERS}]+(?:{_longest_first(lex.CLASSIFIERS)})?")
_LEAD = re.compile(rf"(?:{_longest_first(lex.LEADING)})(?=.)|画(?=[{lex.NUMBERS}])")
_AND = re.compile(_longest_first(lex.AND))
_DENIED = re.compile(rf"(?:{_longest_first(lex.NOT)})$")


class ChineseReader:
    """One reading of a prompt, clause by clause."""

    def __init__(self, prompt: str) -> None:
        self.text = strip_weighting(prompt)
        self.found: dict[tuple[object, ...], Statement] = {}
        self.subjects: list[NounPhrase] = []
        self.topic: list[NounPhrase] = []  # "一座房子，后面有一棵树": the house
        self.open: tuple[str, list[NounPhrase]] | None = None  # "在桌子的左边，" before its subject
        self.placed: tuple[NounPhrase, tuple[int, int]] | None = None

    def run(self) -> list[Statement]:
        """The statements, in reading order of the mentions."""
        for clause in _CLAUSE.finditer(self.text):
            if self.text[clause.start() - 1 : clause.start()] in _SENTENCE_ENDS:
                self.topic, self.subjects = [], []
            done = start = clause.start() + len(clause.group()) - len(clause.group().lstrip())
            if not _SIDE.search(self.text, *clause.span()):
                self._plain_clause(start, clause.end())
            for side in _SIDE.finditer(self.text, clause.start(), clause.end()):
                if side.start() >= done:
                    done = self._side(max(clause.start(), done), side, clause.end())
        return sorted(self.found.values(), key=lambda s: sorted((s.subject.span[0], s.object.span[0])))

    def _side(self, start: int, side: re.Match[str], end: int) -> int:
        """One place word within the clause [start, end). Returns from where the clause goes on."""
        word = side.group()
        start, end = max(start, side.start() - _WINDOW), min(end, side.end() + _WINDOW)
        before = self._trim(start, side.start())
        at = [m for m in _AT.finditer(self.text, *before)]
        if at:
            owner = self._things(at[-1].end(), before[1])
            subjects = self._things(before[0], at[-1].start())
            denied = bool(_DENIED.search(self.text, before[0], at[-1].start()))
            further = (
                _SIDE.search(self.text, side.end() + 1, end) if self._of_follows(side.end(), end) else None
            )
            after = self._here(side.end(), end)
            if subjects and further:  # "坐在喷泉前面的长椅上": on the bench that is in front of the fountain
                inner = self._things(side.end() + 1, further.start())
                self._state(inner, word, owner)
                word, owner, end = further.group(), inner, further.end()
            elif not subjects and self._of_follows(side.end(), end):
                subjects, end = self._behind_of(side.end(), end)
            elif not subjects and after > side.end():
                subjects = self._things(after, end)
            elif not subjects and not self.subjects:
                self.open = (word, owner)
                return side.end()
            else:
                subjects, end = subjects or self.subjects, side.end()
            if not denied:
                self._state(subjects, word, owner)
            self.subjects = subjects
            return end
        if word in lex.SHORT_SIDES and not self._shown(side.end(), end):
            return side.start()
        owner = self._things(*before)
        if self._of_follows(side.end(), end):
            subjects, end = self._behind_of(side.end(), end)
        else:
            after = self._here(side.end(), end)
            if self.text.startswith(lex.NOT, side.end()) or (owner and after == side.end()):
                return side.end()
            subjects = self._things(after, end)
        if subjects:
            self._state(subjects, word, owner or self.topic)
            self.subjects = subjects
        return end

    def _here(self, at: int, end: int) -> int:
        """Behind "有", "是" or "挂着" at `at`; `at` itself where none stands there."""
        here = _HERE.match(self.text, at, end)
        return here.end() if here else at

    def _plain_clause(self, start: int, end: int) -> None:
        """A clause without a place word: what goes on from "在桌子的左边，", or a thing for the next clause."""
        after = self._here(start, end)
        if self.open and after > start:
            word, owner = self.open
            self._state(self._things(after, min(end, after + _WINDOW)), word, owner)
        elif _COUNT.match(self.text, start, end) and end - start <= _WINDOW:
            self.topic = self._things(start, end)
        self.open = None

    def _shown(self, after: int, end: int) -> bool:
        """Whether "上" is a place word here: 的, 有, 是 or a verb with 着 follows."""
        here = _HERE.match(self.text, after, end)
        return self._of_follows(after, end) or bool(here and here.end() > after)

    def _of_follows(self, at: int, end: int) -> bool:
        return at < end and self.text[at] == "的"

    def _behind_of(self, at: int, end: int) -> tuple[list[NounPhrase], int]:
        """The things behind "的", up to the next 在."""
        stop = _AT.search(self.text, at + 1, end)
        last = stop.start() if stop else end
        return self._things(at + 1, last), at + 1

    def _state(self, subjects: list[NounPhrase], word: str, owner: list[NounPhrase]) -> None:
        relation = lex.SIDES.get(word) or lex.SHORT_SIDES.get(word)
        if not owner or owner[0].head == "photo":
            self._place(subjects, word, relation)
            return
        if word in lex.MIDDLE and word not in lex.SIDES:
            return
        setting = owner[-1].head == "room" and (relation is Relation.INSIDE or word in lex.SHORT_SIDES)
        for subject in subjects:
            for other in owner:
                if relation is not None and subject.span != other.span:
                    key = (subject.span, relation, other.span)
                    said = Said(relation, word)
                    self.found.setdefault(key, Statement(subject, said, other, setting=setting))

    def _place(self, subjects: list[NounPhrase], word: str, relation: Relation | None) -> None:
        """ "左边是一只狗": a place in the picture."""
        signs = (0, 0) if word in lex.MIDDLE else relation.signs if relation else None
        if signs is None or not subjects:
            return
        if self.placed and (compared := relation_of_places(self.placed[1], signs)):
            first, second = self.placed[0], subjects[0]
            key = (first.span, compared, second.span)
            self.found.setdefault(key, Statement(first, Said(compared, word), second))
        self.placed = (subjects[0], signs)

    # -- things --

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        while end > start and self.text[end - 1] in " 的":
            end -= 1
        return start, end

    def _things(self, start: int, end: int) -> list[NounPhrase]:
        """The things named in [start, end), joined by 和 or 、."""
        things: list[NounPhrase] = []
        at = start
        for joint in [*_AND.finditer(self.text, start, end), None]:
            thing = self._thing(at, joint.start() if joint else end)
            if thing and len(things) < _MAX_GROUP:
                things.append(thing)
            at = joint.end() if joint else end
        return things

    def _thing(self, start: int, end: int) -> NounPhrase | None:
        """One thing without number, classifier and verb."""
        text = self.text
        while start < end and (text[start].isspace() or text[start] in "\"“”'‘’的"):
            start += 1
        for pattern in (_LEAD, _COUNT):
            if match := pattern.match(text, start, end):
                start = match.end() if match.end() < end else start
        while end > start and (text[end - 1].isspace() or text[end - 1] in "\"“”'‘’的"):
            end -= 1
        for pattern in (_DENIED, _TRAILING):
            if (match := pattern.search(text, start, end)) and match.start() > start:
                end = match.start()
        if end <= start or not any(c.isalnum() for c in text[start:end]):
            return None
        of = text.rfind("的", start, end - 1)
        noun = of + 1 if of >= start else start
        name = text[start:end]
        head = (
            "photo"
            if text[noun:end] in lex.PICTURES
            else "room"
            if text[noun:end] in lex.PLACES
            else f"zh:{name}"
        )
        return NounPhrase(" ".join(name.split()), (start, end), (noun, end), (f"zh:{name}",), head)
