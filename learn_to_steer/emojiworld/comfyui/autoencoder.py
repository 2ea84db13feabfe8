"""EmojiWorld's autoencoder as a VAE of ComfyUI.

The host's own AutoencoderKL insists on 32 norm groups and on an attention in the middle; EmojiWorld's has one group
and none. So the network is written here, out of the host's operations and under diffusers' parameter names (the
shipped file loads as it is), and put into a VAE that the host has built itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.ops
import comfy.sd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

_ops = comfy.ops.disable_weight_init
_WIDTHS = (8, 16, 48, 96)


def _norm(channels: int) -> nn.Module:
    return _ops.GroupNorm(1, channels, eps=1e-6, affine=True)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return _ops.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), _conv(inputs, outputs)
        self.norm2, self.conv2 = _norm(outputs), _conv(outputs, outputs)
        if inputs != outputs:
            self.conv_shortcut = _conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x)


class _Resample(nn.Module):
    """A convolution that halves the grid (padded on the right and below only), or one after doubling it."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = _conv(channels, channels, stride=2 if down else 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0))


class _Level(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, resample: str = "") -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(inputs if i == 0 else outputs, outputs) for i in range(blocks))
        if resample:
            setattr(self, resample, nn.ModuleList([_Resample(outputs, down=resample == "downsamplers")]))

    def forward(self, x: Tensor) -> Tensor:
        for part in (*self.resnets, *getattr(self, "downsamplers", ()), *getattr(self, "upsamplers", ())):
            x = part(x)
        return x


class _Half(nn.Module):
    """The encoder or the decoder: in, levels and middle in their order, out."""

    def __init__(self, inputs: int, outputs: int, encoder: bool) -> None:
        super().__init__()
        self.encoder = encoder
        widths = _WIDTHS if encoder else _WIDTHS[::-1]
        self.conv_in = _conv(inputs, widths[0])
        sampler = "downsamplers" if encoder else "upsamplers"
        levels = nn.ModuleList(
            _Level(widths[max(i - 1, 0)], width, 1 if encoder else 2, sampler if i < len(widths) - 1 else "")
            for i, width in enumerate(widths)
        )
        setattr(self, "down_blocks" if encoder else "up_blocks", levels)
        self.mid_block = _Level(_WIDTHS[-1], _WIDTHS[-1], 2)
        self.conv_norm_out = _norm(widths[-1])
        self.conv_out = _conv(widths[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        levels: Any = self.down_blocks if self.encoder else self.up_blocks
        for level in (*levels, self.mid_block) if self.encoder else (self.mid_block, *levels):
            x = level(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class EmojiWorldAutoencoder(nn.Module):
    """(B, 3, H, W) pictures in [-1, 1] <-> latents (B, 4, H/8, W/8), not yet scaled to unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _Half(3, 8, encoder=True), _Half(4, 3, encoder=False)
        self.quant_conv, self.post_quant_conv = _conv(8, 8, 1), _conv(4, 4, 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """The mean of the latent distribution, as the host's own autoencoders give it."""
        return self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)[0]

    def decode(self, latent: Tensor, **options: Any) -> Tensor:
        """Pictures of these latents; options of the host's other autoencoders are of no use here."""
        return self.decoder(self.post_quant_conv(latent))


def load_vae(folder: Path) -> comfy.sd.VAE:
    """The VAE of `folder/vae`, in float32. Raises OSError when the file is missing."""
    from comfy.ldm.models.autoencoder import AutoencoderKL  # no part of the host's public face

    tensors = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    network = EmojiWorldAutoencoder()
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    # A host VAE around a stand-in of no size gives every attribute this host version expects of one.
    stand_in = {
        "embed_dim": 4,
        "ddconfig": {
            "double_z": True, "z_channels": 4, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32,
            "ch_mult": [1], "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0,
        },
    }  # fmt: skip
    vae = comfy.sd.VAE(
        sd=AutoencoderKL(**stand_in).state_dict(), config={"params": stand_in}, dtype=torch.float32
    )
    old = vae.patcher
    vae.first_stage_model = network.eval().requires_grad_(False)
    comfy_archive_dtypes(network)
    vae.patcher = comfy.model_patcher.ModelPatcher(
        network, load_device=old.load_device, offload_device=old.offload_device
    )
    if hasattr(vae, "size"):
        vae.size = None  # counted anew when asked for
    return vae


def comfy_archive_dtypes(model: nn.Module) -> None:
    """Let the host note the weights' types, where it does that (newer versions)."""
    import comfy.model_management

    archive = getattr(comfy.model_management, "archive_model_dtypes", None)
    if archive is not None:
        archive(model)
