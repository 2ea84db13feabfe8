"""Where a prompt mentions given words."""

from __future__ import annotations

import re

from ..errors import SteeringError


def find_words(prompt: str, words: str, occurrence: int = 0) -> tuple[int, int]:
    """Character span of the `occurrence`-th (from 0) mention of whole `words` in the prompt, case ignored.

    Raises SteeringError when the prompt does not mention these words that often.
    """
    pattern = r"(?<!\w)" + r"\s+".join(re.escape(word) for word in words.split()) + r"(?!\w)"
    spans = [match.span() for match in re.finditer(pattern, prompt, re.IGNORECASE)] if words.strip() else []
    if not 0 <= occurrence < len(spans):
        raise SteeringError(
            f'Expected the prompt to mention "{words}" at least {occurrence + 1} time(s), '
            f'it does so {len(spans)} time(s) in "{prompt}"; use the words of the prompt.'
        )
    return spans[occurrence]
