"""Training of EmojiWorld-MMDiT: transformer and text encoder together, by rectified flow (Liu et al., ICLR 2023).

The data, captions and part of the loss on nouns' attention are those of the UNet (`training.py`, `grounding.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import FluxPipeline, FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn
from transformers import CLIPTextModel

from .grounding import grounding_loss
from .mmdit import FOLDER, build_flow_scheduler, build_transformer
from .models import TEXT_LENGTH, build_text_encoder
from .training import CaptionedScenes, TrainingRun, _fit
from .world import IMAGE_SIZE

GROUNDED = ("double.1", "double.2", "double.3")
"""Blocks whose nouns learn to attend to their object: early ones, so that a reading need not go far."""

LATENT_SIZE = IMAGE_SIZE // 8


class GroundedJointAttention:
    """A joint attention of a double block that also keeps its image rows x text columns: softmax over the text
    tokens, (B * heads, image tokens, text tokens), as steering reads them."""

    def __init__(self) -> None:
        self.probabilities: Tensor | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        def by_head(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1))

        text = encoder_hidden_states.shape[1]
        image_qk = (
            attn.norm_q(by_head(attn.to_q(hidden_states))),
            attn.norm_k(by_head(attn.to_k(hidden_states))),
        )
        text_qk = (
            attn.norm_added_q(by_head(attn.add_q_proj(encoder_hidden_states))),
            attn.norm_added_k(by_head(attn.add_k_proj(encoder_hidden_states))),
        )
        values = by_head(attn.add_v_proj(encoder_hidden_states)), by_head(attn.to_v(hidden_states))
        query, key = (torch.cat(pair, dim=1) for pair in zip(text_qk, image_qk, strict=True))
        if image_rotary_emb is not None:
            query = apply_rotary_emb(query, image_rotary_emb, sequence_dim=1)
            key = apply_rotary_emb(key, image_rotary_emb, sequence_dim=1)
        query, key, value = (x.transpose(1, 2) for x in (query, key, torch.cat(values, dim=1)))
        scores = query[:, :, text:] @ key[:, :, :text].mT * query.shape[-1] ** -0.5
        self.probabilities = scores.float().softmax(-1).flatten(0, 1)
        mixed = F.scaled_dot_product_attention(query, key, value.to(query.dtype), attn_mask=attention_mask)
        mixed = mixed.transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](mixed[:, text:])), attn.to_add_out(mixed[:, :text])


def ground_joint(
    transformer: FluxTransformer2DModel, names: Sequence[str] = GROUNDED
) -> list[GroundedJointAttention]:
    """Make these double blocks keep their probabilities."""
    kept = []
    for name in names:
        processor = GroundedJointAttention()
        transformer.transformer_blocks[int(name.removeprefix("double."))].attn.set_processor(processor)
        kept.append(processor)
    return kept


class FlowGenerator(nn.Module):
    """Transformer and text encoder as one module, as they are trained."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.transformer = build_transformer()
        self.text_encoder = build_text_encoder(vocabulary)
        self.grounded: list[GroundedJointAttention] = []
        side = LATENT_SIZE // 2
        places = torch.zeros(side * side, 3)
        places[:, 1:] = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        self.register_buffer("image_places", places, persistent=False)
        self.register_buffer("text_places", torch.zeros(TEXT_LENGTH, 3), persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, ids: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Velocity (B, 4, 16, 16) of noisy latents at ``time`` (B,) in 0..1 under token ids (B, 32), and what the
        attentions in ``grounded`` attended to."""
        text = self.text_encoder(ids)
        velocity = self.transformer(
            hidden_states=FluxPipeline._pack_latents(noisy, *noisy.shape),
            timestep=time,
            encoder_hidden_states=text.last_hidden_state,
            pooled_projections=text.pooler_output,
            img_ids=self.image_places,
            txt_ids=self.text_places,
            return_dict=False,
        )[0]
        velocity = FluxPipeline._unpack_latents(velocity, IMAGE_SIZE, IMAGE_SIZE, IMAGE_SIZE // LATENT_SIZE)
        return velocity, [attention.probabilities for attention in self.grounded]  # type: ignore[misc]


def train_mmdit(
    run: TrainingRun,
    destination: Path,
    scenes: int = 24_000,
    true_share: float = 0.33,
    random_share: float = 0.33,
    compiled: bool = False,
    bf16: bool = False,
    warm_start: bool = False,
    grounding: float = 0.1,
    noise_bias: float = 1.5,
) -> None:
    """Fit transformer and text encoder to the velocity noise - picture; captions are drawn anew each time a scene comes
    up. Parameters as in :func:`~.training.train_generator`.

    Without ``warm_start`` the text encoder begins as the UNet's, where ``destination`` has one.
    """
    torch.manual_seed(run.seed)
    data = CaptionedScenes(run, destination, scenes, true_share, random_share, noise_bias)
    model = FlowGenerator(len(data.tokenizer)).to(run.device).train()
    begin = destination / FOLDER if warm_start else destination
    if warm_start:
        saved = FluxTransformer2DModel.from_pretrained(begin / "transformer")
        model.transformer.load_state_dict(saved.float().state_dict())
    if warm_start or (begin / "text_encoder").is_dir():
        text = CLIPTextModel.from_pretrained(begin / "text_encoder")
        model.text_encoder.load_state_dict(text.float().state_dict())
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    model.grounded = ground_joint(model.transformer)
    forward = torch.compile(model) if compiled else model

    def loss(done: float, rng: np.random.Generator) -> Tensor:
        batch = data.draw(rng)
        level = batch.time.view(-1, 1, 1, 1)
        noisy = (1 - level) * batch.latents + level * batch.noise
        with torch.autocast(run.device, torch.bfloat16, enabled=bf16):
            predicted, attended = forward(noisy, batch.time, batch.ids)
        return F.mse_loss(predicted.float(), batch.noise - batch.latents) + grounding * grounding_loss(
            attended, batch.nouns, batch.boxes
        )

    if _fit("mmdit", run, model, loss, ema=ema):
        export_mmdit(ema, destination)


def export_mmdit(model: FlowGenerator, destination: Path) -> None:
    """Write transformer, text encoder and scheduler to ``destination/mmdit`` (fp16, diffusers and transformers layout)."""
    half = copy.deepcopy(model).half()
    half.transformer.save_pretrained(destination / FOLDER / "transformer")
    half.text_encoder.save_pretrained(destination / FOLDER / "text_encoder")
    build_flow_scheduler().save_pretrained(destination / FOLDER / "scheduler")
