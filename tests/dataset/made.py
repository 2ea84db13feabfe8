"""A model small enough to be recorded in a moment: two attentions over an 8 x 8 latent, weights at random."""

import dataclasses
import hashlib

import numpy as np
import torch
import torch.nn.functional as F

from learn_to_steer.attention import AttentionLayer, MapStack, attention_maps, token_weights
from learn_to_steer.dataset import How, plan_job
from learn_to_steer.dataset.sources import scene_parts
from learn_to_steer.errors import SteeringError
from learn_to_steer.language import find_words

WORDS = 24


class TinyRecorder:
    """A `hosts.protocol.MapRecorder`."""

    family, flow, size, steps = "tiny", False, (32, 32), 6
    layers = [AttentionLayer("down.0", "down", 0, 2), AttentionLayer("up.0", "up", 1, 1)]

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.kernel = 0.2 * torch.randn(3, 3, 3, 3, generator=generator)
        self.query = torch.randn(2, 8, 3, generator=generator)

    def digest(self):
        return hashlib.sha256(self.kernel.numpy().tobytes()).hexdigest()

    def sigmas(self):
        return [8.0, 4.0, 2.0, 1.0, 0.5, 0.2]

    def encode(self, pictures):
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        return F.adaptive_avg_pool2d(pixels, 8)

    def decode(self, latents):
        large = F.interpolate(latents, self.size)
        return ((large.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()

    def slope(self, prompts):
        heard = torch.stack([torch.tensor(float(len(p) % 7) / 7) for p in prompts]).view(-1, 1, 1, 1)
        return lambda x, step: torch.tanh(F.conv2d(x, self.kernel, padding=1) + heard) * 0.1

    def model_input(self, latents, steps):
        return latents / (1 + torch.tensor(self.sigmas())[steps].view(-1, 1, 1, 1) ** 2).sqrt()

    def maps(self, noisy, steps, prompts, names, layers=None):
        weights, keys = [], []
        for prompt, pair in zip(prompts, names, strict=True):
            words = prompt.split()
            if len(words) > WORDS:
                raise SteeringError("Expected a short prompt, got a long one; shorten it.")
            starts = np.cumsum([0] + [len(w) + 1 for w in words])
            spans = [find_words(prompt, name) for name in pair]
            weights.append([[i for i in range(len(words)) if a <= starts[i] < b] for a, b in spans])
            rows = [hashlib.sha256(w.encode()).digest()[:8] for w in words] + [bytes(8)] * (
                WORDS - len(words)
            )
            keys.append(np.frombuffer(b"".join(rows), np.uint8).reshape(WORDS, 8) / 128.0 - 1)
        where, key = token_weights(weights, WORDS), torch.tensor(np.stack(keys), dtype=torch.float32)
        found = []
        for i, layer in enumerate(self.layers):
            x = noisy if i == 0 else F.avg_pool2d(noisy, 2)
            query = torch.einsum("b c h w, d c -> b h w d", x, self.query[i]).flatten(1, 2)
            made = attention_maps(
                query[:, None].expand(-1, layer.heads, -1, -1),
                key[:, None].expand(-1, layer.heads, -1, -1),
                where,
                0.5,
            )
            found.append(made.unflatten(-1, x.shape[-2:]))
        kept = [i for i, layer in enumerate(self.layers) if layers is None or layer.name in layers]
        return MapStack(tuple(self.layers[i] for i in kept), tuple(found[i] for i in kept))


def cutouts():
    """Four coloured shapes with transparency."""
    from PIL import Image, ImageDraw

    made = {}
    for name, color in (("dog", "red"), ("cat", "blue"), ("car", "green"), ("pig", "black")):
        picture = Image.new("RGBA", (60, 48))
        ImageDraw.Draw(picture).ellipse((0, 0, 59, 47), fill=color)
        made[name] = [picture]
    return made


COUNTS = {"train": 40, "validation": 8, "test": 8}


def loaded():
    """The model and its scenes."""
    return TinyRecorder(), scene_parts(cutouts(), 0).sources


def job(how=None, **more):
    """56 of these scenes in shards of 5."""
    made = plan_job(*loaded(), COUNTS, 3, how or How(draws=2), **{"map_size": 4, "batch": 3, **more})
    return dataclasses.replace(made, per_shard=5)
