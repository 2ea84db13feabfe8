"""A checkpoint in the layout of Stable Diffusion 1.5, 2.1 or XL, full size, random weights, for the host's own loader.

    python tests/comfyui/random_checkpoint.py sd15|sd21|sdxl FILE.safetensors

Run with an interpreter that can import the host, COMFYUI_PATH set. It draws noise, but it loads, conditions, samples and
costs what a real one does: what the graphs 2 and 3 of workflows/ are run with where no model can be downloaded.
"""

from __future__ import annotations

import os
import sys

os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"
KIND, FILE = sys.argv[1:3]

import conftest  # noqa: E402,F401
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from test_layouts import SD1, SD2, SDXL, _unet  # noqa: E402

AUTOENCODER = {
    "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
    "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip


def random_like(shapes: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """fp16 tensors of these names and shapes: matrices of variance 1 / inputs, norms 1, biases 0, embeddings 0.02."""
    found = {}
    for name, tensor in shapes.items():
        if not tensor.is_floating_point():
            found[name] = torch.arange(tensor.numel()).reshape(tensor.shape)
        elif "embedding" in name and tensor.ndim == 2:
            found[name] = (0.02 * torch.randn(tensor.shape)).half()
        elif tensor.ndim > 1:
            found[name] = (torch.randn(tensor.shape) * tensor[0].numel() ** -0.5).half()
        else:
            found[name] = torch.full(tensor.shape, float(name.endswith("weight")), dtype=torch.float16)
    return found


def checkpoint(kind: str) -> dict[str, torch.Tensor]:
    """All tensors of one file: UNet, autoencoder, text encoders."""
    import comfy.sd1_clip
    import comfy.sdxl_clip
    import comfy.supported_models
    import comfy.text_encoders.sd2_clip
    from comfy.ldm.models.autoencoder import AutoencoderKL

    torch.manual_seed(0)
    config, text, model = {
        "sd15": (SD1, comfy.sd1_clip.SD1ClipModel, comfy.supported_models.SD15),
        "sd21": (SD2, comfy.text_encoders.sd2_clip.SD2ClipModel, comfy.supported_models.SD20),
        "sdxl": (SDXL, comfy.sdxl_clip.SDXLClipModel, comfy.supported_models.SDXL),
    }[kind]
    unet = random_like(_unet(config, device="meta").state_dict())
    with torch.device("meta"):
        autoencoder = AutoencoderKL(ddconfig=AUTOENCODER, embed_dim=4).state_dict()
    words = random_like(text(device="meta").state_dict())
    words = model({**model.unet_config}).process_clip_state_dict_for_saving(words)
    return (
        {f"model.diffusion_model.{k}": v for k, v in unet.items()}
        | {f"first_stage_model.{k}": v for k, v in random_like(autoencoder).items()}
        | {k: v.contiguous() for k, v in words.items()}
    )


if __name__ == "__main__":
    with torch.inference_mode(False):
        save_file(checkpoint(KIND), FILE)
    print(f"Written: {FILE}, {os.path.getsize(FILE) / 1e9:.1f} GB")
