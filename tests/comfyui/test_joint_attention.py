"""The host's joint-attention models other than Flux: tiny real ones, from the prompt's own tokens to the sampler.

What the text encoders would make of the prompt are random states.
"""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK, PROMPT, options
from joint_models import KINDS, check_checkpointing, check_slope, host_class, model_of, tokenizer_of


def _module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def _world(name):
    """One kind of model and what is needed to sample: model, positive, negative, relations, classifier."""
    kind, prompt = KINDS[name], _module("hosts.comfyui.prompt.relations")
    relations = prompt.read_prompt(tokenizer_of(*kind.tokenizer), PROMPT)
    generator = torch.Generator().manual_seed(3)
    with torch.inference_mode():
        states = [torch.randn(1, relations.length, 32, generator=generator) for _ in range(2)]
        pooled = [torch.randn(1, 24, generator=generator) for _ in range(2)]
        mask = {"attention_mask": torch.ones(1, relations.length, dtype=torch.long)} if kind.masked else {}
    positive = [[states[0], {"pooled_output": pooled[0], prompt.MARK: relations.mark, **mask}]]
    relations = _module("hosts.comfyui.prompt.owner").owned(relations, positive)
    cards = symmetric = _module("classifiers")
    torch.manual_seed(0)
    card = cards.ClassifierCard(
        symmetric.SYMMETRIC_RELATIONS, channels=kind.heads * len(kind.names), map_size=8
    )
    classifier = symmetric.SymmetricRelationClassifier(card)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.mul_(4)
    return SimpleNamespace(
        kind=kind,
        model=model_of(kind),
        relations=relations,
        positive=positive,
        negative=[[states[1], {"pooled_output": pooled[1], **mask}]],
        classifier=_module("objectives").LearnedObjective(classifier),
    )


@pytest.fixture(scope="module")
def worlds(pack, node):
    return {}


@pytest.fixture(params=KINDS)
def world_of(request, worlds):
    """Every kind in turn; after each test no parameter, kernel, flag or method differs from before."""
    yield from _left_as_found(worlds, request.param)


@pytest.fixture
def qwen(worlds):
    yield from _left_as_found(worlds, "qwen")


def _left_as_found(worlds, name):
    import sys

    import comfy.model_management

    if name not in worlds:
        worlds[name] = _world(name)
    world = worlds[name]

    def state():
        network = world.model.model.diffusion_model
        kernels = [
            (m, id(getattr(sys.modules[m], f, None)))
            for m in sorted(sys.modules)
            for f in ("apply_rope", "apply_rope1")
            if m.startswith("comfy.ldm.")
        ]
        return (
            [(n, id(p), p.is_inference(), p.requires_grad) for n, p in network.named_parameters()],
            getattr(comfy.model_management, "in_training", None),
            "forward" in network.__dict__,
            kernels,
            str(world.model.wrappers),
            sorted(world.model.model_options["transformer_options"]),
        )

    before = state()
    yield world
    assert state() == before


def empty(world, batch=1, **more):
    return {"samples": torch.zeros(batch, world.kind.channels, *world.kind.size), **more}


def plain(world, latent=None, sampler="euler"):
    import nodes as host_nodes

    with torch.inference_mode():
        (result,) = host_nodes.KSampler().sample(
            world.model, 11, 4, 3.0, sampler, "simple", world.positive, world.negative, latent or empty(world), 1.0
        )  # fmt: skip
    return result["samples"]


def steered(node, world, latent=None, sampler="euler", **more):
    more.setdefault("options", options(node, reached=1.0, end=0.5, step_size=0.1))
    more.setdefault("classifier", world.classifier)
    result, log = node(
        "SteeringKSampler", model=more.pop("model", world.model), seed=11, steps=4, cfg=3.0, sampler_name=sampler,
        scheduler="simple", positive=world.positive, negative=world.negative, latent_image=latent or empty(world),
        denoise=1.0, relations=world.relations, **more,
    )  # fmt: skip
    return result["samples"], log


def captured(node, world, model=None, positive=None, batch=1):
    (attention,) = node(
        "CaptureAttention", model=model or world.model, positive=positive or world.positive, relations=world.relations,
        latent=empty(world, batch), noise_level=1.0, seed=3,
    )  # fmt: skip
    return attention


