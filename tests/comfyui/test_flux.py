"""Flux in the host: a tiny real one, with the weights of the worked case, from the prompt's T5 tokens to the sampler.

What CLIP and T5 would make of the prompt are random states; the tokens are the host's own.
"""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK, PROMPT, ROOT, options
from joint_models import check_checkpointing, check_slope
from safetensors.torch import load_file

WEIGHTS = ROOT / "tests" / "fixtures" / "parity" / "flux_transformer"
SAMPLERS = ["euler", "euler_ancestral", "heun", "dpmpp_2m", "ddim", "uni_pc", "res_multistep"]


class _Tokens:
    """A CLIP as far as prompts are read: the host's tokenizers for Flux, without text encoders."""

    def __init__(self):
        from comfy.text_encoders.flux import FluxTokenizer

        self.tokenize = FluxTokenizer().tokenize_with_weights


def _module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def _model(guidance=False, **more):
    import comfy.latent_formats

    config = json.loads((WEIGHTS / "config.json").read_text()) | {"guidance_embeds": guidance}
    tensors = load_file(next(WEIGHTS.glob("*.safetensors")))
    if guidance:
        generator = torch.Generator().manual_seed(5)
        for name in [n for n in tensors if ".timestep_embedder." in n]:
            noise = torch.randn(tensors[name].shape, generator=generator)
            tensors[name.replace("timestep", "guidance")] = 0.1 * noise
    with torch.inference_mode():
        return _module("emojiworld.comfyui.flux_model").flux_model(
            config, tensors, comfy.latent_formats.LatentFormat(), **more
        )


@pytest.fixture(scope="module")
def flux(pack, node):
    """schnell's kind, and what is needed to sample: model, positive, negative, relations, classifier."""
    return _world(node, _model())


def _world(node, model):
    prompt = _module("hosts.comfyui.prompt.relations")
    relations = prompt.read_prompt(_Tokens(), PROMPT)
    generator = torch.Generator().manual_seed(3)
    with torch.inference_mode():
        states = [torch.randn(1, relations.length, 32, generator=generator) for _ in range(2)]
        pooled = [torch.randn(1, 24, generator=generator) for _ in range(2)]
        positive = [[states[0], {"pooled_output": pooled[0], prompt.MARK: relations.mark}]]
        negative = [[states[1], {"pooled_output": pooled[1]}]]
        relations = _module("hosts.comfyui.prompt.owner").owned(relations, positive)
    return SimpleNamespace(
        model=model, positive=positive, negative=negative, relations=relations, classifier=_classifier()
    )


def _classifier():
    """A symmetric classifier of random weights, large enough to have a slope."""
    cards = symmetric = _module("classifiers")
    torch.manual_seed(0)
    card = cards.ClassifierCard(symmetric.SYMMETRIC_RELATIONS, channels=20, map_size=8)
    classifier = symmetric.SymmetricRelationClassifier(card)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.mul_(4)
    return _module("objectives").LearnedObjective(classifier)


@pytest.fixture(autouse=True)
def flux_left_as_found(request):
    """After every test that used the model: no wrapper, flag, kernel or parameter differs from before."""
    if "flux" not in request.fixturenames:
        yield
        return
    import comfy.ldm.flux.math as flux_math
    import comfy.model_management

    flux = request.getfixturevalue("flux")

    def state():
        network = flux.model.model.diffusion_model
        return (
            [(n, id(p), p.is_inference(), p.requires_grad) for n, p in network.named_parameters()],
            getattr(comfy.model_management, "in_training", None),
            [getattr(flux_math, name, None) for name in ("apply_rope", "apply_rope1")],
            sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()),
            str(flux.model.wrappers),
            sorted(flux.model.model_options["transformer_options"]),
        )

    before = state()
    yield
    assert state() == before


def empty(batch=1, size=(16, 24)):
    return {"samples": torch.zeros(batch, 4, *size)}


