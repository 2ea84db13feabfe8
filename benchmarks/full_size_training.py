"""Recording and fitting on layouts of full size, random weights: seconds a sample, memory, the estimate beforehand.

    python benchmarks/full_size_training.py [sd15 sdxl flux] [--samples 6] [--steps 20] [--draws 4] [--pixels 512]
        [--dtype float32] [--depth 10] [--double 19 --single 38] [--device cuda]

Each model is a process of its own: it is built (nothing is downloaded; text encoders keep their widths and are few layers
deep), its recommended layers are recorded in scenes of the emoji that ship - `--samples` to train on and a sixth more each
to validate and to judge by -, a classifier is fitted, saved, loaded, and steers one step of a picture. Time and memory do
not depend on what is in the weights; what is read and drawn means nothing.

steps: of an inversion. draws: of these, at how many the maps of each inversion are recorded.
depth: transformer blocks in SDXL's deepest stages, of the full 10. double, single: Flux's blocks, of the full 19 and 38.
Memory is the peak of the process (on a GPU: of what PyTorch holds there), weights included. "estimate" is what is printed
before a recording, "of that" the time that it took over it; "steered" is a picture of two
steps with the pipeline's own guidance, one evaluation at the first.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MODELS = ("sd15", "sdxl", "flux")


def clip_tokenizer(folder: Path) -> Any:
    """CLIP's byte-pair tokenizer whose whole vocabulary is single characters."""
    from transformers import CLIPTokenizer

    pieces = list(string.printable[:94]) + [c + "</w>" for c in string.printable[:94]]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77)


def t5_tokenizer() -> Any:
    """T5's unigram tokenizer whose whole vocabulary is single letters."""
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -4.0)]
    pieces += [(letter, -6.0) for letter in string.ascii_lowercase + string.punctuation]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)


def filled(build: Any, given: argparse.Namespace) -> Any:
    """A module with random weights: matrices of variance 1 / inputs, norms 1, biases 0."""
    import torch

    with torch.device("meta"):
        module = build()
    module = module.to(getattr(torch, given.dtype)).to_empty(device=given.device).eval().requires_grad_(False)
    generator = torch.Generator(given.device).manual_seed(0)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if name.endswith("position_ids"):
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
        elif tensor.ndim > 1:
            tensor.normal_(0, math.sqrt(1 / tensor[0].numel()), generator=generator)
        else:
            tensor.fill_(float(name.endswith("weight")))
    return module


def clip_encoder(tokenizer: Any, width: int, projected: bool, given: argparse.Namespace) -> Any:
    """CLIP's text encoder of this width, two layers deep."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=2,
        num_attention_heads=width // 64, projection_dim=width, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return filled(lambda: kind(config), given)


def autoencoder(given: argparse.Namespace, **changes: Any) -> Any:
    """Stable Diffusion's autoencoder."""
    from diffusers import AutoencoderKL

    settings = {
        "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "latent_channels": 4, **changes,
    }  # fmt: skip
    return filled(lambda: AutoencoderKL(**settings), given)