def test_located(world_of):
    kind = world_of.kind
    located = _module("hosts.comfyui.read.evaluation").located_layers(world_of.model.model.diffusion_model)
    assert tuple(one.layer.name for one in located) == kind.names
    assert [one.layer.index for one in located] == list(range(len(located)))
    assert all(one.layer.heads == kind.heads for one in located)
    assert all(one.layer.name.startswith(one.layer.stage) for one in located)


def _filled(tokens, multiple):
    return (tokens + multiple - 1) // multiple * multiple


def _listening(world, taken):
    """A clone of the model that writes down Q, K and mask of every attention as its kernel gets them."""

    def override(func, q, k, v, heads, *args, **kwargs):
        if not kwargs.get("skip_reshape"):
            q_, k_ = (t.unflatten(-1, (heads, -1)).movedim(1, 2) for t in (q, k))
        else:
            q_, k_ = q, k
        taken.append((q_.clone(), k_.clone(), args[0] if args else kwargs.get("mask")))
        return func(q, k, v, heads, *args, **kwargs)

    model = world.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return model


def _shares(kind, q, k, text, hidden=()):
    """softmax over the text's tokens of each image token's logits: (b, heads, 96, text). Where the host fills a text up in
    front, what it fills in takes part."""
    text = max(text, kind.least)
    begin = kind.before + _filled(text, kind.filled)
    assert q.shape[2] == begin + _filled(96, kind.filled)
    if k.shape[1] != q.shape[1]:
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    logits = q[:, :, begin : begin + 96] @ k[:, :, kind.before : kind.before + text].mT
    logits[..., list(hidden)] = float("-inf")
    return (logits * q.shape[-1] ** -0.5).softmax(-1)


def test_captured_maps_are_those_of_the_model(node, world_of):
    """Of every block, computed here from the host's own Q and K as its kernel gets them."""
    kind, relations, taken = world_of.kind, world_of.relations, []
    attention = captured(node, world_of, _listening(world_of, taken), batch=2)
    text = max(relations.length, kind.least)
    total = kind.before + _filled(text, kind.filled) + _filled(96, kind.filled)
    joint = [(q, k) for q, k, _ in taken if q.shape[2] == total]
    assert tuple(layer.name for layer in attention.maps.layers) == kind.names
    assert len(joint) == len(kind.names) - 1  # the last block's attention need not be computed any more
    dog = relations.tokens_of(relations.triplets[0].subject_noun)
    bear = relations.tokens_of(relations.triplets[0].object_noun)
    for (q, k), maps in zip(joint, attention.maps.maps, strict=False):
        shares = _shares(kind, q, k, relations.length)
        assert maps.shape == (2, 2, kind.heads, 8, 12)
        for slot, words in enumerate((dog, bear)):
            at = [text - relations.length + i for i in words]
            assert torch.allclose(maps[:, slot].flatten(2), shares[..., at].mean(-1), atol=1e-6)
    last = attention.maps.maps[-1]
    assert last.isfinite().all() and last.std() > 0


def test_off_is_off_and_on_is_the_same_twice(node, world_of):
    for sampler in ("euler", "dpmpp_2m", "uni_pc"):
        before = plain(world_of, sampler=sampler)
        off, log = steered(node, world_of, sampler=sampler, options=options(node, strength=0.0))
        assert torch.equal(off, before) and log.latest is None
        first, log = steered(node, world_of, sampler=sampler)
        assert torch.equal(first, steered(node, world_of, sampler=sampler)[0])
        assert not torch.equal(first, before) and first.isfinite().all()
        # The host gives uni_pc nine steps and drops the last but one: 0, 1/9 and 2/9 of the schedule are under 1/4.
        assert [r.step for r in log.latest.records] == [0, 1, 2][: 3 if sampler == "uni_pc" else 2]
        assert all(r.move > 0 for r in log.latest.records)


def test_the_probability_rises(node, world_of):
    more = options(node, reached=1.0, evaluations_per_step=4, step_size=0.05)
    _, log = steered(node, world_of, latent=empty(world_of, 2), options=more)
    for image in range(2):
        records = log.latest.image(image)
        assert records[-1].probability > records[0].probability


