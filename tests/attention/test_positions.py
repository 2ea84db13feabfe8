"""Words -> token positions."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learn_to_steer.attention import locate, token_weights
from learn_to_steer.attention.positions import find_runs
from learn_to_steer.errors import SteeringError
from learn_to_steer.language import find_words

WORDS: dict[str, int] = {}


def encode(text: str) -> list[int]:
    """Two tokens a word: a number for its first half, one for its second."""
    ids = []
    for word in text.lower().replace(".", " .").split():
        middle = (len(word) + 1) // 2
        ids += [WORDS.setdefault(part, len(WORDS)) for part in (word[:middle], word[middle:]) if part]
    return ids


def test_every_run_is_found_left_to_right():
    assert find_runs([9, 1, 2, 3, 1, 2, 9], [1, 2]) == [1, 4]
    assert find_runs([1, 1, 1], [1, 1]) == [0, 1]  # runs may overlap
    assert find_runs([9, 1, 2], [2, 9]) == find_runs([1], [1, 1]) == find_runs([9, 1], []) == []


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_a_run_stands_at_these_starts_and_at_no_other(prompt, word):
    starts = find_runs(prompt, word)
    for i in range(len(prompt)):
        assert (i in starts) == (prompt[i : i + len(word)] == word)


def test_second_mention_has_its_own_tokens():
    prompt = "a dog left of a red dog."
    first = locate(encode, prompt, (2, 5), 77)
    second = locate(encode, prompt, (20, 23), 77)
    assert first == [2, 3]
    assert second == [2 + len(encode("dog left of a red")), 3 + len(encode("dog left of a red"))]


def test_word_written_differently_after_a_space():
    """As byte-level tokenizers do: a token carries the space in front of it."""

    def byte_level(text: str) -> list[int]:
        pieces = re.findall(r" ?[^ ]+| ", text)
        return [WORDS.setdefault(piece, len(WORDS)) for piece in pieces]

    prompt = "dog above a dog left of a dog"
    first, second, third = (m.span() for m in re.finditer("dog", prompt))
    assert locate(byte_level, prompt, first, 9, byte_level(prompt)) == [0]
    assert locate(byte_level, prompt, second, 9, byte_level(prompt)) == [3]
    assert locate(byte_level, prompt, third, 9, byte_level(prompt)) == [7]


def test_part_of_another_word_is_not_a_mention():
    prompt = "a dogma above a dog"
    assert locate(encode, prompt, (16, 19), 77)[0] > 5


def test_noun_beyond_the_text_length_is_refused():
    prompt = "a very " * 30 + "big dog above a cat"
    start = prompt.index("dog")
    with pytest.raises(SteeringError, match="within the first 20 tokens"):
        locate(encode, prompt, (start, start + 3), 20)


def test_the_last_token_of_a_cut_prompt_is_its_end():
    prompt = "a big dog above a cat"
    ids = [-1, *encode(prompt), -2]  # begin; a; bi g; do g; abo ve; a; ca t; end
    assert locate(encode, prompt, (6, 9), 77, ids) == [4, 5]
    assert locate(encode, prompt, (6, 9), 7, ids) == [4, 5]
    with pytest.raises(SteeringError, match="within the first 6 tokens"):
        locate(encode, prompt, (6, 9), 6, ids)


@pytest.mark.parametrize("span", [(3, 3), (-1, 2), (0, 99), (1, 2)])
def test_bad_span_is_refused(span):
    with pytest.raises(SteeringError, match="span"):
        locate(encode, "a dog", span, 77)


def test_words_are_found_whole_and_case_does_not_matter():
    prompt = "A hotdog, a Dog and a fire  hydrant, a dog"
    assert prompt[slice(*find_words(prompt, "dog"))] == "Dog"
    assert find_words(prompt, "dog", 1) == (39, 42)
    assert prompt[slice(*find_words(prompt, "fire hydrant"))] == "fire  hydrant"
    with pytest.raises(SteeringError, match="cat"):
        find_words(prompt, "cat")
    with pytest.raises(SteeringError):
        find_words(prompt, "  ")


def test_weights_average_and_pad():
    weights = token_weights([[[1], [2, 3]], [[4, 5, 6]], []], 8)
    assert weights.shape == (3, 2, 8)
    assert torch.allclose(weights.sum(-1), torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    assert weights[0, 1, 2] == 0.5
    with pytest.raises(SteeringError, match="0 to 7"):
        token_weights([[[8]]], 8)
