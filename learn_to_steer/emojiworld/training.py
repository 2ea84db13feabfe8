"""Training of EmojiWorld's models. Each function resumes from its checkpoint (`fitting.py`) and ends by writing fp16
safetensors.

Order: autoencoder, judge, generator (UNet and text encoder together).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from ..attention import encoder_of
from ..records import atomic
from .fitting import TrainingRun, fit, join_processes
from .grounding import GroundedAttention, ground, grounding_loss, noun_tokens, placing_loss, scene_boxes
from .judge import Judge, cell_labels
from .models import (
    TEXT_WIDTH,
    build_autoencoder,
    build_scheduler,
    build_text_encoder,
    build_unet,
    write_tokenizer,
)
from .render import aspects, render, sprites
from .world import IMAGE_SIZE, OBJECTS, Scene, sample_caption, sample_scene


def scene_pixels(rng: np.random.Generator, scene: Scene | None = None) -> tuple[Scene, np.ndarray]:
    """A scene and its picture, uint8 (128, 128, 3)."""
    scene = scene or sample_scene(rng, aspect=aspects())
    return scene, render(scene)


def to_tensor(images: list[np.ndarray]) -> Tensor:
    """uint8 (B, H, W, 3) -> float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_autoencoder(run: TrainingRun, destination: Path, crop: int = 64) -> None:
    """Fit the autoencoder on crops that hold a part of an object; the last fifth of the time sees whole pictures.

    Loss: L1 + squared error + L1 of the image gradients (edges), a faint KL; the decoder sees slightly noisy latents
    so that it forgives what the generator gets wrong.
    """
    torch.manual_seed(run.seed)
    model = build_autoencoder().to(run.device).train()

    def loss(done: float, rng: np.random.Generator) -> Tensor:
        whole = done > 0.8
        pictures = []
        for _ in range(run.batch // 4 if whole else run.batch):
            scene, picture = scene_pixels(rng)
            if not whole:
                box = scene.objects[rng.integers(len(scene.objects))].box
                corner = [
                    int(np.clip(c + rng.uniform(-0.7, 0.7) * crop / 2 - crop / 2, 0, IMAGE_SIZE - crop))
                    for c in (box.y, box.x)
                ]
                picture = picture[corner[0] : corner[0] + crop, corner[1] : corner[1] + crop]
            pictures.append(picture)
        x = to_tensor(pictures).to(run.device)
        posterior = model.encode(x).latent_dist
        latent = posterior.mean
        latent = latent + 0.05 * latent.detach().std() * torch.randn_like(latent)
        y = model.decode(latent).sample
        edges = sum(F.l1_loss(y.diff(dim=d), x.diff(dim=d)) for d in (2, 3))
        return F.l1_loss(y, x) + F.mse_loss(y, x) + edges + 1e-6 * posterior.kl().mean()

    if not fit("autoencoder", run, model, loss, hold=0.5):
        return
    model.eval()
    with torch.no_grad():
        rng = np.random.default_rng(12345)
        x = to_tensor([scene_pixels(rng)[1] for _ in range(64)]).to(run.device)
        latent = model.encode(x).latent_dist.mean
        psnr = -10 * math.log10(F.mse_loss(model.decode(latent).sample.clamp(-1, 1), x).item() / 4)
        model.register_to_config(scaling_factor=round(1 / latent.std().item(), 4))
    print(f"autoencoder: {psnr:.2f} dB, latent means {latent.mean(dim=(0, 2, 3)).tolist()}")
    model.half().save_pretrained(destination / "vae")


def train_judge(run: TrainingRun, destination: Path) -> None:
    """Fit the judge on rendered scenes, blurred, noised and recoloured at random so that it is no pixel peeper."""
    torch.manual_seed(run.seed)
    judge = Judge().to(run.device).train()

    def loss(done: float, rng: np.random.Generator) -> Tensor:
        pictures, labels = [], []
        for _ in range(run.batch):
            scene, picture = scene_pixels(rng)
            pictures.append(_disturb(picture, rng))
            labels.append(cell_labels([(OBJECTS.index(p.name) + 1, _coverage(p)) for p in scene.objects]))
        logits = judge(to_tensor(pictures).to(run.device))
        return F.cross_entropy(logits, torch.from_numpy(np.stack(labels)).to(run.device))

    if not fit("judge", run, judge, loss, hold=0.3):
        return
    save_file({k: v.half() for k, v in judge.state_dict().items()}, destination / "judge.safetensors")


def _coverage(placed) -> np.ndarray:
    box = placed.box
    size = max(1, round(box.width)), max(1, round(box.height))
    mask = Image.new("L", (IMAGE_SIZE, IMAGE_SIZE))
    alpha = sprites()[placed.name].getchannel("A").resize(size)
    mask.paste(alpha, (round(box.x - size[0] / 2), round(box.y - size[1] / 2)))
    return np.asarray(mask, np.float32) / 255


def _disturb(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = Image.fromarray(picture)
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.0)))
    values = np.asarray(image, np.float64)
    values = values + rng.normal(0, rng.uniform(0, 12), values.shape) + rng.uniform(-12, 12, 3)
    return values.clip(0, 255).astype(np.uint8)