FAMILIES = {
    "sd3": ("sd3", "double.1"),
    "qwen": ("qwen-image", "double.1"),
    "flux2": ("flux2", "double.0, double.1"),
    "zimage": ("z-image", "single.1"),
    "lumina2": ("lumina2", "single.1"),
    "aura": ("auraflow", "double.1, single.0"),
    "omnigen2": ("omnigen2", "single.1"),
}
"""Each kind's family, and the blocks recommended for it: those whose middle lies in the family's part of the depth."""


def test_the_universal_classifier_steers_every_kind(node, world_of):
    """Finite, within the plan's bounds, and read on the blocks recommended for the family."""
    name = next(key for key, kind in KINDS.items() if kind is world_of.kind)
    family, blocks = FAMILIES[name]
    assert _module("hosts.comfyui.read.evaluation").model_family(world_of.model.model) == family
    (universal, about) = node("LoadRelationClassifier", classifier_name="universal: reads every model")
    assert "recommended" in about
    plan = {"reached": 1.0, "end": 0.5, "step_rule": "rms", "step_size": 5.0}
    result, log = steered(node, world_of, classifier=universal, options=options(node, **plan))
    assert result.isfinite().all() and not torch.equal(result, plain(world_of))
    moves = [r for r in log.latest.records if r.move > 0]
    assert moves and all(r.length <= 5 + 1e-3 and r.largest <= 3 + 1e-3 for r in moves)
    named, _ = steered(node, world_of, classifier=universal, options=options(node, layers=blocks, **plan))
    assert torch.equal(named, result)
    others = ", ".join(n for n in world_of.kind.names if n not in blocks.split(", "))
    if others:
        elsewhere, _ = steered(
            node, world_of, classifier=universal, options=options(node, layers=others, **plan)
        )
        assert not torch.equal(elsewhere, result)


@pytest.fixture
def loss_of(monkeypatch, world_of):
    """The kind, a loss as a function of a latent (and of whether blocks are checkpointed), and a latent."""
    import comfy.sampler_helpers
    import comfy.samplers

    reading, attention = _module("hosts.comfyui.read.evaluation"), _module("attention")
    base, kind = world_of.model.model, world_of.kind
    monkeypatch.setattr(base, "current_patcher", world_of.model)  # as loading does
    located = reading.located_layers(base.diffusion_model)
    # Any tokens of the text will do, those beyond the prompt's words as well.
    length = world_of.relations.length
    weights = _module("attention").token_weights([[[1], [length - 2]]], length)
    depth = () if getattr(base.latent_format, "latent_dimensions", 2) == 2 else (1,)
    start = torch.randn(1, kind.channels, *depth, *kind.size, generator=torch.Generator().manual_seed(4))
    conds = {"positive": comfy.sampler_helpers.convert_cond(world_of.positive)}
    (entry,) = comfy.samplers.process_conds(base, start, conds, start.device)["positive"]

    def loss(x, checkpointing=False):
        recorder = attention.AttentionRecorder(weights, [s.layer for s in located])
        maps = reading.conditional_maps(
            base,
            entry,
            x,
            torch.full((1,), 0.7),
            {"transformer_options": {}},
            recorder,
            located,
            checkpointing,
        )
        return sum((m.double() * torch.linspace(0, 1, m.shape[-1]).double()).mean() for m in maps.maps)

    return kind, loss, start


def test_slope_by_finite_differences(loss_of):
    _, loss, start = loss_of
    check_slope(loss, start)


def test_checkpointing_changes_no_gradient_and_keeps_less(loss_of):
    kind, loss, start = loss_of
    check_checkpointing(loss, start, keeps_less=kind.replaceable)


def test_the_pass_ends_after_the_last_block_that_is_read(node, world_of):
    network, first = world_of.model.model.diffusion_model, world_of.kind.names[0]
    layout = _module("hosts.comfyui.read.layouts").layout_of(network)
    blocks = getattr(network, layout.stages[0][1])
    late = []
    handle = blocks[1].register_forward_pre_hook(lambda *a: late.append(torch.is_grad_enabled()))
    try:
        objective = _module("objectives").CentroidObjective(layers=(first,))
        _, log = steered(node, world_of, classifier=objective)
    finally:
        handle.remove()
    assert log.latest.forwards == 2 and late and not any(late)