def plain(flux, sampler="euler", cfg=1.0, steps=4, model=None, latent=None):
    import nodes as host_nodes

    with torch.inference_mode():
        (result,) = host_nodes.KSampler().sample(
            model or flux.model,
            11,
            steps,
            cfg,
            sampler,
            "simple",
            flux.positive,
            flux.negative,
            latent or empty(),
            1.0,
        )
    return result["samples"]


def steered(node, flux, sampler="euler", cfg=1.0, steps=4, latent=None, model=None, **more):
    more.setdefault("options", options(node, reached=1.0, end=0.5, step_size=0.1))
    more.setdefault("classifier", flux.classifier)
    result, log = node(
        "SteeringKSampler", model=model or flux.model, seed=11, steps=steps, cfg=cfg, sampler_name=sampler,
        scheduler="simple", positive=flux.positive, negative=flux.negative, latent_image=latent or empty(), denoise=1.0,
        relations=flux.relations, **more,
    )  # fmt: skip
    return result["samples"], log


@pytest.mark.parametrize(
    "text", [PROMPT, "a (dog:1.3) to the right of a fire hydrant", "((dog)) above a cat"]
)
def test_words_are_found_among_t5_tokens(pack, text):
    clip = _Tokens()
    relations = _module("hosts.comfyui.prompt.relations").read_prompt(clip, text)
    assert relations.length == 256
    ids = [t[0] for t in clip.tokenize(text)["t5xxl"][0]]
    plain_text = _module("language").strip_weighting(text)
    from comfy.text_encoders.flux import T5XXLTokenizer

    decode = T5XXLTokenizer().tokenizer.decode
    for span, positions in relations.positions:
        assert decode([ids[i] for i in positions]).strip() == plain_text[slice(*span)]