def stable_pipeline(kind: str, folder: Path, given: argparse.Namespace) -> Any:
    """Stable Diffusion 1.5, or XL with fewer blocks where `depth` says so."""
    import diffusers

    tokenizer = clip_tokenizer(folder)
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    settings: dict[str, Any] = {"sample_size": given.pixels // 8}
    if kind == "sd15":
        settings |= {"cross_attention_dim": 768, "attention_head_dim": 8}
        unet = filled(lambda: diffusers.UNet2DConditionModel(**settings), given)
        return diffusers.StableDiffusionPipeline(
            autoencoder(given), clip_encoder(tokenizer, 768, False, given), tokenizer, unet, scheduler, None, None,
            requires_safety_checker=False,
        )  # fmt: skip
    settings |= {
        "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "use_linear_projection": True,
        "transformer_layers_per_block": (1, 2, given.depth), "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    }  # fmt: skip
    unet = filled(lambda: diffusers.UNet2DConditionModel(**settings), given)
    texts = [clip_encoder(tokenizer, width, width == 1280, given) for width in (768, 1280)]
    return diffusers.StableDiffusionXLPipeline(
        autoencoder(given), *texts, tokenizer, tokenizer, unet, scheduler, add_watermarker=False
    )


def flux_pipeline(folder: Path, given: argparse.Namespace) -> Any:
    """FLUX.1-schnell at its full width, T5 one layer deep."""
    import diffusers
    from transformers import T5Config, T5EncoderModel

    tokenizer, second = clip_tokenizer(folder), t5_tokenizer()
    config = T5Config(
        vocab_size=len(second), d_model=4096, d_kv=64, d_ff=1024, num_layers=1, num_heads=4,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    transformer = filled(
        lambda: diffusers.FluxTransformer2DModel(
            num_layers=given.double, num_single_layers=given.single, guidance_embeds=False
        ),
        given,
    )
    vae = autoencoder(given, latent_channels=16, shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False,
                      use_post_quant_conv=False)  # fmt: skip
    return diffusers.FluxPipeline(
        diffusers.FlowMatchEulerDiscreteScheduler(), vae, clip_encoder(tokenizer, 768, False, given), tokenizer,
        filled(lambda: T5EncoderModel(config), given), second, transformer,
    )  # fmt: skip


def measure(kind: str, given: argparse.Namespace) -> dict[str, Any]:
    """Everything for one model, in this process."""
    import diffusers
    import torch

    from learn_to_steer.classifiers import load_classifier, save_classifier
    from learn_to_steer.dataset import How, plan_job, record_shards
    from learn_to_steer.dataset.estimate import estimate
    from learn_to_steer.dataset.sources import scene_parts
    from learn_to_steer.emojiworld.render import sprites
    from learn_to_steer.hosts.diffusers import PipelineSampler, denoiser, model_family
    from learn_to_steer.hosts.diffusers.recorder import PipelineRecorder
    from learn_to_steer.hosts.recommended import recommended_layers
    from learn_to_steer.objectives import LearnedObjective
    from learn_to_steer.steering import SteeringPlan
    from learn_to_steer.training import FitOptions, train_from_shards
    from learn_to_steer.training.prepare import shares

    diffusers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pipe = flux_pipeline(folder, given) if kind == "flux" else stable_pipeline(kind, folder, given)
        pipe.set_progress_bar_config(disable=True)
        family, size = model_family(denoiser(pipe)), (given.pixels, given.pixels)
        recorder = PipelineRecorder(pipe, family, given.steps, *size)
        sources = scene_parts({name: [sprite] for name, sprite in sprites().items()}, 0).sources
        layers = recommended_layers(family, recorder.layers)
        loaded = recorder, sources
        job = plan_job(recorder, sources, shares(given.samples), 0, How(draws=given.draws), layers,
                       batch=given.batch)  # fmt: skip
        said = estimate(loaded, job, folder / "work")
        print(f"{kind}: {said}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        work = record_shards(folder / "work", job, loaded)
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        trained = train_from_shards(work, device=given.device, options=FitOptions(epochs=4))
        fitted = time.perf_counter() - began
        save_classifier(trained.classifier, folder / "own.safetensors")
        plan = SteeringPlan(end=1.0, budget=1, reached=1.0, evaluations_per_step=1)
        began = time.perf_counter()
        drawn = PipelineSampler(pipe, family, *size).sample(
            ["a dog above a car"], [0], objective=LearnedObjective(load_classifier(folder / "own.safetensors")),
            plan=plan, steps=2, guidance=None,
        )  # fmt: skip
        steered = time.perf_counter() - began
        (record,) = [r for r in drawn.trace.records if r.evaluation >= 0]
        assert math.isfinite(record.loss) and 0 < record.move < math.inf
        on_gpu = given.device == "cuda"
        peak = (
            torch.cuda.max_memory_allocated()
            if on_gpu
            else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        )
        return {
            "layers": len(layers), "channels": job.channels, "samples": job.samples, "passes": job.passes,
            "seconds": seconds, "estimate": said.seconds, "fit": fitted, "steered": steered,
            "peak": peak / 2**30,
        }  # fmt: skip


def main() -> None:
    """A process a model; the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], default=list(MODELS), metavar="MODEL")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--pixels", type=int, default=512)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--double", type=int, default=19)
    parser.add_argument("--single", type=int, default=38)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print("\n" + json.dumps(measure(given.models[0], given)))
        return
    print(
        f"{given.pixels} px, {given.steps} steps, {given.dtype} on {given.device}, {given.batch} samples a pass.\n"
    )
    print(
        "| model | layers | channels | samples | passes | seconds a sample | estimate | of that | fit, s | steered, s "
        "| peak, GiB |"
    )
    print("|---|" + 10 * "---:|", flush=True)
    names = ("samples", "steps", "draws", "batch", "pixels", "dtype", "device", "depth", "double", "single")
    options = [part for name in names for part in (f"--{name}", str(getattr(given, name)))]  # fmt: skip
    for kind in given.models:
        command = [sys.executable, __file__, kind, "--one", *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"| {kind} | did not end well ({done.returncode}) |", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        each = found["seconds"] / found["samples"]
        print(
            f"| {kind} | {found['layers']} | {found['channels']} | {found['samples']} | {found['passes']} | {each:.1f} "
            f"| {found['estimate'] / found['samples']:.1f} | {found['seconds'] / found['estimate']:.2f} "
            f"| {found['fit']:.1f} | {found['steered']:.1f} | {found['peak']:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