@dataclass
class EncodedScenes:
    """Latents (N, 4, h, w), scaled to unit variance, and the scenes that they show."""

    latents: Tensor
    scenes: list[Scene]


@torch.no_grad()
def encode_scenes(
    vae, count: int, seed: int, device: str, cache: Path, most: int = 3, pixels: int = IMAGE_SIZE
) -> EncodedScenes:
    """Render and encode ``count`` scenes of up to ``most`` objects, what the generator is trained on; a resumed run finds
    them in ``cache``."""
    rng = np.random.default_rng((seed, 77))
    scenes = [sample_scene(rng, aspect=aspects(), most=most) for _ in range(count)]
    if cache.exists():
        return EncodedScenes(load_file(cache, device=device)["latents"], scenes)
    latents = []
    vae = vae.to(device).eval()
    for start in tqdm(range(0, count, 64), desc="encode scenes"):
        pictures = to_tensor([render(scene, pixels) for scene in scenes[start : start + 64]])
        latents.append(vae.encode(pictures.to(device)).latent_dist.mean * vae.config.scaling_factor)
    encoded = EncodedScenes(torch.cat(latents), scenes)
    with atomic(cache) as temporary:
        save_file({"latents": encoded.latents.contiguous()}, temporary)
    return encoded


@dataclass(frozen=True)
class GeneratorOptions:
    """How a generator is trained.

    scenes: how many are rendered and encoded, by each process.
    objects: the most objects of a scene, 3 or 5. pixels: width and height of the pictures.
    true_share, random_share: how many captions say the true relation and a random one (:func:`sample_caption`); the
    more of them are true, the more often the model keeps to relations unsteered.
    compiled: run the model through `torch.compile`.
    bf16: forward and backward under autocast to bfloat16; weights and optimizer stay in float32.
    warm_start: begin a new run with the weights in the destination instead of random ones.
    grounding, placing: weights of :func:`~.grounding.grounding_loss` and :func:`~.grounding.placing_loss` beside the
    error of the prediction; the transformer is trained without the latter.
    noise_bias: times are 1 - u ** noise_bias, u uniform in 0..1: the larger, the noisier.
    """

    scenes: int = 24_000
    objects: int = 3
    pixels: int = IMAGE_SIZE
    true_share: float = 0.33
    random_share: float = 0.33
    compiled: bool = False
    bf16: bool = False
    warm_start: bool = False
    grounding: float = 0.1
    noise_bias: float = 1.5
    placing: float = 0.0


@dataclass
class Batch:
    """What one step of a generator's training sees, on its device.

    latents, noise (B, 4, h, w); time (B,), 1 = noise .. 0 = picture; ids (B, T): captions; nouns (B, 5, T) and boxes
    (B, 5, 4): see :mod:`.grounding`.
    """

    latents: Tensor
    noise: Tensor
    time: Tensor
    ids: Tensor
    nouns: Tensor
    boxes: Tensor


