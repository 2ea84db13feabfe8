"""Models of the host as recording wants them: the same records as through diffusers, for every kind of model that is read,
and everything left as it was.

Where the host's interpreter can import diffusers both hosts record side by side; without it that comparison is skipped, and
says so.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import PACK, stock
from joint_models import KINDS, model_of, tokenizer_of


def module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def scenes():
    """The source that trains: scenes of the shipped emoji."""
    sprites = module("emojiworld.render").sprites()
    return (
        module("dataset.sources").scene_parts({name: [s] for name, s in sprites.items()}, 0).sources["train"]
    )


def recorder_of(model, clip, vae, steps=6, **more):
    kind = module("hosts.comfyui.recorder").GraphRecorder
    return kind(model, clip, vae, steps, 128, 128, **more)


def recorded(recorder, numbers, way="euler", check=False, **more):
    how = module("dataset").How(way, check=check, draws=2)
    with torch.inference_mode():  # as the host runs its nodes
        return module("dataset").record_batch(scenes(), recorder, numbers, 0, how, **more)


@pytest.fixture(params=["unet", "mmdit"])
def emojiworld(request, node):
    return request.param, node("LoadEmojiWorld", architecture=request.param)


def test_it_says_what_the_model_is(emojiworld):
    kind, parts = emojiworld
    recorder = recorder_of(*parts, steps=20)
    assert (recorder.flow, recorder.size, recorder.steps) == (kind == "mmdit", (128, 128), 20)
    assert recorder.family == f"emojiworld-{kind}" and len(recorder.sigmas()) == 20
    assert sorted(recorder.sigmas(), reverse=True) == recorder.sigmas() and recorder.sigmas()[-1] > 0
    # A flow model's first step is noise alone: nothing of a picture is to be recorded there.
    assert module("dataset").trained_steps(recorder)[0] == (1 if kind == "mmdit" else 0)


def test_records_are_those_of_the_diffusers_host(emojiworld):
    """Same scenes, same seed. Both compute in float32, in another order of sums; after 6 passes of inversion the maps, kept
    in half precision, differ in their last digits: 1e-4 of their mean on average, 2e-3 of the largest at most. PSNR of the
    way back agrees to 0.05 dB."""
    pytest.importorskip(
        "diffusers", reason="the host's interpreter has no diffusers; install it there to compare"
    )
    kind, parts = emojiworld
    world = module("emojiworld")
    pipe = world.load_pipeline(model=kind)
    # Five steps: both hosts' schedules divide the 1000 of the training evenly.
    theirs = module("hosts.diffusers.recorder").PipelineRecorder(pipe, world.FAMILIES[kind], 5)
    ours = recorder_of(*parts, steps=5)
    assert ours.layers == theirs.layers and ours.flow == theirs.flow
    assert ours.sigmas() == pytest.approx(theirs.sigmas(), rel=1e-5)
    here = recorded(ours, [0, 1], check=True)
    with torch.inference_mode(False):
        how = module("dataset").How(check=True, draws=2)
        there = module("dataset").record_batch(scenes(), theirs, [0, 1], 0, how)
    assert here.psnr == pytest.approx(there.psnr, abs=0.05)
    assert torch.equal(here.maps.timestep, there.maps.timestep) and torch.equal(here.rows, there.rows)
    for mine, other in zip(here.maps.stack.maps, there.maps.stack.maps, strict=True):
        apart = (mine.float() - other.float()).abs()
        assert apart.mean() <= 1e-4 * other.float().mean() and apart.max() <= 2e-3 * other.float().max()


def test_the_way_back_is_the_samplers_own(world):
    """Euler's way down along the recorder's slope is the picture that the host's own euler draws, prompt alone."""
    import comfy.sample

    recorder = recorder_of(world.model, world.clip, world.vae)
    noise = torch.randn(1, 4, 16, 16, generator=torch.manual_seed(5))
    slope = recorder.slope(["a dog to the right of a teddy bear"])
    sigmas = recorder.sigmas()
    first = noise * (1 + sigmas[0] ** 2) ** 0.5  # as the host begins at its highest level
    mine = module("inversion").sampled(first, sigmas, slope)
    with torch.inference_mode():
        latent = {"samples": torch.zeros(1, 4, 16, 16)}
        positive = world.clip.encode_from_tokens_scheduled(
            world.clip.tokenize("a dog to the right of a teddy bear")
        )
        theirs = comfy.sample.sample(
            world.model, noise, 6, 1.0, "euler", "simple", positive, world.negative, latent["samples"],
            disable_pbar=True, seed=0,
        )  # fmt: skip
    theirs = world.model.model.process_latent_in(theirs.clone())
    assert (mine - theirs).abs().max() < 2e-3 * theirs.std()


