"""Words among the tokens of diffusers' pipelines: quotes, brackets, long prompts, concepts of several vectors."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learn_to_steer.attention import Text, aligned, pieces_of
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import run_of, token_positions

FORMS = [
    '"{}"',
    "'{}'",
    "({}:1.2)",
    "(({}))",
    "[{}]",
    "\\({}\\)",
    "puppy/{}",
    "{}'s",
    "&{}",
    "{}, ",
    "  {}",
    "{}",
    "the-{}",
]
"""What both of the tests' small vocabularies have signs for; {} is the noun."""
NOUNS = ["dog", "cat", "zebra", "teddy bear"]
PARTS = st.lists(st.tuples(st.sampled_from(NOUNS), st.sampled_from(FORMS)), min_size=1, max_size=3)


def _composed(parts):
    text, spans = "", []
    for noun, form in parts:
        text += " above " if text else ""
        before, after = form.format("\0").split("\0")
        spans.append((len(text) + len(before), len(text) + len(before) + len(noun)))
        text += before + noun + after
    return text, spans


@pytest.fixture(params=["clip", "t5"])
def world(request):
    """A pipeline and its tokenizer."""
    pipe = request.getfixturevalue("pipe" if request.param == "clip" else "flux_pipe")
    return pipe, pipe.tokenizer if request.param == "clip" else pipe.tokenizer_2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=PARTS)
def test_located_pieces_are_the_words(world, parts):
    pipe, tokenizer = world
    text, spans = _composed(parts)
    ids = tokenizer(text).input_ids
    run = run_of(pipe, [text], 2)
    for at, ((noun, _), span) in enumerate(zip(parts, spans, strict=True)):
        found = token_positions(run, 0, span)
        assert "".join(tokenizer.decode([ids[i] for i in found]).split()) == noun.replace(" ", "")
        before = "".join(tokenizer.decode(ids[: found[0]]).split())
        assert before.count(noun.replace(" ", "")) == sum(noun == other for other, _ in parts[:at])


@given(text=st.text(st.sampled_from("dogcat \"'([{&/.,:-é红🐶\n"), min_size=1, max_size=24))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_alignment_agrees_with_the_offsets_of_fast_tokenizers(tokenizer, t5_tokenizer, text):
    """Every token that alignment places lies within the characters that the tokenizer itself gives for it. Of unknown
    characters side by side neither can tell which token is which."""
    encoded = t5_tokenizer(text, return_offsets_mapping=True)
    offsets = aligned(pieces_of(t5_tokenizer)(encoded.input_ids), Text.of(text), len(text))
    assert offsets is not None
    for (start, end), (low, high) in zip(offsets, encoded.offset_mapping, strict=True):
        if text[start:end].strip() and "<unk>" not in t5_tokenizer.decode(encoded.input_ids):
            assert low <= start and end <= high


def _with_concept(pipe, token, vectors):
    pipe.tokenizer = copy.deepcopy(pipe.tokenizer)  # the other tests' has no concepts
    pipe.load_textual_inversion(torch.randn(vectors, pipe.text_encoder.config.hidden_size), token=token)


@pytest.mark.parametrize("vectors", [1, 2, 4])
def test_a_concept_of_several_vectors_moves_the_words_behind_it(pipe, vectors):
    _with_concept(pipe, "<stylish>", vectors)
    text = "a <stylish> dog above a <stylish> cat"
    run = run_of(pipe, [text], 2)
    # begin, "a", the vectors, "dog", "above", "a", the vectors, "cat"
    assert token_positions(run, 0, (12, 15)) == [2 + vectors]
    assert token_positions(run, 0, (34, 37)) == [5 + 2 * vectors]
    real = pipe.tokenizer(pipe.maybe_convert_prompt(text, pipe.tokenizer)).input_ids
    said = [
        pipe.tokenizer.convert_ids_to_tokens(real[token_positions(run, 0, s)[0]])
        for s in ((12, 15), (34, 37))
    ]
    assert said == ["dog</w>", "cat</w>"]


def test_a_concept_can_be_an_object(pipe):
    _with_concept(pipe, "<pet>", 3)
    run = run_of(pipe, ["a <pet> above a dog"], 2)
    assert token_positions(run, 0, (2, 7)) == [2, 3, 4]
    assert token_positions(run, 0, (16, 19)) == [7]


def test_the_last_place_of_a_cut_prompt_is_the_end_token(pipe):
    """75 words fit between begin and end; the 76th is cut, though its number is below 77."""
    text = "a " * 74 + "dog cat"
    start = text.index("dog")
    run = run_of(pipe, [text], 2)
    assert token_positions(run, 0, (start, start + 3)) == [75]
    with pytest.raises(SteeringError, match='"cat" within the first 77 tokens'):
        token_positions(run, 0, (start + 4, start + 7))


def test_a_word_cut_in_two_by_the_end_is_refused(pipe):
    text = "a " * 73 + "zebra"  # five letters, of which two fit
    with pytest.raises(SteeringError, match='"zebra" within the first 77 tokens'):
        token_positions(run_of(pipe, [text], 2), 0, (146, 151))


def test_a_slow_tokenizer_is_aligned(pipe, monkeypatch):
    """What a tokenizer without offsets gives: the same positions."""
    text = 'a "dog" above a (fire hydrant:1.2)'
    run = run_of(pipe, [text], 2)
    spans = [(3, 6), (17, 29)]
    fast = [token_positions(run, 0, span) for span in spans]
    monkeypatch.setattr(type(pipe.tokenizer), "is_fast", False)
    assert [token_positions(run, 0, span) for span in spans] == fast
