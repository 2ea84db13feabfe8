"""Tokens and text side by side: for any way of cutting a text, the characters of each piece are known by construction."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn_to_steer.attention import Mark, Text, aligned, locate_by_offsets
from learn_to_steer.errors import SteeringError

LETTERS = "aBé汉🐶ñ(\"'/&[ß½ "
texts = st.text(st.sampled_from(LETTERS), min_size=1, max_size=20).filter(lambda t: t.strip())


def _cut(text, places):
    """The UTF-8 bytes of a text cut at these places, and for each piece the characters it holds a byte of."""
    data = text.encode()
    owners = [i for i, c in enumerate(text) for _ in c.encode()]
    ends = [*sorted({p % len(data) for p in places} - {0}), len(data)]
    pieces, holds, start = [], [], 0
    for end in ends:
        pieces.append(data[start:end])
        holds.append({i for i in owners[start:end] if not text[i].isspace()})
        start = end
    return pieces, holds


@given(texts, st.lists(st.integers(0, 80), max_size=12))
def test_each_piece_gets_the_characters_it_holds_a_byte_of(text, places):
    pieces, holds = _cut(text, places)
    offsets = aligned([Mark.NOTHING, *pieces, Mark.NOTHING], Text.of(text), len(text))
    assert offsets[0] == offsets[-1] == (0, 0)
    for (start, end), held in zip(offsets[1:-1], holds, strict=True):
        if held:
            assert {i for i in range(start, end) if not text[i].isspace()} == held


@given(texts, st.lists(st.integers(0, 80), max_size=12), st.data())
def test_the_pieces_of_a_span_are_those_that_hold_its_characters(text, places, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    pieces, holds = _cut(text, places)
    offsets = aligned(pieces, Text.of(text), len(text))
    wanted = {i for i in range(start, end) if not text[i].isspace()}
    if not wanted:
        with pytest.raises(SteeringError, match="span"):
            locate_by_offsets(offsets, text, (start, end), 77)
        return
    expected = [at for at, held in enumerate(holds) if held & wanted]
    found = locate_by_offsets(offsets, text, (start, end), 77)
    # A single space in front of a word is counted to it.
    assert [at for at in found if holds[at]] == expected
    assert all(pieces[at].isspace() for at in found if at not in expected)


@given(texts, st.lists(st.integers(0, 80), max_size=12))
def test_what_tokenizers_change_does_not_matter(text, places):
    """Small letters, composed characters, white space dropped: as CLIP does."""
    pieces, holds = _cut(text.lower(), places)
    offsets = aligned(pieces, Text.of(text), len(text))
    assert offsets is not None
    for (start, end), held in zip(offsets, holds, strict=True):
        assert held <= set(range(start, end))


def test_compatibility_characters_and_quotes_are_read_alike():
    # T5 writes "ﬁ" as "fi", "…" as three points; others straighten quotes and compose accents.
    for given_text, written in [
        ("ﬁre", "fire"),
        ("a…", "a..."),
        ("“a”", '"a"'),
        ("e\u0301a", "éa"),
        ("Straße", "STRASSE"),
    ]:
        assert aligned([written.encode()], Text.of(given_text), len(given_text)) == [(0, len(given_text))]


def test_unknown_tokens_stand_for_what_lies_between_the_known_ones():
    unknown = Mark.UNKNOWN
    assert aligned([unknown, b" above", b" ", unknown], Text.of("红猫 above 犬"), 10) == [
        (0, 2),
        (3, 8),
        (9, 10),
        (9, 10),
    ]
    assert aligned([b"n", unknown, b"ve"], Text.of("nïve"), 4) == [(0, 1), (1, 2), (2, 4)]
    assert aligned([unknown], Text.of("a"), 1) is None  # every vocabulary knows the letters of ASCII


def test_other_texts_are_not_taken_for_the_prompt():
    assert aligned([b"dog"], Text.of("cat"), 3) is None
    assert aligned([b"dog", b"s"], Text.of("dog"), 3) is None
    assert aligned([b"dog"], Text.of("dogs"), 4) is None
    assert aligned([b"dog"], Text.of("dogs"), 4, whole=False) == [(0, 3)]
    assert aligned([b"\xf0\x9f"], Text.of("🐶"), 1) is None  # half a character


def test_joiners_and_selectors_belong_to_their_emoji():
    text = "a 👩\u200d🚀 ❤\ufe0f b"
    pieces = [b"a", " 👩".encode(), "\u200d".encode(), "🚀".encode(), " ❤".encode(), "\ufe0f".encode(), b" b"]
    offsets = aligned(pieces, Text.of(text), len(text))
    assert locate_by_offsets(offsets, text, (2, 5), 77) == [1, 2, 3]
    assert locate_by_offsets(offsets, text, (6, 8), 77) == [4, 5]
    assert locate_by_offsets(offsets, text, (9, 10), 77) == [6]


def test_vectors_stand_for_the_name_of_their_embedding():
    text = "embedding:pet, dog"
    read = Text(((c, i, i + 1) for i, c in enumerate(text)), [(0, 13), (13, 14)])
    vector = Mark.VECTOR
    assert aligned([vector, vector, b",", b"dog"], read, 18) == [(0, 13), (0, 13), (13, 14), (15, 18)]
    assert aligned([vector, b"dog"], read, 18) == [(0, 13), (15, 18)]
    assert aligned([b"dog"], read, 18) == [(15, 18)]  # the host knows no such embedding
    assert aligned([b"embedding", b":", b"pet", b",", b"dog"], read, 18)[-1] == (15, 18)
    assert aligned([b"pet", b"dog"], read, 18) is None


def test_a_character_cut_by_the_end_of_a_chunk_is_in_both():
    dog = "🐶".encode()
    pieces = [b"a", dog[:2], Mark.NOTHING, Mark.NOTHING, dog[2:], b"b"]
    offsets = aligned(pieces, Text.of("a🐶b"), 3)
    assert offsets == [(0, 1), (1, 2), (0, 0), (0, 0), (1, 2), (2, 3)]


def test_further_vectors_of_a_concept_are_of_its_word():
    pieces = [b"<pet>", Mark.FOLLOWS, Mark.FOLLOWS, b"dog"]
    assert aligned(pieces, Text.of("<pet> dog"), 9) == [(0, 5), (0, 5), (0, 5), (6, 9)]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3))
def test_long_texts_of_unknown_characters_stay_linear(times):
    """Searching back over every way to share them out would not end."""
    text = "红,猫 " * 300 * times + "x"
    pieces = [Mark.UNKNOWN, b",", Mark.UNKNOWN] * 300 * times + [b"y"]
    assert aligned(pieces, Text.of(text), len(text)) is None


def test_words_are_located_by_offsets():
    text = 'a "fire  hydrant" left'
    offsets = [(0, 0), (0, 1), (2, 3), (3, 7), (8, 13), (13, 16), (16, 17), (18, 22), (0, 0), (0, 0)]
    assert locate_by_offsets(offsets, text, (3, 16), 10) == [3, 4, 5]
    assert locate_by_offsets(offsets, text, (12, 16), 10) == [4, 5]
    with pytest.raises(SteeringError, match="within the first 5 tokens"):
        locate_by_offsets(offsets, text, (3, 16), 5)
    with pytest.raises(SteeringError, match="within the first 10 tokens"):
        locate_by_offsets(offsets[:7] + [(0, 0)] * 3, text, (18, 22), 10)  # cut by the tokenizer
    with pytest.raises(SteeringError, match="splits them differently"):
        locate_by_offsets([(0, 0), (0, 1), (18, 22)], text, (3, 7), 10)
    for span in [(1, 2), (3, 3), (-1, 2), (0, 99)]:
        with pytest.raises(SteeringError, match="span"):
            locate_by_offsets(offsets, text, span, 10)


def test_blank_syntax_inside_a_span_is_no_word():
    # "fire (hydrant" with its bracket overwritten; the bracket has a token of its own.
    offsets = [(0, 4), (5, 6), (6, 13)]
    assert locate_by_offsets(offsets, "fire  hydrant", (0, 13), 77) == [0, 2]
