"""Whose words a conditioning is made of: told by its text states, through whatever a graph does to them.

What is right is worked out by hand: a concatenation puts the second text's tokens behind the first's, EmojiWorld's chunks
are 32 tokens long and Stable Diffusion's 77, and the plain picture is the stock sampler's.
"""

from __future__ import annotations

import json
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK, PROMPT, latents, options, steered, stock

CHUNK = {"EmojiWorld": 32, "Stable Diffusion 1.5": 77}
"""Tokens that a short prompt becomes."""

WORDS = [[0, 2], [1, 8], [1, 9]]
"""Object, token: "<begin> a dog to the right of a teddy bear"."""


def _stable_diffusion_clip(pack):
    """The host's tokenizer of Stable Diffusion 1.5, and a text model of its layout with random weights as wide as
    EmojiWorld's UNet wants."""
    import comfy.sd
    import comfy.sd1_clip
    import comfy.supported_models_base

    load = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.load")
    settings = json.loads((load.WEIGHTS / "text_encoder" / "config.json").read_text())
    sizes = {"max_position_embeddings": 77, "vocab_size": 49408}
    special = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    target = comfy.supported_models_base.ClipTarget(
        comfy.sd1_clip.SD1Tokenizer, load._encoder_class({**settings, **sizes, **special})
    )
    torch.manual_seed(0)
    with torch.inference_mode():
        clip = comfy.sd.CLIP(target, embedding_directory=None, model_options={"dtype": torch.float32})
        encoder = clip.cond_stage_model.clip_l.transformer
        for tensor in encoder.state_dict().values():
            tensor.copy_(torch.ones_like(tensor) if tensor.ndim == 1 else 0.1 * torch.randn_like(tensor))
    load.comfy_archive_dtypes(clip.cond_stage_model)
    return clip


@pytest.fixture(scope="module", params=CHUNK)
def world(request, pack, node, world):
    """The world with its own text encoder, and with one in the layout of Stable Diffusion 1.5."""
    if request.param == "EmojiWorld":
        return SimpleNamespace(**{**vars(world), "chunk": 32})
    clip = _stable_diffusion_clip(pack)
    positive, relations, _ = node("RelationPrompt", clip=clip, text=PROMPT)
    assert positive[0][0].shape == (1, 77, 128) and relations.length == 77
    changed = {"clip": clip, "positive": positive, "relations": relations, "chunk": 77}
    changed["negative"] = _encode(SimpleNamespace(clip=clip), "")
    return SimpleNamespace(**{**vars(world), **changed})


def _encode(world, text):
    import nodes as host_nodes

    with torch.inference_mode():
        return host_nodes.CLIPTextEncode().encode(world.clip, text)[0]


def _host(name, method, *inputs):
    import nodes as host_nodes

    with torch.inference_mode():
        return getattr(getattr(host_nodes, name)(), method)(*inputs)[0]


def _sampled(node, world, positive, relations=None):
    """Through Apply Relation Steering and the host's own sampler: (latents, log)."""
    model, log = node(
        "ApplyRelationSteering", model=world.model, relations=relations or world.relations, classifier=world.classifier,
        options=options(node, reached=1.0),
    )  # fmt: skip
    return stock(world, model=model, positive=positive), log


def _is_plain_and_says_so(node, world, positive, words):
    result, log = _sampled(node, world, positive)
    assert torch.equal(result, stock(world, positive=positive))
    (run,) = log.runs
    assert not any(t.records for t in run.traces)
    (sentence,) = run.notes
    assert sentence.startswith("Expected") and sentence.endswith(".") and "\n" not in sentence
    assert PROMPT in sentence and words in sentence
    return sentence


KEPT = {
    "as it is": lambda w: w.positive,
    "another node, the same text": lambda w: _encode(w, PROMPT),
    "averaged with nothing of the other": lambda w: _host(
        "ConditioningAverage", "addWeighted", w.positive, _encode(w, "a cat"), 1.0
    ),
    "combined": lambda w: _host("ConditioningCombine", "combine", _encode(w, "a cat"), w.positive),
    "combined with a longer one": lambda w: _host(
        "ConditioningCombine", "combine", w.positive, _encode(w, "a cat " * 60)
    ),
    "an area": lambda w: _host("ConditioningSetArea", "append", w.positive, 128, 128, 0, 0, 1.0),
    "a mask": lambda w: _host(
        "ConditioningSetMask", "append", w.positive, torch.ones(1, 128, 128), "default", 1.0
    ),
    "a timestep range": lambda w: _host("ConditioningSetTimestepRange", "set_range", w.positive, 0.0, 1.0),
    "concatenated, first": lambda w: _host("ConditioningConcat", "concat", w.positive, _encode(w, "a cat")),
    "concatenated, second": lambda w: _host("ConditioningConcat", "concat", _encode(w, "a cat"), w.positive),
    "two prompts, then ours": lambda w: _host(
        "ConditioningConcat", "concat",
        _host("ConditioningConcat", "concat", _encode(w, "a cat"), _encode(w, "a frog above a car")), w.positive,
    ),
}  # fmt: skip
CHUNKS_BEFORE = {"concatenated, second": 1, "two prompts, then ours": 2}


@pytest.mark.parametrize("how", KEPT)
def test_the_prompt_is_steered_on_its_words_wherever_its_states_are(node, world, how, monkeypatch):
    branch = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.branch")
    read = []

    class Recorder(branch.AttentionRecorder):
        def __init__(self, weights, *rest):
            read.append(weights[0].nonzero().tolist())
            super().__init__(weights, *rest)

    monkeypatch.setattr(branch, "AttentionRecorder", Recorder)
    _, log = _sampled(node, world, KEPT[how](world))
    assert log.latest.records and log.latest.records[0].move > 0 and not log.runs[0].notes
    shift = CHUNKS_BEFORE.get(how, 0) * world.chunk
    assert read and all(one == [[slot, shift + at] for slot, at in WORDS] for one in read)