def test_pictures_go_to_latents_and_back(world):
    recorder = recorder_of(world.model, world.clip, world.vae)
    pictures = np.stack([s.picture for s in scenes().samples([0, 1], 0, (128, 128))])
    with torch.inference_mode():
        latents = recorder.encode(pictures)
    assert latents.shape == (2, 4, 16, 16) and latents.dtype == torch.float32
    # Of the model's own space: the unit spread that noise is added to, not the autoencoder's.
    assert 0.5 < float(latents.std()) < 2
    again = recorder.decode(latents)
    assert again.dtype == np.uint8 and min(module("inversion").psnr(pictures, again)) > 25


def test_rows_of_a_batch_are_what_each_is_alone(world):
    recorder = recorder_of(world.model, world.clip, world.vae)
    one, two = (recorded(recorder, [n], "noising") for n in (0, 1))
    both = recorded(recorder, [0, 1], "noising")
    for mine, a, b in zip(both.maps.stack.maps, one.maps.stack.maps, two.maps.stack.maps, strict=True):
        alone = torch.stack([a, b], 1).flatten(0, 1).float()
        assert torch.allclose(mine.float(), alone, atol=1e-3 * float(alone.max()))


def test_texts_that_differ_in_more_than_their_states_are_asked_one_by_one(world, monkeypatch):
    """Text encoders that give masks or other lengths: the same maps, in as many passes as there are rows."""
    recorder = recorder_of(world.model, world.clip, world.vae)
    whole = recorded(recorder, [0, 1], "noising")
    encode = recorder._encode
    apart = recorder_of(world.model, world.clip, world.vae)
    apart._encoded = lambda text: [[s, {**e, "attention_mask": torch.ones(1, 32)}] for s, e in encode(text)]
    assert len(apart._together(["a dog above a cat", "a cat above a dog"])) == 2
    alone = recorded(apart, [0, 1], "noising")
    for mine, other in zip(whole.maps.stack.maps, alone.maps.stack.maps, strict=True):
        assert torch.allclose(mine.float(), other.float(), atol=1e-3 * float(other.max()))


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_joint_attention_is_recorded(node, name):
    """Tiny models of the host's classes with random weights: a slope that is the model's own, maps of every layer."""
    kind = KINDS[name]
    clip = tokenizer_of(*kind.tokenizer)
    prompt = module("hosts.comfyui.prompt.relations")

    def encode(tokens):
        generator = torch.Generator().manual_seed(len(str(tokens)))
        length = sum(len(part.ids) for part in prompt.context_parts(clip, clip.said))
        mask = {"attention_mask": torch.ones(1, length, dtype=torch.long)} if kind.masked else {}
        states = torch.randn(1, length, 32, generator=generator)
        return [[states, {"pooled_output": torch.randn(1, 24, generator=generator), **mask}]]

    tokenize = clip.tokenize

    def tokenized(text):
        clip.said = text or clip.said
        return tokenize(text)

    clip.said, clip.tokenize, clip.encode_from_tokens_scheduled = "", tokenized, encode
    vae = SimpleNamespace(spacial_compression_encode=lambda: 8)
    recorder = recorder_of(model_of(kind), clip, vae, steps=4)
    texts = ["a dog to the right of a teddy bear", "a fox above an umbrella"]
    pairs = [("dog", "teddy bear"), ("fox", "umbrella")]
    frames = (1,) if kind.model == "QwenImage" else ()
    x = torch.randn(2, kind.channels, *frames, *kind.size, generator=torch.manual_seed(0))
    slope = recorder.slope(texts)(x, 1)
    assert recorder.flow and slope.shape == x.shape and slope.isfinite().all() and not slope.is_inference()
    at = torch.tensor([1, 2])
    stack = recorder.maps(recorder.model_input(x, at), at, texts, pairs)
    assert tuple(layer.name for layer in stack.layers) == kind.names
    for maps in stack.maps:
        assert maps.shape[:3] == (2, 2, kind.heads) and maps.isfinite().all() and maps.std() > 0
    some = recorder.maps(recorder.model_input(x, at), at, texts, pairs, kind.names[:1])
    assert torch.allclose(some.maps[0], stack.maps[0], atol=1e-6)