def test_after_a_failure_the_next_run_is_untouched(node, world_of):
    before = plain(world_of)
    blocks = [m for n, m in world_of.model.model.diffusion_model.named_modules() if n.endswith("s.1")]

    def break_down(module, args):
        if torch.is_grad_enabled():
            raise RuntimeError("broken")

    handle = blocks[0].register_forward_pre_hook(break_down)
    try:
        with pytest.raises(RuntimeError, match="broken"):
            steered(node, world_of)
    finally:
        handle.remove()
    assert "forward" not in world_of.model.model.diffusion_model.__dict__
    assert torch.equal(plain(world_of), before)


def test_masked_text_takes_no_share(node, qwen):
    taken, text = [], qwen.relations.length
    mask = torch.ones(1, text, dtype=torch.long)
    mask[:, -4:] = 0
    positive = [[qwen.positive[0][0], {**qwen.positive[0][1], "attention_mask": mask}]]
    attention = captured(node, qwen, _listening(qwen, taken), positive)
    if all(m is None for _, _, m in taken):
        pytest.skip("this host's Qwen-Image takes no mask")
    dog = qwen.relations.tokens_of(qwen.relations.triplets[0].subject_noun)
    for (q, k, _), maps in zip(taken, attention.maps.maps, strict=False):
        shares = _shares(qwen.kind, q, k, text, hidden=range(text - 4, text))
        assert torch.allclose(maps[:, 0].flatten(2), shares[..., dog].mean(-1), atol=1e-6)
    with_mask = SimpleNamespace(**{**vars(qwen), "positive": positive})
    result, log = steered(node, with_mask)
    assert result.isfinite().all() and log.latest.records[0].move > 0


@pytest.mark.parametrize("kind", ["bool", "heads", "rows"])
def test_masks_of_any_form(pack, kind):
    mmdit, layouts = _module("hosts.comfyui.read.joint"), _module("hosts.comfyui.read.layouts")
    generator = torch.Generator().manual_seed(8)
    q, k = (torch.randn(2, 2, 11, 4, generator=generator) for _ in range(2))
    place = layouts.Arrangement(slice(0, 5), slice(5, 11), 11, (5, 6), (2, 3))
    bias = torch.zeros(11)
    bias[3] = float("-inf")
    mask = {
        "bool": (bias == 0)[None].expand(11, 11),
        "heads": bias.expand(2, 1, 1, 11),
        "rows": bias.expand(11, 11),
    }[kind]
    rows, columns = mmdit._image_and_text(q, k, place, mask, 0.5)
    expected = (q[:, :, 5:] @ k[:, :, :5].mT * 0.5 + bias[:5]).softmax(-1)
    assert torch.allclose((rows @ columns.mT * 0.5).softmax(-1), expected, atol=1e-6)
    if kind != "heads":
        by_region = mask.clone()
        by_region[7, 1] = 0 if kind == "bool" else -1.0
        with pytest.raises(ValueError, match="masks attention by region"):
            mmdit._image_and_text(q, k, place, by_region, 0.5)


