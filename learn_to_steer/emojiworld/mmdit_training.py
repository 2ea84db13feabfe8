"""Training of EmojiWorld-MMDiT: transformer and text encoder together, by rectified flow (Liu et al., ICLR 2023).

The data, captions and part of the loss on nouns' attention are those of the UNet (`training.py`, `grounding.py`).
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import FluxPipeline, FluxTransformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from .fitting import TrainingRun, fit
from .grounding import GroundedJointAttention, ground_joint, grounding_loss
from .mmdit import FOLDER, build_flow_scheduler, build_transformer
from .models import TEXT_LENGTH, build_text_encoder
from .training import CaptionedScenes, GeneratorOptions
from .world import IMAGE_SIZE

STRIDE = 8
"""Pixels of the picture per latent element."""


class FlowGenerator(nn.Module):
    """Transformer and text encoder as one module, as they are trained."""

    def __init__(self, vocabulary: int, pixels: int = IMAGE_SIZE) -> None:
        super().__init__()
        self.pixels = pixels
        self.transformer = build_transformer()
        self.text_encoder = build_text_encoder(vocabulary)
        self.grounded: list[GroundedJointAttention] = []
        side = pixels // STRIDE // 2
        places = torch.zeros(side * side, 3)
        places[:, 1:] = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        self.register_buffer("image_places", places, persistent=False)
        self.register_buffer("text_places", torch.zeros(TEXT_LENGTH, 3), persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, ids: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Velocity (B, 4, h, w) of noisy latents at ``time`` (B,) in 0..1 under token ids (B, 32), and what the
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
        velocity = FluxPipeline._unpack_latents(velocity, self.pixels, self.pixels, STRIDE)
        return velocity, [attention.probabilities for attention in self.grounded]  # type: ignore[misc]


def train_mmdit(run: TrainingRun, destination: Path, options: GeneratorOptions) -> None:
    """Fit transformer and text encoder to the velocity noise - picture.

    Without a warm start the text encoder begins as the UNet's, where ``destination`` has one.
    """
    torch.manual_seed(run.seed)
    data = CaptionedScenes(run, destination, options)
    model = FlowGenerator(len(data.tokenizer), options.pixels).to(run.device).train()
    begin = destination / FOLDER if options.warm_start else destination
    if options.warm_start:
        saved = FluxTransformer2DModel.from_pretrained(begin / "transformer")
        model.transformer.load_state_dict(saved.float().state_dict())
    if options.warm_start or (begin / "text_encoder").is_dir():
        text = CLIPTextModel.from_pretrained(begin / "text_encoder")
        model.text_encoder.load_state_dict(text.float().state_dict())
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    model.grounded = ground_joint(model.transformer)
    forward = torch.compile(model) if options.compiled else model

    def loss(done: float, rng: np.random.Generator) -> Tensor:
        batch = data.draw(rng)
        level = batch.time.view(-1, 1, 1, 1)
        noisy = (1 - level) * batch.latents + level * batch.noise
        with torch.autocast(run.device, torch.bfloat16, enabled=options.bf16):
            predicted, attended = forward(noisy, batch.time, batch.ids)
        return F.mse_loss(
            predicted.float(), batch.noise - batch.latents
        ) + options.grounding * grounding_loss(attended, batch.nouns, batch.boxes)

    if fit("mmdit", run, model, loss, ema=ema):
        export_mmdit(ema, destination)


def export_mmdit(model: FlowGenerator, destination: Path) -> None:
    """Write transformer, text encoder and scheduler to ``destination/mmdit`` (fp16, diffusers and transformers layout)."""
    half = copy.deepcopy(model).half()
    half.transformer.save_pretrained(destination / FOLDER / "transformer")
    half.text_encoder.save_pretrained(destination / FOLDER / "text_encoder")
    build_flow_scheduler().save_pretrained(destination / FOLDER / "scheduler")
