"""What a prompt holds besides its words: weights, embeddings, comments, quoted text, emoji."""

from __future__ import annotations

import re

# Weighting syntax of ComfyUI and A1111. Repetitions are bounded, so no input makes the search slow.
_WEIGHT = re.compile(r":\s{0,4}[+-]?\d{0,6}(?:\.\d{0,6})?\s{0,4}(?=[)\]])")
_EXTRAS = re.compile(r"(?<![^\W_])embedding:[^\s,()\[\]<>]+|<[^<>\n]{1,200}>")
_SHOWN = re.compile(r"[^\n]")
_BRACKETS = re.compile(r"\\[()\[\]\\]|[()\[\]]")
# Characters of emoji, with their joiners, skin tones and flags: a class for a regular expression.
EMOJI = (
    "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299\u200d\u20e3\ufe0f"
    "\U0001f000-\U0001faff\U000e0020-\U000e007f"
)


def strip_weighting(prompt: str) -> str:
    """The prompt with markup overwritten by spaces: same length, so every index stays valid.

    Overwritten are brackets `( ) [ ]`, weights `:1.3` before a closing bracket, `embedding:name`,
    `<lora:...>` and comments (`/* ... */`, `// ...` to the end of the line, not the `//` of an address).
    An escaped bracket keeps the bracket and loses the backslash.
    """

    def blank(match: re.Match[str]) -> str:
        return " " * len(match.group())

    def bracket(match: re.Match[str]) -> str:
        return " " + match.group()[1] if len(match.group()) == 2 else " "

    text = _EXTRAS.sub(blank, _without_comments(prompt))
    return _BRACKETS.sub(bracket, _WEIGHT.sub(blank, text))


def _without_comments(prompt: str) -> str:
    """Comments become spaces; their line breaks stay. A comment that is never closed is none."""
    pieces: list[str] = []
    last_close = prompt.rfind("*/")
    at = 0
    while (slash := prompt.find("/", at)) >= 0:
        pair, end = prompt[slash : slash + 2], slash + 1
        if pair == "/*" and slash + 2 <= last_close:
            end = prompt.index("*/", slash + 2) + 2
        elif pair == "//" and (slash == 0 or prompt[slash - 1].isspace()):
            line = prompt.find("\n", slash)
            end = line if line >= 0 else len(prompt)
        is_comment = end > slash + 1
        pieces.append(prompt[at:slash])
        pieces.append(_SHOWN.sub(" ", prompt[slash:end]) if is_comment else "/")
        at = end
    return "".join(pieces) + prompt[at:]


_PAIRS = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "‘": "’"}
_QUOTE = re.compile(r"[\"“„«「『‘]|(?<![^\s(\[,:;])'(?=[^\s'])")
_CLOSING_SINGLE = re.compile(r"(?<=[^\s])['’](?![^\W_])")
_LONGEST_QUOTE = 400
_WORD = re.compile(r"[^\W_]+")


def quoted_spans(text: str) -> list[tuple[int, int]]:
    """Character spans between quotation marks, marks left out, in reading order; at most 400 characters each."""
    spans: list[tuple[int, int]] = []
    at = 0
    while match := _QUOTE.search(text, at):
        start = match.end()
        if match.group() in "'‘":
            close = _CLOSING_SINGLE.search(text, start, start + _LONGEST_QUOTE)
            end = close.start() if close else -1
        else:
            end = text.find(_PAIRS[match.group()], start, start + _LONGEST_QUOTE)
        if end > start:
            spans.append((start, end))
            at = end + 1
        else:
            at = start
    return spans


_SAYING = frozenset(
    """
    say says saying said read reads reading titled title entitled called named name labeled labelled label
    text texts word words letter letters lettering quote quotes caption captioned written writing spelling
    spells sign slogan headline phrase sentence inscription reading message logo movie film book novel album
    song poster
    """.split()
)
# Words of relations; a longer quotation that holds one is text and no scene.
_PLACING = frozenset(
    """
    on in over under above below beneath behind beside near inside between left right atop next front beyond
    """.split()
)


def text_spans(text: str) -> list[tuple[int, int]]:
    """Quotations that are text to be read and state nothing about the picture.

    That is a quotation of three words or more with a word of place in it, and every quotation after a word
    such as "says" or "titled". A prompt that stands between quotation marks as a whole is no quotation.
    """
    found = []
    letters = sum(c.isalnum() for c in text)
    for start, end in quoted_spans(text):
        words = _WORD.findall(text[start:end].lower())
        before = _WORD.findall(text[max(0, start - 40) : start].lower())[-3:]
        after = _WORD.findall(text[end : end + 20].lower())[:1]
        if sum(c.isalnum() for c in text[start:end]) > 0.6 * letters and not set(before) & _SAYING:
            continue
        said = bool(_SAYING & set(before)) or after == ["written"]
        if words and (said or (len(words) >= 3 and _PLACING & set(words))):
            found.append((start, end))
    return found
