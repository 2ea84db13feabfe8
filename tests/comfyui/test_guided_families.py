"""Attention guidance in every family that can be read: what is folded into the host's kernels is what an explicit matrix
gives, on the conditional rows and on no others."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import test_flux as tiny_flux
import test_joint_attention as joint
import test_layouts as unets
import torch
from guided import BACKGROUND, END, STRENGTH, WIDTH, attended, biased, by_head, choice, module
from joint_models import KINDS


@pytest.fixture(scope="module")
def worlds(pack, node):
    return {}


@pytest.fixture(params=KINDS)
def world_of(request, worlds):
    yield from joint._left_as_found(worlds, request.param)


def _explicit(world, layout, place, layers):
    """A clone of the model whose conditional rows are guided by an explicit matrix. place: text's begin, image's begin,
    total, and the text's length as the model is given it. layers: how many are guided."""
    text_at, image_at, total, length = place
    relations = world.relations
    triplet = relations.triplets[0]
    front = length - relations.length
    objects = [
        [front + i for i in relations.tokens_of(s)] for s in (triplet.subject_noun, triplet.object_noun)
    ]
    own = [front + i for i in relations.own]
    seen, spreads = [], {}
    sampling = world.model.get_model_object("model_sampling")
    lowest = float(sampling.percent_to_sigma(END))

    def override(func, q, k, v, heads, *args, **kw):
        said, split = kw["transformer_options"], bool(kw.get("skip_reshape"))
        query, key, value = by_head(q, heads, split), k, v
        if not split:
            key, value = (by_head(x, x[0, 0].numel() // query.shape[-1], False) for x in (k, v))
        plain = func(q, k, v, heads, *args, **kw)
        if query.shape[2] != total or float(said["sigmas"][0]) <= lowest * (1 + 1e-4):
            return plain
        mask = args[0] if args else kw.get("mask")
        each = len(q) // len(said["cond_or_uncond"])
        seen.append(list(said["cond_or_uncond"]))
        result = plain.clone()
        for chunk, kind in enumerate(said["cond_or_uncond"]):
            for row in range(chunk * each, (chunk + 1) * each):
                if kind != 0:
                    continue
                one = mask if mask is None or mask.ndim < 3 else mask[row if len(mask) > 1 else 0]
                one = one if one is None or one.ndim < 3 else one[0]
                logits, values = attended(query[row], key[row], value[row], one)
                text, image = slice(text_at, text_at + length), slice(image_at, image_at + 96)
                told = spreads.setdefault(row - chunk * each, [])
                logits[:, image, text] = biased(
                    logits[:, image, text], layout, (8, 12), objects, own, told, layers
                )
                result[row] = values(logits)
        return result

    model = world.model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return model, seen


def _check(node, world, place, names, sample, guide):
    before = sample(world.model)
    result, log = guide(options=choice(names), classifier=None)
    record = log.runs[-1].guided[0].to_dict()
    assert [s["step"] for s in record["steps"] if s["on"][0][0]] and not log.runs[-1].notes
    model, seen = _explicit(world, record["layouts"][0], place, record["layers"])
    expected = sample(model)
    assert seen and (expected - before).abs().max() > 1e-3
    assert (result - expected).abs().max() <= 1e-2 * (expected - before).abs().max()
    off, _ = guide(options=choice(names, scale=0.0), classifier=None)
    assert torch.equal(off, before) and torch.equal(sample(world.model), before)


def _place(world):
    kind = world.kind
    length = max(world.relations.length, kind.least)
    image = kind.before + joint._filled(length, kind.filled)
    return kind.before, image, image + joint._filled(96, kind.filled), length


def test_joint_attention(node, world_of):
    latent = joint.empty(world_of, 2)
    _check(
        node,
        world_of,
        _place(world_of),
        world_of.kind.names,
        lambda model: joint.plain(SimpleNamespace(**{**vars(world_of), "model": model}), latent),
        lambda **more: joint.steered(node, world_of, latent, **more),
    )


@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_flux(node, pack, cfg):
    flux = tiny_flux._world(node, tiny_flux._model())
    _check(
        node,
        flux,
        (0, 256, 256 + 96, 256),
        None,
        lambda model: tiny_flux.plain(flux, model=model, cfg=cfg, latent=tiny_flux.empty(2)),
        lambda **more: tiny_flux.steered(node, flux, cfg=cfg, latent=tiny_flux.empty(2), **more),
    )


@pytest.mark.parametrize("config", [unets.SD1, unets.SD2, unets.SDXL], ids=["sd1", "sd2", "sdxl"])
def test_a_narrow_unet_of_each_layout(pack, node, config):
    """One pass of a plain and a conditional row; the picture is twice as wide as high."""
    unet, context, y = _narrow(config)
    reading, layers = module("hosts.comfyui.read.evaluation"), module("hosts.comfyui.guide.layers")
    hooks = module("hosts.comfyui.guide.hooks")
    guidance = module("guidance")
    located = reading.located_layers(unet)
    layout = guidance.Layout(
        *(_array(x) for x in ([[0.7, 0.4], [0.2, 0.5]], [[0.25, 0.5], [0.25, 0.5]])), 2.0
    )
    objects, own = [[2, 3], [6]], [0, 1, 2, 3, 4, 5, 6, 7]
    control = guidance.AttentionGuidance(
        guidance.GuidancePlan(),
        [[module("objectives").RelationTarget(0, 1, "right of")]],
        [layout],
        guidance.token_columns([objects], 9),
        [0],
        STRENGTH,
        torch.tensor([[1.0] * len(own) + [0.0]]),
        BACKGROUND,
        WIDTH,
    )
    x = torch.randn(2, 4, 16, 32, generator=torch.Generator().manual_seed(1))
    missed = []
    tokens = torch.zeros(1, 1, 9)
    tokens[..., own] = 1
    names = [one.layer.name for one in located]
    spread = guidance.ModelSpread(1, len(names))
    guided = layers.GuidedPass(
        control, spread, control.guided_columns, tokens, names, slice(1, 2), 2, missed.append
    )
    options = {"cond_or_uncond": [1, 0]}

    calls, told = [], []

    def explicit(q, k, v, extra):
        heads, grid = extra["n_heads"], tuple(extra["activations_shape"][-2:])
        calls.append(grid)
        results = []
        for row in range(2):
            query, key, value = (by_head(t[row : row + 1], heads, False)[0] for t in (q, k, v))
            logits, values = attended(query, key, value)
            if row:
                logits = biased(logits, layout.to_dict(), grid, objects, own, told, len(names))
            results.append(values(logits))
        return torch.stack(results)

    def run(more):
        with torch.inference_mode():
            return unet(x, torch.tensor([500.0] * 2), context, y, None, {"cond_or_uncond": [1, 0], **more})

    plain = run({})
    with hooks.hung(guided, hooks.Hooks(), located, unet, {"x": x, "context": context}, options):
        result = run(options)
    expected = run({"patches_replace": {"attn2": {one.block: explicit for one in located}}})
    assert len(calls) == len(located) and not missed
    change = (expected[1] - plain[1]).abs().max()
    assert change > 1e-2 and (result[1] - expected[1]).abs().max() <= 1e-2 * change
    assert (result[0] - plain[0]).abs().max() < 1e-4 * change  # other sums in other batch sizes


def _narrow(config):
    narrow = {**config, "model_channels": 64, "context_dim": 16}
    if config is not unets.SD1:
        narrow["num_head_channels"] = 32
    if config is unets.SDXL:
        narrow |= {"transformer_depth": [0, 0, 1, 1, 2, 2], "transformer_depth_middle": 2, "adm_in_channels": 8,
                   "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2]}  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        unet = unets._unet(narrow, dtype=torch.float32).eval()
        for parameter in unet.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(
                noise * (2 / max(1, parameter[0].numel())) ** 0.5 if parameter.ndim > 1 else 1 + 0.1 * noise
            )
        context = torch.randn(2, 9, 16, generator=generator)
    return unet, context, torch.ones(2, 8) if config is unets.SDXL else None


def _array(rows):
    import numpy as np

    return np.array(rows, float)