def test_the_digest_is_of_the_weights_whatever_the_host_has_done_to_them(node, own):
    """The same loaded or not, patched in place or not; another with another LoRA, or another weight."""
    import comfy.model_management

    digest = module("hosts.comfyui.digest").digest_of
    fresh = digest(own.model)
    stock(own, steps=1)
    assert digest(own.model) == fresh
    network = own.model.model.diffusion_model
    key = "diffusion_model." + next(n for n, p in network.named_parameters() if p.ndim == 2)
    shape = own.model.model.state_dict()[key].shape

    def patched(strength):
        clone = own.model.clone()
        generator = torch.Generator().manual_seed(1)
        clone.add_patches({key: ("diff", (torch.randn(shape, generator=generator),))}, strength)
        return clone

    with torch.inference_mode():
        weak, strong = patched(0.1), patched(0.2)
        assert len({fresh, digest(weak), digest(strong)}) == 3
        comfy.model_management.load_models_gpu([weak], force_patch_weights=True)
        assert digest(own.model) == fresh and digest(weak) == digest(patched(0.1)) != fresh
        weak.unpatch_model()
        dict(network.named_parameters())[key.removeprefix("diffusion_model.")].add_(0.01)
    assert digest(own.model) != fresh


def test_an_interruption_is_met_in_the_middle_of_a_batch(world):
    import comfy.model_management

    recorder = recorder_of(world.model, world.clip, world.vae)
    before = stock(world, steps=2)
    slope = recorder.slope(["a dog above a cat"])
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        slope(torch.zeros(1, 4, 16, 16), 0)
    assert torch.equal(stock(world, steps=2), before)  # the wish was heard once


def test_steering_that_the_model_carries_is_left_out(node, world):
    applied, _ = node(
        "ApplyRelationSteering", model=world.model, relations=world.relations, classifier=world.classifier
    )
    plain, steered = (recorder_of(m, world.clip, world.vae) for m in (world.model, applied))
    x = torch.randn(1, 4, 16, 16, generator=torch.manual_seed(1)) * plain.sigmas()[0]
    texts = ["a dog to the right of a teddy bear"]
    assert torch.equal(plain.slope(texts)(x, 0), steered.slope(texts)(x, 0))
    assert plain.digest() == steered.digest()


def test_bad_input_is_one_sentence(world):
    kind = module("hosts.comfyui.recorder").GraphRecorder
    with pytest.raises(ValueError, match="multiples of 8 pixels, got 100 x 128; choose"):
        kind(world.model, world.clip, world.vae, 4, 100, 128)
    recorder = recorder_of(world.model, world.clip, world.vae)
    x, at = torch.zeros(1, 4, 16, 16), torch.tensor([0])
    with pytest.raises(ValueError, match='Expected the prompt to mention "zebra"'):
        recorder.maps(x, at, ["a dog above a cat"], [("dog", "zebra")])
