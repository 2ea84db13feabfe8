"""Names of model families, by the sizes of their networks."""

from __future__ import annotations

UNET_FAMILIES = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
"""Model family of a UNet by the width of its text states."""


JOINT_FAMILIES = {
    "flux2": "flux2",
    "qwen_image": "qwen-image",
    "lumina2": "lumina2",
    "omnigen2": "omnigen2",
}
"""Model family of a joint-attention transformer by the name that ComfyUI's loader gives its layout."""

FLUX_LAYOUT = (19, 38, 24)
"""Double blocks, single blocks and heads of FLUX.1 schnell and dev: 1368 channels."""