@pytest.mark.parametrize("cfg", [1.0, 4.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_off_is_off_and_on_is_the_same_twice(node, flux, sampler, cfg):
    before = plain(flux, sampler, cfg)
    off, log = steered(node, flux, sampler, cfg, options=options(node, strength=0.0))
    assert torch.equal(off, before) and log.latest is None
    first, log = steered(node, flux, sampler, cfg)
    assert torch.equal(first, steered(node, flux, sampler, cfg)[0])
    assert not torch.equal(first, before) and first.isfinite().all()
    # The host gives uni_pc nine steps and drops the last but one: 0, 1/9 and 2/9 of the schedule are under 1/4.
    assert [r.step for r in log.latest.records] == [0, 1, 2][: 3 if sampler == "uni_pc" else 2]
    assert all(r.move > 0 for r in log.latest.records)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_move_between_steps_reaches_the_sampler(node, flux, sampler):
    """Push the latent before the second of eight steps: the run must end about as far away."""
    plan = options(node, reached=1.0, start=0.125, end=0.25, step_size=0.2)
    result, log = steered(node, flux, sampler, steps=8, options=plan)
    (record,) = log.latest.records
    assert record.step == (2 if sampler == "uni_pc" else 1)  # 2/9 and 1/8 of the schedule
    away = float((result - plain(flux, sampler, steps=8)).norm())
    assert away > 0.3 * record.move, (away, record.move)


@pytest.mark.parametrize("steps", [1, 20])
def test_any_number_of_steps(node, flux, steps):
    _, log = steered(node, flux, steps=steps, options=options(node, reached=1.0, end=0.1))
    assert [r.step for r in log.latest.records] == list(range(max(1, steps // 10)))


def test_the_probability_rises(node, flux):
    more = options(node, reached=1.0, evaluations_per_step=4, step_size=0.05)
    _, log = steered(node, flux, latent=empty(2), options=more)
    for image in range(2):
        records = log.latest.image(image)
        assert records[-1].probability > records[0].probability


@pytest.mark.parametrize("size", [(16, 16), (15, 17), (8, 24)])
def test_any_size(node, flux, size):
    result, log = steered(node, flux, latent=empty(size=size))
    assert result.shape[-2:] == size and log.latest.records[0].move > 0


def test_embedded_guidance_without_a_negative_branch(node):
    """SamplerCustomAdvanced's way: BasicGuider, FluxGuidance."""
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import BasicGuider, Guider_Basic  # noqa: F401

    dev = _world(node, _model(guidance=True))
    seen = []
    for guidance in (1.0, 8.0):
        positive = [[dev.positive[0][0], {**dev.positive[0][1], "guidance": guidance}]]
        model, log = node(
            "ApplyRelationSteering", model=dev.model, relations=dev.relations, classifier=dev.classifier,
            options=options(node, reached=1.0, end=0.25),
        )  # fmt: skip
        guider = Guider_Basic(model)
        guider.set_conds(positive)
        noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            guider.sample(
                noise, torch.zeros_like(noise), comfy.samplers.sampler_object("euler"),
                torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]), disable_pbar=True, seed=1,
            )  # fmt: skip
        seen.append(log.latest.records[0].probability)
        assert log.latest.forwards == 1 and log.latest.records[0].move > 0
    assert seen[0] != seen[1]


def _captured(node, flux, model=None, latent=None):
    (attention,) = node(
        "CaptureAttention", model=model or flux.model, positive=flux.positive, relations=flux.relations,
        latent=latent or empty(), noise_level=1.0, seed=3,
    )  # fmt: skip
    return attention


def test_captured_maps_are_those_of_the_model(node, flux):
    """Of every block, computed here from the host's own Q and K as its kernel gets them."""
    taken = []

    def override(func, q, k, v, heads, *args, **kwargs):
        taken.append((q.clone(), k.clone()))
        return func(q, k, v, heads, *args, **kwargs)

    model = flux.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    attention = _captured(node, flux, model)
    names = ["double.0", "double.1", "single.0", "single.1", "single.2"]
    assert [layer.name for layer in attention.maps.layers] == names and attention.maps.channels == 20
    assert len(taken) == 4  # the last block's attention need not be computed any more
    text, dog = flux.relations.length, flux.relations.tokens_of(flux.relations.triplets[0].subject_noun)
    for (q, k), maps in zip(taken, attention.maps.maps, strict=False):
        shares = (q[:, :, text:] @ k[:, :, :text].mT * q.shape[-1] ** -0.5).softmax(-1)[..., dog].mean(-1)
        assert torch.allclose(maps[:, 0].flatten(2), shares, atol=1e-6)
        assert maps.shape[-2:] == (8, 12)


def test_override_of_another_pack_is_called_and_one_without_a_gradient_is_replaced(node, flux):
    calls = []

    def other(func, *args, **kwargs):
        calls.append(torch.is_grad_enabled())
        return func(*args, **kwargs)

    def dull(func, *args, **kwargs):
        with torch.no_grad():
            return func(*args, **kwargs)

    expected, _ = steered(node, flux)
    for override in (other, dull):
        model = flux.model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = override
        result, log = steered(node, flux, model=model)
        assert log.latest.records[0].move > 0
        assert torch.allclose(result, expected, atol=1e-4)
    assert calls.count(True) > 0 and calls.count(False) > 0


def test_blocks_are_counted_where_the_host_does_not_name_them(node, flux):
    """As in 0.3.64: what the host says about blocks is taken away."""
    mmdit, reading = _module("hosts.comfyui.read.joint"), _module("hosts.comfyui.read.evaluation")
    located = reading.located_layers(flux.model.model.diffusion_model)
    by_place = {one.block[:2]: one.layer for one in located}
    for calls, one in enumerate(located):
        said = {"block_type": one.block[0], "block_index": one.block[1]}
        assert (
            mmdit.block_calling(by_place, located, said, 99)
            == mmdit.block_calling(by_place, located, {}, calls)
            == one.layer
        )
    assert mmdit.block_calling(by_place, located, {}, len(located)) is None


def test_the_pass_ends_after_the_last_block_that_is_read(node, flux):
    objective = _module("objectives").CentroidObjective(layers=("double.1",))
    late = []
    network = flux.model.model.diffusion_model
    handle = network.single_blocks[0].register_forward_pre_hook(
        lambda *a: late.append(torch.is_grad_enabled())
    )
    try:
        _, log = steered(node, flux, classifier=objective)
    finally:
        handle.remove()
    assert log.latest.forwards == 2 and late == [False] * 4


def test_reference_pictures_are_not_read(node, flux):
    """Their tokens come after those of the picture that is drawn."""
    with torch.inference_mode():
        reference = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    positive = [[flux.positive[0][0], {**flux.positive[0][1], "reference_latents": [reference]}]]
    with_one = SimpleNamespace(**{**vars(flux), "positive": positive})
    attention = _captured(node, with_one)
    assert all(m.shape[-2:] == (8, 12) for m in attention.maps.maps)
    assert not torch.allclose(attention.maps.maps[1], _captured(node, flux).maps.maps[1])
    assert steered(node, with_one)[1].latest.records[0].move > 0


def test_tokens_of_another_kind_are_not_steered_and_the_picture_comes(node, flux):
    """A node that adds tokens is met in the middle of a run: the picture is the plain one, and the run says why."""
    model = flux.model.clone()

    def longer(args):
        text = torch.cat([args["txt"], args["txt"][:, :3]], dim=1)
        ids = torch.cat([args["txt_ids"], args["txt_ids"][:, :3]], dim=1)
        return {"img": args["img"], "txt": text, "img_ids": args["img_ids"], "txt_ids": ids}

    model.set_model_patch(longer, "post_input")
    result, log = steered(node, flux, model=model)
    assert torch.equal(result, plain(flux, model=model))
    (sentence,) = log.runs[0].notes
    assert sentence.startswith("Expected 256 text and 96 image tokens") and "tokens to this model" in sentence


def _chroma():
    """Chroma's layout: Flux blocks whose modulations come from one small network; in float32, made as the host does."""
    import comfy.ops
    from comfy.ldm.chroma.model import Chroma, ChromaParams

    sizes = {
        "in_channels": 16, "out_channels": 16, "context_in_dim": 32, "hidden_size": 64, "mlp_ratio": 4.0, "num_heads": 4,
        "depth": 2, "depth_single_blocks": 3, "axes_dim": [4, 6, 6], "theta": 10000, "patch_size": 2, "qkv_bias": True,
        "in_dim": 64, "out_dim": 64, "hidden_dim": 16, "n_layers": 2, "txt_ids_dims": [], "vec_in_dim": None,
    }  # fmt: skip
    known = ChromaParams.__dataclass_fields__
    generator = torch.Generator().manual_seed(6)
    with torch.inference_mode():
        network = Chroma(
            **{k: v for k, v in sizes.items() if k in known},
            dtype=torch.float32,
            device="cpu",
            operations=comfy.ops.disable_weight_init,
        )
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 1 + 0.1 * noise)
    return network.eval()


def _slope_world(flux, kind):
    """A model, and its loss as a function of a latent (and of whether blocks are checkpointed)."""
    reading, attention = _module("hosts.comfyui.read.evaluation"), _module("attention")
    network = flux.model.model.diffusion_model if kind == "flux" else _chroma()
    import comfy.patcher_extension

    located = reading.located_layers(network)
    assert [s.layer.name for s in located] == ["double.0", "double.1", "single.0", "single.1", "single.2"]
    weights = torch.zeros(1, 2, 9)
    weights[0, 0, 2] = weights[0, 1, 5] = 1.0
    generator = torch.Generator().manual_seed(4)
    context, pooled = torch.randn(1, 9, 32, generator=generator), torch.randn(1, 24, generator=generator)
    last = pooled if kind == "flux" else torch.ones(1)  # Chroma has guidance in the place of the pooled text

    def loss(x, checkpointing=False, read=None):
        recorder = attention.AttentionRecorder(weights, [s.layer for s in located], read)
        chosen: dict = {"cond_or_uncond": [0]}
        comfy.patcher_extension.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL,
            "test",
            reading.watching(recorder, located, checkpointing),
            chosen,
        )
        try:
            network(x, torch.ones(1), context, last, transformer_options=chosen)
        except attention.StopForward:
            pass
        maps = recorder.maps().maps
        return sum((m.double() * torch.linspace(0, 1, m.shape[-1]).double()).mean() for m in maps)

    return network, loss, torch.randn(1, 4, 16, 16, generator=generator)


@pytest.mark.parametrize("kind", ["flux", "chroma"])
def test_slope_by_finite_differences(flux, kind):
    network, loss, start = _slope_world(flux, kind)
    check_slope(loss, start)
    assert all(p.is_inference() for p in network.parameters())


@pytest.mark.parametrize("read", [None, ("double.1", "single.1"), ("double.0",)])
@pytest.mark.parametrize("kind", ["flux", "chroma"])
def test_checkpointing_changes_no_gradient_and_keeps_less(flux, kind, read):
    network, loss, start = _slope_world(flux, kind)
    # the last block that is read is not checkpointed
    check_checkpointing(partial(loss, read=read), start, keeps_less=read != ("double.0",))
    assert all(p.is_inference() for p in network.parameters())


def test_after_a_failure_the_next_run_is_untouched(node, flux):
    before, expected = plain(flux), steered(node, flux)[0]
    block = flux.model.model.diffusion_model.single_blocks[1]

    def break_down(module, args):
        if torch.is_grad_enabled():
            raise RuntimeError("broken")

    handle = block.register_forward_pre_hook(break_down)
    try:
        with pytest.raises(RuntimeError, match="broken"):
            steered(node, flux)
    finally:
        handle.remove()
    assert torch.equal(plain(flux), before) and torch.equal(steered(node, flux)[0], expected)


def test_weights_in_half_and_quarter_precision(node, flux):
    """bf16 weights that are computed with as they are, and fp8 weights that the host casts at each use."""
    wide = steered(node, flux)[1].latest.records[0]
    for settings in ({"dtype": torch.bfloat16}, {"dtype": torch.float8_e4m3fn, "compute": torch.float32}):
        narrow = SimpleNamespace(**{**vars(flux), "model": _model(**settings)})
        result, log = steered(node, narrow)
        assert result.isfinite().all() and log.latest.records[0].move > 0
        assert log.latest.records[0].probability == pytest.approx(wide.probability, abs=0.2)


def test_families_and_refusals(pack, flux):
    reading = _module("hosts.comfyui.read.evaluation")

    def family(**layout):
        sizes = {"depth": 19, "depth_single_blocks": 38, "num_heads": 24}
        config = SimpleNamespace(unet_config={"image_model": "flux", **sizes, **layout})
        return reading.model_family(SimpleNamespace(model_config=config))

    assert family() == "flux" and family(depth=5) == "custom"
    assert reading.model_family(flux.model.model) == "custom"
    with pytest.raises(ValueError, match="got Linear") as error:
        reading.located_layers(torch.nn.Linear(1, 1))
    assert "\n" not in str(error.value)


def test_a_classifier_for_another_model_is_refused(node, flux, world):
    with pytest.raises(ValueError, match="attention layers among double.0"):
        steered(node, flux, classifier=world.classifier)
    cards = symmetric = _module("classifiers")
    card = cards.ClassifierCard(symmetric.SYMMETRIC_RELATIONS, channels=1368, map_size=8)
    full = _module("objectives").LearnedObjective(symmetric.SymmetricRelationClassifier(card))
    with pytest.raises(ValueError, match="1368 channels"):
        steered(node, flux, classifier=full)
