"""Which of a prompt's tokens ComfyUI's text encoders hand to the model, and where a word's are among them.

`clip.tokenize` gives chunks of (token, weight) per text encoder. A model attends to the tokens of one encoder, or of two,
one after the other (Stable Diffusion 3). Language models are given the prompt inside a template; its words are not the
prompt's, and some encoders leave its beginning out of the context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ....attention import Mark, aligned, locate, locate_by_offsets, pieces_of
from ....errors import SteeringError
from .syntax import readings

_NO_WORD = -2  # stands for tokens that are not the prompt's
_VECTOR = -3  # stands for an embedding, which has no id
_TURN = 151644  # Qwen's token that opens a turn of a talk
_USER = (872, 198)  # "user" and a line break

Chunks = Sequence[Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Part:
    """A stretch of the context: the tokens of one text encoder.

    encoder: its name in the host's tokens. begin: where the stretch begins. ids: its tokens, those that are not of the
    prompt's own words replaced. offsets: per token the characters of the prompt that it writes, (0, 0) for none; None
    where that could not be told.
    """

    encoder: str
    begin: int
    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...] | None = None


def context_parts(clip: Any, text: str) -> list[Part]:
    """The context of a prompt, encoder by encoder. Raises SteeringError for tokens that are of no known kind."""
    tokens, parts, begin = _by_encoder(clip.tokenize(text)), list[Part](), 0
    empties = _by_encoder(clip.tokenize(""))
    for name in _attended(clip, tokens):
        empty = _ids(empties[name][0])
        ids = [i for chunk in tokens[name] for i in _own(_ids(chunk), empty)]
        if name == "qwen25_7b":
            ids = ids[_beginning([i for chunk in tokens[name] for i in _ids(chunk)]) :]
        parts.append(Part(name, begin, tuple(ids), _offsets(clip, name, ids, text)))
        begin += len(ids)
    return parts


def prompt_positions(parts: Sequence[Part]) -> tuple[int, ...]:
    """Positions along the context of the prompt's own tokens, and of the begin that stands before them; without ends,
    padding and templates."""
    found: list[int] = []
    for part in parts:
        own = [i for i, token in enumerate(part.ids) if token != _NO_WORD]
        found += [part.begin + i for i in sorted({at for i in own for at in (i - 1, i) if at >= 0})]
    return tuple(found)


def word_positions(clip: Any, part: Part, prompt: str, span: tuple[int, int]) -> list[int]:
    """Positions along the context of the words at `prompt[start:end]`, a prompt without the syntax of weights, among the
    tokens of one encoder. Raises SteeringError as `locate_by_offsets` does."""
    if part.offsets is not None:
        return [part.begin + i for i in locate_by_offsets(part.offsets, prompt, span, len(part.ids))]

    def encode(words: str) -> list[int]:
        escaped = words.replace("(", "\\(").replace(")", "\\)")  # brackets are no weights here
        empty = _ids(_by_encoder(clip.tokenize(""))[part.encoder][0])
        chunks = _by_encoder(clip.tokenize(escaped))[part.encoder]
        return [i for chunk in chunks for i in _own(_ids(chunk), empty) if i >= 0]

    return [part.begin + i for i in locate(encode, prompt, span, len(part.ids), part.ids)]


def _offsets(clip: Any, name: str, ids: Sequence[int], text: str) -> tuple[tuple[int, int], ...] | None:
    """The characters of the prompt that each token of an encoder writes; None where its tokenizer does not name its tokens,
    or they write another text."""
    tokenizers = getattr(clip, "tokenizer", None) or getattr(clip.tokenize, "__self__", None)
    tokenizer = getattr(tokenizers, name, None) or getattr(tokenizers, f"clip_{name}", None)
    words = getattr(tokenizer, "tokenizer", None)
    if not hasattr(words, "get_vocab"):
        return None
    pieces = pieces_of(words, getattr(tokenizer, "inv_vocab", None))(ids)
    for at, i in enumerate(ids):
        if i == _VECTOR:
            pieces[at] = Mark.VECTOR
    found = (aligned(pieces, reading, len(text)) for reading in readings(text))
    return next((tuple(offsets) for offsets in found if offsets is not None), None)


def _by_encoder(tokens: Any) -> Mapping[str, Chunks]:
    if not isinstance(tokens, dict) or not tokens:
        raise SteeringError(
            f"Expected a text encoder that gives tokens by name, got {type(tokens).__name__}; use the CLIP of the model's "
            "own checkpoint."
        )
    return tokens


def _attended(clip: Any, tokens: Mapping[str, Chunks]) -> list[str]:
    """Names of the encoders whose tokens the context shows, in its order. Where two encoders stand side by side in the
    same positions (SDXL), one of them."""
    if "t5xxl" in tokens and "g" in tokens:  # Stable Diffusion 3: CLIP, then T5, as far as they are loaded
        loaded = getattr(clip, "cond_stage_model", None)
        absent = {n for n in tokens if getattr(loaded, n if n == "t5xxl" else f"clip_{n}", loaded) is None}
        present = [n for n in tokens if loaded is None or n not in absent]
        pair = [n for n in ("l", "g") if n in present][:1]
        return [*pair, *(["t5xxl"] if "t5xxl" in present else [])]
    if "t5xxl" in tokens:
        return ["t5xxl"]  # Flux: CLIP gives one pooled state, what is attended to is T5's
    return [next((name for name in ("l", "h", "g") if name in tokens), next(iter(tokens)))]


def _own(ids: list[int], empty: list[int]) -> list[int]:
    """The tokens of one chunk, with all but the prompt's own words replaced. empty: those of an empty prompt, which are
    the beginning and the end that the host puts around it, and padding."""
    filled = _filled_before(ids, empty)
    bare, ids = empty[_filled_before(empty, ids) :], ids[filled:]
    begin = _common(ids, bare)
    end = _end(ids, bare, begin) if begin < len(bare) else len(ids)
    own = [i if begin <= at < end else _NO_WORD for at, i in enumerate(ids)]
    return [_NO_WORD] * filled + own


def _end(ids: list[int], bare: list[int], begin: int) -> int:
    """Where the prompt's own words end that begin at `begin`: what both end with, behind padding, is the host's. A line
    break of a template may melt into the prompt's first one, and embeddings change all the white space of it."""
    words, frame = (_without(some, bare[-1]) for some in (ids, bare))  # an end may be what pads
    room = max(0, min(len(words), len(frame)) - begin)
    common = min(room, _common(words[::-1], frame[::-1]))
    if common >= room - 1:
        return len(words) - common
    ends = (ids.index(token, begin) for token in bare[begin : begin + 2] if token in ids[begin:])
    return next(ends, len(ids))


def _common(ids: Sequence[int], other: Sequence[int]) -> int:
    """Number of tokens in front that both have."""
    differing = (at for at, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b)
    return next(differing, min(len(ids), len(other)))


def _without(ids: list[int], filler: int) -> list[int]:
    """Without the run of this token at its end."""
    return ids[: next((at + 1 for at in reversed(range(len(ids))) if ids[at] != filler), 0)]


def _filled_before(ids: list[int], other: list[int]) -> int:
    """Number of padding tokens in front, where both begin with one: an encoder that fills up there has more before a
    shorter text."""
    if not ids or not other or ids[0] != other[0]:
        return 0
    return next((at for at, i in enumerate(ids) if i != ids[0]), len(ids))


def _beginning(ids: list[int]) -> int:
    """Number of tokens that the encoder of Qwen-Image leaves out: all up to the words of the second turn."""
    turns = [at for at, i in enumerate(ids) if i == _TURN][:2]
    if not turns:
        return 0
    begins = turns[-1]
    return begins + 3 if tuple(ids[begins + 1 : begins + 3]) == _USER else begins


def _ids(chunk: Sequence[tuple[Any, ...]]) -> list[int]:
    return [item[0] if isinstance(item[0], int) else _VECTOR for item in chunk]