def test_reference_pictures_of_qwen_are_not_read(node, qwen):
    with torch.inference_mode():
        reference = torch.randn(1, 16, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    positive = [[qwen.positive[0][0], {**qwen.positive[0][1], "reference_latents": [reference]}]]
    attention = captured(node, qwen, positive=positive)
    assert all(m.shape[-2:] == (8, 12) for m in attention.maps.maps)
    assert not torch.allclose(attention.maps.maps[1], captured(node, qwen).maps.maps[1])


def test_a_noise_mask_and_latents_with_one_frame(node, qwen):
    mask = torch.zeros(1, 16, 24)
    mask[:, :, 12:] = 1
    latent = empty(qwen, noise_mask=mask)
    kept, log = steered(node, qwen, latent=latent)
    assert kept.shape[-2:] == (16, 24) and log.latest.records[0].move > 0
    assert torch.allclose(kept[..., :12], plain(qwen, latent=latent)[..., :12], atol=1e-5)


def test_videos_are_refused(node, qwen):
    with pytest.raises(ValueError, match="videos and sound cannot be steered"):
        steered(node, qwen, latent={"samples": torch.zeros(1, 16, 3, 16, 24)})


def test_refusal_of_a_class_that_is_not_read(pack):
    reading = _module("hosts.comfyui.read.evaluation")
    for module, name in (
        ("comfy.ldm.hidream.model", "HiDreamImageTransformer2DModel"),
        ("comfy.ldm.hunyuan_video.model", "HunyuanVideo"),
    ):
        other = host_class(module, name)
        with pytest.raises(ValueError, match=f"got {name}; models of this kind cannot") as error:
            reading.located_layers(other.__new__(other))
        assert "\n" not in str(error.value)


TEXTS = [
    PROMPT,
    "two objects to the left of a box",  # words of a template, too
    "dog above a dog-bed, and a large red fire hydrant left of a cat",
    "a (dog:1.3) to the right of a fire hydrant",
]


TOKENIZERS = [*dict.fromkeys(kind.tokenizer for kind in KINDS.values()), ("flux", "KleinTokenizer")]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("module, name", TOKENIZERS)
def test_words_are_found_among_the_tokens(pack, module, name, text):
    prompt, words = _module("hosts.comfyui.prompt.relations"), _module("hosts.comfyui.prompt.words")
    clip = tokenizer_of(module, name)
    relations, parts = prompt.read_prompt(clip, text), words.context_parts(clip, text)
    assert relations.length == sum(len(part.ids) for part in parts) and relations.positions
    plain_text = _module("language").strip_weighting(text)
    given = clip.tokenize(text)
    for span, positions in relations.positions:
        for part in parts:
            every = [int(token[0]) for chunk in given[part.encoder] for token in chunk][-len(part.ids) :]
            tokenizer = getattr(clip.tokenizer, part.encoder, None) or getattr(
                clip.tokenizer, f"clip_{part.encoder}"
            )
            inside = [i - part.begin for i in positions if 0 <= i - part.begin < len(part.ids)]
            pieces = tokenizer.tokenizer
            decode = getattr(pieces, "decode", None) or pieces.tokenizer.decode  # 0.3.64
            written = decode([every[i] for i in inside])
            assert written.replace(" ", "") == plain_text[slice(*span)].replace(" ", "")


def test_words_of_stable_diffusion_3_are_in_both_encoders_parts(pack):
    prompt, clip = _module("hosts.comfyui.prompt.relations"), tokenizer_of(*KINDS["sd3"].tokenizer)
    encoder = host_class("comfy.text_encoders.sd3_clip", "SD3ClipModel")(False, False, False)

    def read(*loaded):
        for name in ("clip_l", "clip_g", "t5xxl"):
            setattr(encoder, name, torch.nn.Identity() if name in loaded else None)
        relations = prompt.read_prompt(
            SimpleNamespace(tokenize=clip.tokenize, cond_stage_model=encoder), PROMPT
        )
        return relations.length, relations.tokens_of(relations.triplets[0].subject_noun)

    assert read("clip_l", "clip_g", "t5xxl") == (154, [2, 79])
    assert read("clip_g", "t5xxl") == (154, [2, 79])
    assert read("clip_l", "clip_g") == (77, [2])
    assert read("t5xxl") == (77, [2])


@pytest.mark.parametrize("text", TEXTS)
def test_the_context_of_qwen_image_begins_where_its_encoder_says(pack, monkeypatch, text):
    """Its encoder's own cut of the template, tried with states that say their place."""
    from comfy import sd1_clip

    clip, words = tokenizer_of(*KINDS["qwen"].tokenizer), _module("hosts.comfyui.prompt.words")
    encoder_class = host_class("comfy.text_encoders.qwen_image", "QwenImageTEModel")

    def places(self, tokens):
        states = torch.arange(len(tokens["qwen25_7b"][0]))[None, :, None]
        return states, None, {"attention_mask": torch.ones(states.shape[:2])}

    monkeypatch.setattr(sd1_clip.SD1ClipModel, "encode_token_weights", places)
    states, *_ = encoder_class.encode_token_weights(encoder_class.__new__(encoder_class), clip.tokenize(text))
    (part,) = words.context_parts(clip, text)
    assert (
        states.shape[1] == len(part.ids)
        and int(states[0, -1, 0]) == len(clip.tokenize(text)["qwen25_7b"][0]) - 1
    )
