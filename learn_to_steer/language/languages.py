"""In which language a prompt is, told by its function words and never by one word alone."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

from .lexicons import english as lex
from .lexicons.french import FRENCH
from .lexicons.german import GERMAN
from .lexicons.italian import ITALIAN
from .lexicons.lexicon import Lexicon
from .lexicons.other import OTHER
from .lexicons.portuguese import PORTUGUESE
from .lexicons.spanish import SPANISH
from .markup import strip_weighting
from .relations import SYNONYMS

LEXICONS: dict[str, Lexicon] = {
    lexicon.code: lexicon for lexicon in (GERMAN, SPANISH, PORTUGUESE, FRENCH, ITALIAN)
}
NAMES = {"en": "English", "zh": "Chinese", **{code: lexicon.name for code, lexicon in LEXICONS.items()}}

_WORD = re.compile(r"[^\W\d_]+['’]?", re.UNICODE)
# A prompt's language shows early; the rest of a very long one is not looked at.
_ENOUGH = 20_000
_SCRIPTS = {
    "CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean",
    "CYRILLIC": "a language in Cyrillic letters", "ARABIC": "a language in Arabic letters", "HEBREW": "Hebrew",
    "GREEK": "Greek", "THAI": "Thai", "DEVANAGARI": "a language in Devanagari letters",
}  # fmt: skip
_ENGLISH = (
    lex.DETERMINERS | lex.BE_FORMS | lex.RELATIVE_PRONOUNS | lex.PRONOUNS
    | {word for phrase in SYNONYMS for word in phrase.split()}
    | frozenset("with from by as for while into onto at and or not wearing holding sitting standing".split())
)  # fmt: skip


def _function_words(lexicon: Lexicon) -> frozenset[str]:
    found = lexicon.indefinite | lexicon.numerals | lexicon.definite | lexicon.possessive | lexicon.negative
    found |= (
        lexicon.having | lexicon.of | lexicon.attaching | lexicon.verbs | lexicon.relative | lexicon.negations
    )
    found |= lexicon.conjunctions | lexicon.separators | lexicon.elisions | frozenset(lexicon.contractions)
    groups = [
        *lexicon.relations.values(),
        *lexicon.positions.values(),
        lexicon.exists,
        tuple(lexicon.implied),
    ]
    for phrases in groups:
        for phrase in phrases:
            found |= frozenset(word.lower() for word in _WORD.findall(phrase))
    return found


_WORDS: dict[str, frozenset[str]] = {"en": _ENGLISH}
_WORDS |= {code: _function_words(lexicon) for code, lexicon in LEXICONS.items()}
_WORDS |= OTHER
# Word -> the languages that have it.
_LANGUAGES_OF: dict[str, tuple[str, ...]] = {
    word: tuple(name for name, words in _WORDS.items() if word in words)
    for word in frozenset().union(*_WORDS.values())
}


def languages_of(prompt: str) -> list[str]:
    """The languages that a prompt may be in, the likeliest first; ["en"] where nothing tells.

    ISO 639-1 codes of languages that are read; the last may be the name of a language that is not. Several where
    their function words are as good as equally many, as between Spanish and Portuguese.
    """
    text = strip_weighting(prompt[:_ENOUGH]).lower()
    script = _script(text)
    if script:
        return ["zh"] if script == "Chinese" else [script]
    total: Counter[str] = Counter()
    distinct: Counter[str] = Counter()
    words = Counter(_WORD.findall(text))
    for word, times in words.items():
        for name in _LANGUAGES_OF.get(word.replace("’", "'"), ()) or _LANGUAGES_OF.get(word.rstrip("'’"), ()):
            total[name] += times
            distinct[name] += 1
    # Two words are little: then they must be a good part of the prompt ("Notre Dame de Paris" is a name).
    few = 0.4 * sum(words.values())
    told = [n for n in total if distinct[n] > 2 or (distinct[n] == 2 and total[n] > few)]
    told = sorted(
        (n for n in told if total[n] > total["en"]),
        key=lambda n: (-total[n], -distinct[n], n not in LEXICONS),
    )
    if not told:
        return ["en"]
    best = total[told[0]]
    if told[0] not in LEXICONS:
        return ["en", told[0]] if best - total["en"] == 1 else told[:1]
    near = [name for name in told if name in LEXICONS and total[name] >= best - 1]
    # An English prompt with a foreign title in it has both kinds of words.
    return ["en", *near] if total["en"] and best - total["en"] <= 2 else near


def _script(text: str) -> str:
    """The language or script that most letters belong to, "" for Latin letters."""
    scripts: Counter[str] = Counter()
    for letter, times in Counter(c for c in text if c.isalpha()).items():
        name = unicodedata.name(letter, "").split(" ")[0]
        scripts[_SCRIPTS.get(name, "")] += times
    if not scripts:
        return ""
    latin = scripts.pop("", 0)
    others = sum(scripts.values())
    # One character of Chinese or Japanese says as much as a word of several letters.
    dense = {"Chinese", "Japanese"} & set(scripts) and not any(w in _ENGLISH for w in _WORD.findall(text))
    if not others or others < (latin / 3 if dense else latin):
        return ""
    if scripts["Japanese"]:
        return "Japanese"
    return max(scripts, key=lambda name: scripts[name])


def not_read(name: str) -> str:
    """The sentence for a prompt in a language that is not read."""
    known = ", ".join(NAMES.values())
    return (
        f"The prompt seems to be in {name}, which is not read: write it in one of {known}, "
        'or give its relations by hand ("dog | left of | cat").'
    )
