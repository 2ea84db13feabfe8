"""What cannot be steered is left out and named, the rest is steered; words are where the pipeline puts them."""

import copy
import warnings

import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import generate, run_of, token_positions
from learn_to_steer.hosts.targets import batch_targets
from learn_to_steer.language import parse_relations
from learn_to_steer.objectives import CentroidObjective
from learn_to_steer.steering import SteeringPlan

PROMPT = "a dog above a cat"
PLAN = SteeringPlan(end=0.5, evaluations_per_step=2, step_size=0.1, reached=None)
RUN = {"num_inference_steps": 4, "guidance_scale": 4.0, "output_type": "pt", "height": 32, "width": 32}
KINDS = ["pipe", "xl_pipe", "flux_pipe"]
FAR = ", very" * 200  # more tokens than CLIP's 77 and these Flux pipelines' 64


def steered(pipe, prompt, **changes):
    if hasattr(pipe, "transformer"):
        changes = {"max_sequence_length": 64, **changes}
    return generate(
        pipe, prompt, **{"objective": CentroidObjective(), "plan": PLAN, "seed": 3, **RUN, **changes}
    )


# Beyond the encoder's text


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_out_of_reach_does_not_cost_the_others(request, kind):
    pipe = request.getfixturevalue(kind)
    prompt = f"{PROMPT}{FAR}, a fox above a cow"
    with pytest.warns(UserWarning, match='"fox above cow" is not steered.*tokens') as caught:
        out = steered(pipe, prompt)
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert out.trace.labels == [["dog above cat"]] and out.trace.records[0].move > 0
    (lost,) = out.left_out[0]
    assert (lost.triplet.subject, lost.triplet.object) == ("fox", "cow") and "tokens" in lost.reason
    assert [t.subject for t in out.triplets[0]] == ["dog", "fox"]
    # As if the other relation had been asked for alone.
    alone = steered(pipe, prompt, triplets=[("dog", "above", "cat")])
    assert torch.equal(alone.images, out.images) and alone.left_out == [[]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_hand", [False, True])
def test_with_nothing_in_reach_the_picture_is_the_plain_one(request, kind, by_hand):
    pipe, prompt = request.getfixturevalue(kind), f"a picture{FAR}, a fox above a cow"
    expected = steered(pipe, prompt, objective=None)
    with pytest.warns(UserWarning, match="fox above cow"):
        out = steered(pipe, prompt, triplets=[("fox", "above", "cow")] if by_hand else None)
    assert torch.equal(out.images, expected.images) and out.model_calls == expected.model_calls
    assert out.trace.labels == [[]] and len(out.left_out[0]) == 1


def test_each_image_of_a_batch_has_its_own_list(pipe):
    prompts = [f"{PROMPT}{FAR}, a fox above a cow", PROMPT, "a dog behind a cat, a cat above a dog"]
    with pytest.warns(UserWarning) as caught:
        out = steered(pipe, prompts)
    assert out.trace.labels == [["dog above cat"], ["dog above cat"], ["cat above dog"]]
    lost = [[str(one.triplet.relation.value) for one in image] for image in out.left_out]
    assert lost == [["above"], [], ["behind"]] and "behind" in out.left_out[2][0].reason
    assert len(caught) == 2


def test_doubtful_relations_are_told_and_not_steered(pipe):
    prompts = [PROMPT, "a cat on its hind legs, a dog above a cat"]
    out = steered(pipe, prompts)
    assert [[(t.subject, t.object) for t in image] for image in out.doubtful] == [[], [("cat", "hind legs")]]
    assert out.trace.labels == [["dog above cat"], ["dog above cat"]]
    taken = steered(pipe, prompts[1], triplets=out.doubtful[1])
    assert taken.trace.labels == [["cat above hind legs"]] and taken.doubtful == [[]]


@pytest.mark.parametrize("by_hand", [False, True])
def test_sixteen_relations_at_most_and_that_is_said(pipe, by_hand):
    names = "dog cat cow fox pig car cup hat bed bus bat rat owl ant bee egg jar key map".split()
    pairs = list(zip(names, names[1:], strict=False))
    prompt = ", ".join(f"a {a} above a {b}" for a, b in pairs)
    with pytest.warns(UserWarning, match="Only the first 16 relations are used"):
        out = steered(pipe, prompt, triplets=[(a, "above", b) for a, b in pairs] if by_hand else None)
    assert len(out.triplets[0]) == 16 and out.trace.notes[0].startswith("Only the first 16 relations")


def test_a_language_that_is_not_read_is_said(pipe):
    with pytest.warns(UserWarning, match="which is not read"):
        out = steered(pipe, "собака слева от кошки")
    assert out.trace.notes == [str(out.trace.notes[0])] and "not read" in out.trace.notes[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert steered(pipe, "собака слева от кошки", objective=None).trace.notes == []


def test_nothing_is_said_where_nothing_is_left_out(pipe):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not steered.*")
        assert steered(pipe, PROMPT).left_out == [[]]
        assert steered(pipe, "a dog behind a cat", objective=None).left_out == [[]]


def test_words_that_are_not_in_the_prompt_are_refused_all_the_same(pipe):
    with pytest.raises(SteeringError, match="horse"):
        steered(pipe, PROMPT, triplets=[("dog", "above", "cat"), ("horse", "above", "cat")])


def test_an_object_shared_with_a_lost_relation_keeps_its_place():
    """Slots and weights are those of the relations that are left: dog 2, cat 5; the fox is nowhere."""
    prompt = "a dog above a cat, a fox to the left of the cat"
    places = {"dog": [2], "cat": [5]}

    def positions(image, span):
        word = prompt[slice(*span)]
        if word not in places:
            raise SteeringError(f"Expected {word}; leave it out.")
        return places[word]

    dog = parse_relations(prompt)[0]
    fox = type(dog)("fox", dog.relation, "cat", (21, 24), dog.object_span, (21, 24), dog.object_noun)
    wanted = batch_targets([[fox, dog]], CentroidObjective(), positions, 8)
    assert wanted.objects == [["dog", "cat"]] and wanted.weights.shape == (1, 2, 8)
    assert wanted.weights[0].argmax(1).tolist() == [2, 5]
    assert [(t.subject, t.object) for t in wanted.targets[0]] == [(0, 1)]
    assert [one.reason for one in wanted.left_out[0]] == ["Expected fox; leave it out."]


# Textual inversion


@pytest.fixture
def taught(pipe):
    """A pipeline with a tokenizer of its own, to which words can be added."""
    pipe.tokenizer = copy.deepcopy(pipe.tokenizer)
    return pipe


@pytest.mark.parametrize("vectors", [1, 2, 4])
@pytest.mark.parametrize(
    "prompt", ["a <stylish> dog above a cat", "<stylish>, a dog above a cat", "a dog above a <stylish> cat"]
)
def test_vectors_of_a_textual_inversion_are_counted(taught, prompt, vectors):
    taught.load_textual_inversion(torch.randn(vectors, 32), token="<stylish>")
    written = " ".join(["<stylish>"] + [f"<stylish>_{i}" for i in range(1, vectors)])
    # What the text encoder is given, one name per token, begin token first.
    real = taught.tokenizer.convert_ids_to_tokens(
        taught.tokenizer(prompt.replace("<stylish>", written)).input_ids
    )
    (triplet,) = parse_relations(prompt)
    run = run_of(taught, [prompt])
    places = token_positions(run, 0, triplet.subject_noun), token_positions(run, 0, triplet.object_noun)
    assert places == ([real.index("dog</w>")], [real.index("cat</w>")])
    seen = []
    handle = taught.text_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args[0] if args else kwargs["input_ids"])[0].tolist()),
        with_kwargs=True,
    )
    out = steered(taught, prompt)
    handle.remove()
    ids = next(ids for ids in seen if taught.tokenizer.convert_tokens_to_ids("dog</w>") in ids)
    assert taught.tokenizer.convert_ids_to_tokens([ids[places[0][0]], ids[places[1][0]]]) == [
        "dog</w>",
        "cat</w>",
    ]
    assert out.left_out == [[]] and out.trace.records[0].move > 0


def test_an_inversion_may_be_an_object(taught):
    taught.load_textual_inversion(torch.randn(3, 32), token="<toy>")
    prompt = "a <toy> above a dog"
    out = steered(taught, prompt, triplets=[("<toy>", "above", "dog")])
    run = run_of(taught, [prompt])
    assert token_positions(run, 0, (2, 7)) == [2, 3, 4]
    (above,) = token_positions(run, 0, (16, 19))
    assert above == 4 + len(taught.tokenizer.tokenize("above a dog"))
    assert out.trace.records[0].move > 0


def test_vectors_count_towards_the_length_of_the_text(taught):
    taught.load_textual_inversion(torch.randn(80, 32), token="<long>")
    with pytest.warns(UserWarning, match="77 tokens"):
        out = steered(taught, "a <long> thing, a dog above a cat")
    assert len(out.left_out[0]) == 1
    assert steered(taught, "a dog above a cat, <long>").left_out == [[]]
