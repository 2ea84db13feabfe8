"""The chunks of an English prompt, with phrases joined and settings told from places."""

from __future__ import annotations

from .chunker import Chunker
from .lexicons import english as lex
from .markup import strip_weighting
from .phrases import Chunk, Kind
from .words import NounPhrase, merge

# Longer phrases are not joined to another: keeps the joining linear.
_MAX_MERGED_WORDS = 12
_SHAPES = frozenset("square oval round cube orange glass".split())


def _joins_adjectives(first: NounPhrase, joint: Chunk, second: NounPhrase) -> bool:
    """ "a black" + "and" + "white cat" is one phrase, "an orange" + "," + "4k" is not."""
    if not first.only_adjectives or second.determiner or second.head in lex.STYLE_WORDS:
        return False
    if joint.kind is Kind.SEPARATOR and joint.word != ",":
        return False
    if first.words[-1] in _SHAPES and (
        len(first.words) > 1 or (joint.kind is Kind.SEPARATOR and first.determiner)
    ):
        return False  # "a green square and red rectangle"
    if first.words[-1] in lex.NOUN_LIKE_ADJECTIVES:
        return joint.kind is Kind.AND and len(second.words) > 1 and second.words[0] in lex.COLOURS
    return True


def _merged(text: str, chunks: list[Chunk]) -> list[Chunk]:
    """Join "black and white cat" and "cup of coffee" into one noun phrase each."""
    out: list[Chunk] = []
    for chunk in chunks:
        second = chunk.noun
        while second and not second.determiner and len(out) >= 2 and (first := out[-2].noun):
            joint = out[-1]
            if len(first.words) > _MAX_MERGED_WORDS:
                break
            if joint.kind in (Kind.AND, Kind.SEPARATOR) and _joins_adjectives(first, joint, second):
                second = merge(text, first, second, second)
            elif joint.word == "of" and first.head not in lex.FRAMES | lex.ARTWORKS:
                second = merge(text, first, second, second if first.head in lex.PARTITIVES else first)
            else:
                break
            chunk = Chunk(Kind.NOUN, noun=second)
            del out[-2:]
        if second and out and (stray := out[-1].noun) and stray.only_adjectives and stray.head not in _SHAPES:
            if stray.head not in lex.NOUN_LIKE_ADJECTIVES:
                out.pop()  # "a black a grey back pack"
        out.append(chunk)
    return out


def _is_placing(chunk: Chunk, before: NounPhrase | None, after: Chunk | None) -> bool:
    """Whether "on", "in" and "under" say where a thing is, judged by the noun that follows."""
    if chunk.word not in ("on", "in", "under"):
        return True
    if after is not None and after.kind is Kind.PRONOUN:
        return True
    noun = after.noun if after else None
    if noun is None:
        return chunk.word == "under"
    if chunk.word == "under":
        return noun.head not in lex.OVERHEAD
    if chunk.word == "in":
        return noun.head in lex.CONTAINERS and bool(noun.determiner)
    bare = not noun.determiner and before is not None and bool(before.determiner)
    return noun.head not in lex.SCENERY and not bare


def chunk_prompt(prompt: str) -> list[Chunk]:
    """The chunks of an English prompt in reading order. Never raises; linear time."""
    chunks = _merged(strip_weighting(prompt), Chunker(prompt).run())
    before: NounPhrase | None = None
    for chunk, after in zip(chunks, [*chunks, None][1:], strict=True):
        if chunk.kind is Kind.RELATION and not _is_placing(chunk, before, after):
            chunk.kind = Kind.ATTACH
        before = chunk.noun or before
    return chunks
