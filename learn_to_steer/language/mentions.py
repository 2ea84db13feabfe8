"""Where a prompt mentions given words."""

from __future__ import annotations

import re

from ..errors import SteeringError

_ARTICLE = re.compile(
    r"(?:a|an|the|der|die|das|den|dem|des|ein|eine|einen|einem|einer|eines|un|une|le|la|les|el|los|las|una|uno|il|lo"
    r"|gli|i|o|os|as|um|uma)\s+(?=\S)|(?:l|un)['’](?=\w)",
    re.IGNORECASE,
)


def mentions(prompt: str, words: str) -> list[tuple[int, int]]:
    """Character spans of every mention of whole `words` in the prompt, in reading order, case ignored.

    An article in front of `words` is free: "the teddy bear" is found in "a teddy bear", and no span holds it.
    Where the prompt has the words with this very article, only these mentions count.
    """
    bare = words.strip()
    article = _ARTICLE.match(bare)
    spans = _spans(prompt, bare)
    if article is None:
        return spans
    bare = bare[article.end() :]
    ends = {end for _, end in spans}
    without = _spans(prompt, bare)
    return [span for span in without if span[1] in ends] or without


def _spans(prompt: str, words: str) -> list[tuple[int, int]]:
    if not words:
        return []
    # Chinese and Japanese have no spaces between words.
    edge = r"" if re.fullmatch(r"[\u3040-\u30ff\u3400-\u9fff\s]+", words) else r"\w"
    before, after = (f"(?<!{edge})", f"(?!{edge})") if edge else ("", "")
    pattern = before + r"\s+".join(re.escape(word) for word in words.split()) + after
    return [match.span() for match in re.finditer(pattern, prompt, re.IGNORECASE)]


def find_words(prompt: str, words: str, occurrence: int = 0) -> tuple[int, int]:
    """Character span of the `occurrence`-th (from 0) mention of `words` in the prompt, as `mentions` finds them.

    Raises SteeringError when the prompt does not mention these words that often.
    """
    spans = mentions(prompt, words)
    if not 0 <= occurrence < len(spans):
        raise SteeringError(
            f'Expected the prompt to mention "{words}" at least {occurrence + 1} time(s), '
            f'it does so {len(spans)} time(s) in "{prompt}"; use the words of the prompt.'
        )
    return spans[occurrence]


def find_two(prompt: str, subject: str, other: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first mentions of `subject` and `other` that are two places: "dog" and "dog" are the first and second.

    Raises SteeringError where one of them is not mentioned, or both are only one mention.
    """
    find_words(prompt, subject), find_words(prompt, other)
    firsts, seconds = mentions(prompt, subject), mentions(prompt, other)
    for first in firsts[:3]:
        for second in seconds:
            if first[1] <= second[0] or second[1] <= first[0]:
                return first, second
    raise SteeringError(
        f'Expected two mentions in the prompt, one for "{subject}" and one for "{other}", got the same one for both '
        f'in "{prompt}"; name two things of the prompt.'
    )
