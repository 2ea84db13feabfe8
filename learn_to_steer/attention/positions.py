"""Words -> token positions, for any tokenizer.

Where it is known which characters each token writes (a fast tokenizer says so, `alignment.py` finds it for the others),
a word's tokens are those that write one of its characters: `locate_by_offsets`. Else the object's words are tokenised and
that run of ids is matched inside the prompt's ids; the n-th mention of a word is the n-th match (Learn-to-Steer,
extraction of cross-attention maps): `locate`. Nothing here knows a tokenizer class: `locate` takes the one function
`text -> ids` it needs, and `encoder_of` makes that function out of a Hugging Face tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import SteeringError
from .alignment import read

Encode = Callable[[str], list[int]]
"""Text -> token ids, without begin, end or padding tokens, and not truncated."""


def find_runs(prompt_ids: Sequence[int], word_ids: Sequence[int]) -> list[int]:
    """Start positions of every place where `word_ids` stands as a run inside `prompt_ids`, left to right."""
    size = len(word_ids)
    if size == 0:
        return []
    wanted = list(word_ids)
    return [i for i in range(len(prompt_ids) - size + 1) if list(prompt_ids[i : i + size]) == wanted]


def locate_by_offsets(
    offsets: Sequence[tuple[int, int]], prompt: str, span: tuple[int, int], length: int
) -> list[int]:
    """Token positions of the words at the character span `prompt[start:end]`: every token that writes a character of
    them.

    offsets: per token of the model's text the characters [start, end) it writes, (0, 0) for none (begin, end, padding).
    prompt: the text that the offsets count in; what is blank in it, such as overwritten syntax, is no word. length:
    number of text tokens the model sees.

    >>> locate_by_offsets([(0, 0), (0, 1), (1, 6), (6, 7), (0, 0)], '"robin"', (1, 6), 77)
    [2]

    Raises SteeringError for an empty span, for words that no token writes, and for words beyond `length`.
    """
    words = _words(prompt, span)
    wanted = {i for i in range(*span) if not prompt[i].isspace()}
    positions = [at for at, (start, end) in enumerate(offsets) if not wanted.isdisjoint(range(start, end))]
    lacking = wanted.difference(*(range(*offsets[at]) for at in positions))
    lacking = {i for i in lacking if read(prompt[i])}  # tokenizers drop joiners and the like
    if lacking and min(lacking) >= max((end for _, end in offsets), default=0) or positions[-1:] >= [length]:
        raise _comes_later(words, length)
    if lacking or not positions:
        raise _not_found(words, prompt)
    return positions


def locate(
    encode: Encode, prompt: str, span: tuple[int, int], length: int, prompt_ids: Sequence[int] | None = None
) -> list[int]:
    """Token positions of the words at the character span `prompt[start:end]`.

    encode: text -> ids without special tokens. length: number of text tokens the model sees (77 for CLIP,
    512 or 256 for T5). prompt_ids: the ids the model is given, special tokens included; without them they are
    assumed to be one begin token and `encode(prompt)`.

    Raises SteeringError for an empty span, for words that are not in the ids, and for words beyond `length`.
    """
    words = _words(prompt, span)
    ids = list(prompt_ids) if prompt_ids is not None else [-1, *encode(prompt)]
    room = length - (len(ids) > length)  # of a prompt that is cut, the last token is the end token
    # Byte-level tokenizers (Qwen's) write a word that follows a space with other ids than one that does not.
    forms = {tuple(encode(words)), tuple(encode(" " + words))}
    earlier = len(_mentions(encode(prompt[: span[0]]), forms))
    found = _mentions(ids, forms)
    if earlier < len(found) and found[earlier].stop <= room:
        return list(found[earlier])
    everything = encode(prompt)
    cut = len(everything) + 2 > length  # with a begin and an end token
    if earlier < len(found) or cut and len(_mentions(everything, forms)) > earlier:
        raise _comes_later(words, length)
    raise _not_found(words, prompt)


def _words(prompt: str, span: tuple[int, int]) -> str:
    start, end = span
    words = prompt[start:end].strip() if 0 <= start < end <= len(prompt) else ""
    if not any(read(character) for character in words):
        raise SteeringError(
            f"Expected a character span inside the prompt's {len(prompt)} characters, got {start}..{end}; "
            "give the span of the object's words."
        )
    return words


def _comes_later(words: str, length: int) -> SteeringError:
    return SteeringError(
        f'Expected "{words}" within the first {length} tokens, which is all the text encoder reads, but it comes later; '
        "shorten the prompt or move the object forward."
    )


def _not_found(words: str, prompt: str) -> SteeringError:
    shown = prompt if len(prompt) <= 200 else f"{prompt[:200]}..."
    return SteeringError(
        f'Expected the tokens of "{words}" in the prompt "{shown}", but the tokenizer splits them differently there; put '
        "spaces around the word or choose another one."
    )


def _mentions(ids: Sequence[int], forms: set[tuple[int, ...]]) -> list[range]:
    """Positions of every place where one of `forms` stands, left to right; the longer one where two begin."""
    found = {
        start: range(start, start + len(form))
        for form in sorted(forms, key=len)
        for start in find_runs(ids, form)
    }
    return [found[start] for start in sorted(found)]


def encoder_of(tokenizer: Any) -> Encode:
    """`Encode` for a Hugging Face tokenizer (slow or fast, CLIP or T5)."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids)

    return encode


def token_weights(
    positions: Sequence[Sequence[Sequence[int]]], length: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Averaging weights over text tokens: an object's map is the mean over its tokens (Learn-to-Steer).

    positions: per image, per object, the token positions. Returns (B, O, T) float32, O = the most objects of
    any image, T = `length`; each object's row sums to 1, the rows of missing objects are all zero.

    Raises SteeringError for a position outside 0..T-1.
    """
    objects = max((len(image) for image in positions), default=0)
    weights = torch.zeros(len(positions), objects, length)
    for b, image in enumerate(positions):
        for o, tokens in enumerate(image):
            for t in tokens:
                if not 0 <= t < length:
                    raise SteeringError(
                        f"Expected token positions from 0 to {length - 1}, got {t}; the text is longer than "
                        "the model reads."
                    )
                weights[b, o, t] = 1.0 / len(tokens)
    return weights.to(device)
