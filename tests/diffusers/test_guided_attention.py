"""The bias of attention guidance, against attentions that add it as a matrix."""

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, SlicedAttnProcessor
from diffusers.models.embeddings import apply_rotary_emb

from learn_to_steer.emojiworld import GUIDANCE, STEPS, family_of
from learn_to_steer.guidance import GuidancePlan
from learn_to_steer.hosts.diffusers import denoiser, run_of
from learn_to_steer.hosts.diffusers.guided import Guided
from learn_to_steer.language import understood_triplets


def matrix(query, key, scale, width, place, tokens, own, strength, around, background, spreads):
    """(heads, N, T): strength x spread x (2 x own peak - 1) at the tokens of both objects, and x background x (1 - the
    higher peak) at those around them; one image.

    query (heads, N, d), key (heads, T, d). place: (x, y) of both in shares. own: how many tokens the prompt has, with the
    begin and without the end. spreads: of the layers before this one in the pass, which are added to."""
    some = (
        np.arange(32, dtype=np.float32) * np.float32(0.6180339887) % 1 * np.float32(query.shape[1])
    ).astype(int)
    logits = (torch.einsum("hnd,htd->hnt", query[:, some], key) * scale)[..., :own]
    spreads.append(logits.var(-1, unbiased=False).mean(-1).sqrt().mean())
    spread = sum(spreads) / len(spreads)
    side = int(query.shape[1] ** 0.5)
    middle = (torch.arange(side) + 0.5) / side
    ys, xs = (m.reshape(-1) for m in torch.meshgrid(middle, middle, indexing="ij"))
    peaks = [torch.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * (width * 0.5) ** 2)) for x, y in place]
    bias = torch.zeros(query.shape[0], query.shape[1], key.shape[1])
    for k, positions in enumerate(tokens):
        for t in positions:
            bias[:, :, t] = strength * spread * (2 * peaks[k] - 1)
    for t in around:
        bias[:, :, t] = strength * spread * background * (1 - torch.maximum(*peaks))
    return bias


class ExplicitCross:
    """Cross-attention with the matrix on the last row of the batch."""

    def __init__(self, **bias):
        self.bias = bias

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        q, k, v = (
            layer(x).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer, x in (
                (attn.to_q, hidden_states),
                (attn.to_k, encoder_hidden_states),
                (attn.to_v, encoder_hidden_states),
            )
        )
        logits = q @ k.mT * attn.scale
        logits[-1] += matrix(q[-1], k[-1], attn.scale, **self.bias)
        return attn.to_out[0]((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))


class ExplicitJoint:
    """Joint attention with the matrix on image rows and text columns."""

    def __init__(self, text, **bias):
        self.text, self.bias = text, bias

    def __call__(
        self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, image_rotary_emb=None
    ):
        def heads(x):
            return x.unflatten(-1, (attn.heads, -1))

        q, k, v = (
            heads(attn.to_q(hidden_states)),
            heads(attn.to_k(hidden_states)),
            heads(attn.to_v(hidden_states)),
        )
        q, k = attn.norm_q(q), attn.norm_k(k)
        if encoder_hidden_states is not None:
            states = encoder_hidden_states
            q = torch.cat([attn.norm_added_q(heads(attn.add_q_proj(states))), q], 1)
            k = torch.cat([attn.norm_added_k(heads(attn.add_k_proj(states))), k], 1)
            v = torch.cat([heads(attn.add_v_proj(states)), v], 1)
        q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1).transpose(1, 2) for x in (q, k))
        scale, text = q.shape[-1] ** -0.5, self.text
        logits = q @ k.mT * scale
        logits[-1, :, text:, :text] += matrix(q[-1, :, text:], k[-1, :, :text], scale, **self.bias)
        out = (logits.softmax(-1) @ v.transpose(1, 2)).transpose(1, 2).flatten(2)
        if encoder_hidden_states is None:
            return out
        return attn.to_out[0](out[:, text:]), attn.to_add_out(out[:, :text])


@pytest.mark.parametrize(
    ("model", "masked"),
    [("unet", None), ("unet", AttnProcessor), ("unet", lambda: SlicedAttnProcessor(2)), ("mmdit", None)],
    ids=["unet", "unet, another processor", "unet, sliced", "mmdit"],
)
def test_the_attention_is_that_of_the_explicit_matrix(emojiworlds, model, masked):
    pipe, prompt = emojiworlds[model], "a car above a cactus"
    network = denoiser(pipe)
    run = run_of(pipe, [prompt], STEPS, guidance_scale=GUIDANCE)
    plan = GuidancePlan(strength=2.5, width=0.4, background=0.4)
    made = Guided.prepare(run, plan, understood_triplets([prompt]), family_of(pipe), None, None, None)
    branch = run.branch(run.encoded(), run.schedule(), "")
    torch.manual_seed(1)
    latent = torch.randn(run.latent_shape)
    places = [place for place in made.guide.places if place.layer.name in made.guide.layers]
    before = [place.attention.processor for place in places]
    tokens = list(pipe.tokenizer(prompt).input_ids)
    bias = {
        "width": 0.4,
        "place": made.wanted.layouts[0].places.tolist(),
        "tokens": [[2], [5]],  # begin, a, car, above, a, cactus, end
        "own": len(tokens) - 1,
        "strength": 2.5,
        "around": [0, 1],
        "background": 0.4,
        "spreads": [],
    }
    assert len(tokens) == 7
    try:
        with torch.no_grad():
            plain = branch.predict(latent, 0)
            for place in places:
                explicit = ExplicitCross(**bias) if model == "unet" else ExplicitJoint(32, **bias)
                place.attention.processor = explicit
            wanted = branch.predict(latent, 0)
            for place, processor in zip(places, before, strict=True):
                place.attention.processor = masked() if masked else processor
            with made.installed(watching=False):
                made.begin(0)
                got = branch.predict(latent, 0)
                unarmed = branch.predict(latent, 0)  # a further pass of the same turn, such as an evaluation
            assert torch.equal(unarmed, branch.predict(latent, 0))
    finally:
        for place, processor in zip(places, before, strict=True):
            place.attention.processor = processor
    assert (wanted - plain).abs().max() > 0.05
    assert (got - wanted).abs().max() < 2e-4
    assert network is run.model