OTHERS = {
    "another prompt of as many tokens": lambda w: _encode(w, "a frog above a car"),
    "half another prompt": lambda w: _host(
        "ConditioningAverage", "addWeighted", w.positive, _encode(w, "a cat"), 0.5
    ),
    "zeros": lambda w: _host("ConditioningZeroOut", "zero_out", w.positive),
    "two other prompts": lambda w: _host(
        "ConditioningConcat", "concat", _encode(w, "a frog above a car"), _encode(w, "a cat")
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", OTHERS)
def test_other_states_are_left_alone(node, world, how):
    changed = how in ("half another prompt", "zeros")
    words = "changed on the way" if changed else "that of another prompt"
    _is_plain_and_says_so(node, world, OTHERS[how](world), words)


def test_another_relation_prompt_of_equal_length_is_another_prompt(node, world):
    """The graph of two Relation Prompts with crossed wires: both are marked, both have as many tokens."""
    positive, relations, _ = node("RelationPrompt", clip=world.clip, text="a frog above a car")
    assert relations.length == world.relations.length and positive[0][0].shape == world.positive[0][0].shape
    _is_plain_and_says_so(node, world, positive, "that of another prompt")


def test_our_mark_on_other_states_is_not_believed(node, world):
    marked = [[states, {**world.positive[0][1]}] for states, _ in _encode(world, "a frog above a car")]
    _is_plain_and_says_so(node, world, marked, "changed on the way")


def test_a_steering_sampler_refuses_the_other_prompt_at_its_door(node, world):
    with pytest.raises(ValueError, match="that of another prompt") as error:
        steered(node, world, positive=_encode(world, "a frog above a car"))
    assert "\n" not in str(error.value)
    off = options(node, strength=0.0)  # nothing is steered, nothing is refused
    steered(node, world, positive=_encode(world, "a frog above a car"), options=off)


@pytest.mark.parametrize(("order", "chunks"), [("first", 0), ("second", 1), ("third", 2)])
def test_positions_move_with_the_text(node, world, order, chunks):
    """ "a dog to the right of a teddy bear": the dog is the second word, so token 2 behind the beginning."""
    owner = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.prompt.owner")
    other = _encode(world, "a cat")
    if order == "third":
        other = _host("ConditioningConcat", "concat", other, _encode(world, "a frog"))
    pair = (world.positive, other) if order == "first" else (other, world.positive)
    states, shift = _host("ConditioningConcat", "concat", *pair)[0][0], chunks * world.chunk
    assert owner.places(world.relations, states) == (shift,)
    weights = torch.zeros(1, 2, world.chunk)
    weights[0, 0, 2] = weights[0, 1, 8] = 1.0
    placed = owner.placed(weights, (shift,), states.shape[1])
    assert placed.shape == (1, 2, states.shape[1])
    assert placed[0].nonzero().tolist() == [[0, shift + 2], [1, shift + 8]]
    dog = world.relations.tokens_of(world.relations.triplets[0].subject_noun)
    assert dog == [2] and torch.equal(states[0, shift + 2], world.positive[0][0][0, 2])


def test_the_shifted_words_are_the_ones_that_are_read(node, world):
    """The same prompt on both sides of a concatenation: its words stand twice, and both count."""
    owner = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.prompt.owner")
    twice = _host("ConditioningConcat", "concat", world.positive, world.positive)
    assert owner.places(world.relations, twice[0][0]) == (0, world.chunk)
    other = _host("ConditioningConcat", "concat", _encode(world, "a cat"), world.positive)
    maps = {}
    for name, positive in (("twice", twice), ("other", other)):
        (attention,) = node(
            "CaptureAttention", model=world.model, positive=positive, relations=world.relations, latent=latents(),
            noise_level=1.0, seed=3,
        )  # fmt: skip
        maps[name] = attention.maps.maps[0]
    assert not torch.allclose(maps["twice"], maps["other"], atol=1e-3)
    (alone,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations, latent=latents(),
        noise_level=1.0, seed=3,
    )  # fmt: skip
    # Two equal halves of a softmax: each token's share is half, and there are two of it.
    assert torch.allclose(maps["twice"], alone.maps.maps[0], atol=1e-4)


def test_a_batch_of_conditionings_must_be_ours_throughout(world):
    owner = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.prompt.owner")
    ours, theirs = world.positive[0][0], _encode(world, "a frog above a car")[0][0]
    assert owner.places(world.relations, torch.cat([ours, ours])) == (0,)
    assert owner.places(world.relations, torch.cat([ours, theirs])) == ()
    assert owner.places(world.relations, None) == ()


def test_digests_are_of_numbers_not_of_types(world):
    owner = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.prompt.owner")
    states = torch.tensor([[0.0, -1.5], [2.0, 0.25]])
    same = owner.digests(states)
    assert owner.digests(states.bfloat16()) == same and owner.digests(states.double()) == same
    assert owner.digests(torch.tensor([[-0.0, -1.5], [2.0, 0.25]])) == same
    assert owner.digests(torch.tensor([[0.0, -1.5], [2.0, 0.2500001]]))[1] != same[1]


def test_capture_refuses_another_prompt(node, world):
    with pytest.raises(ValueError, match="that of another prompt"):
        node(
            "CaptureAttention", model=world.model, positive=_encode(world, "a frog above a car"),
            relations=world.relations, latent=latents(), noise_level=0.5, seed=0,
        )  # fmt: skip