class CaptionedScenes:
    """Encoded scenes, and batches drawn from them; captions are drawn anew each time a scene comes up.

    destination: folder with the autoencoder; the tokenizer is written there. Every process encodes scenes of its own, once.
    """

    def __init__(self, run: TrainingRun, destination: Path, options: GeneratorOptions) -> None:
        from diffusers import AutoencoderKL

        self.run, self.options = run, options
        seed = run.seed + join_processes()[0]
        vae = AutoencoderKL.from_pretrained(destination / "vae", torch_dtype=torch.float32)
        run.work.mkdir(parents=True, exist_ok=True)
        weights = b"".join(sorted(file.read_bytes() for file in (destination / "vae").glob("*.safetensors")))
        mark = hashlib.sha256(weights).hexdigest()[:8]  # another autoencoder has other latents
        size = f"{options.scenes}-{options.objects}-{options.pixels}"
        cache = run.work / f"latents-{seed}-{size}-{mark}.safetensors"
        self.data = encode_scenes(
            vae, options.scenes, seed, run.device, cache, options.objects, options.pixels
        )
        self.boxes = scene_boxes(self.data.scenes)
        self.tokenizer = write_tokenizer(destination / "tokenizer")
        self.words = {name: encoder_of(self.tokenizer)(name) for name in OBJECTS}

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch; scenes and captions by ``rng``, noise and times by torch's own generator."""
        device = self.run.device
        rows = rng.integers(len(self.data.scenes), size=self.run.batch)
        scenes, chosen = [self.data.scenes[i] for i in rows], torch.from_numpy(rows)
        shares = self.options.true_share, self.options.random_share
        captions = [sample_caption(rng, scene, *shares) for scene in scenes]
        ids = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        latents = self.data.latents[chosen]
        noise = torch.randn_like(latents)
        # Stratified times: every batch sees the whole schedule, which quietens the gradient. The noisy end, where it
        # is decided what stands where, comes up more often.
        strata = (torch.arange(self.run.batch) + torch.rand(self.run.batch)) / self.run.batch
        nouns = noun_tokens(ids, scenes, self.words)
        rest = (1 - strata**self.options.noise_bias, ids, nouns, self.boxes[chosen])
        return Batch(latents, noise, *(x.to(device) for x in rest))


class Generator(nn.Module):
    """UNet and text encoder as one module, as they are trained."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.unet = build_unet()
        self.text_encoder = build_text_encoder(vocabulary)
        self.places = nn.Linear(TEXT_WIDTH, 2)
        self.grounded: list[GroundedAttention] = []

    def forward(self, noisy: Tensor, timesteps: Tensor, ids: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """v-prediction (B, 4, h, w) of noisy latents at ``timesteps`` (B,) under token ids (B, 32), what the
        attentions in ``grounded`` attended to, and the places (B, 32, 2) told from the tokens' states."""
        context = self.text_encoder(ids).last_hidden_state
        predicted = self.unet(noisy, timesteps, context, return_dict=False)[0]
        attended = [attention.probabilities for attention in self.grounded]
        return predicted, attended, self.places(context)  # type: ignore[return-value]


def train_generator(run: TrainingRun, destination: Path, options: GeneratorOptions) -> None:
    """Fit UNet and text encoder to predict v."""
    torch.manual_seed(run.seed)
    data = CaptionedScenes(run, destination, options)
    scheduler = build_scheduler()
    model = Generator(len(data.tokenizer)).to(run.device).train()
    if options.warm_start:
        for part in ("unet", "text_encoder"):
            saved = type(getattr(model, part)).from_pretrained(destination / part)
            getattr(model, part).load_state_dict(saved.float().state_dict())
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    # Plain matrix products also have the faster backward pass in bf16 on a CPU.
    model.grounded = ground(model.unet)
    if options.bf16 and run.device == "cpu":
        model.unet.to(memory_format=torch.channels_last)
    forward = torch.compile(model) if options.compiled else model

    def loss(done: float, rng: np.random.Generator) -> Tensor:
        batch = data.draw(rng)
        timesteps = (1000 * batch.time).long().clamp(max=999)
        noisy = scheduler.add_noise(batch.latents, batch.noise, timesteps)
        target = scheduler.get_velocity(batch.latents, batch.noise, timesteps)
        with torch.autocast(run.device, torch.bfloat16, enabled=options.bf16):
            predicted, attended, places = forward(noisy, timesteps, batch.ids)
        return (
            F.mse_loss(predicted.float(), target)
            + options.grounding * grounding_loss(attended, batch.nouns, batch.boxes)
            + options.placing * placing_loss(places, batch.nouns, batch.boxes)
        )

    if fit("generator", run, model, loss, ema=ema):
        export_generator(ema, destination)


def export_generator(model: Generator, destination: Path) -> None:
    """Write UNet, text encoder, scheduler and ``model_index.json`` as a StableDiffusionPipeline folder (fp16)."""
    half = copy.deepcopy(model).half()
    half.unet.save_pretrained(destination / "unet")
    half.text_encoder.save_pretrained(destination / "text_encoder")
    build_scheduler().save_pretrained(destination / "scheduler")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (destination / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
