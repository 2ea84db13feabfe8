"""Load EmojiWorld: a small model that ships with the pack, to try everything without a download."""

from __future__ import annotations

from comfy_api.latest import io

from ..learn_to_steer.emojiworld import SHIPPED
from ..learn_to_steer.errors import SteeringError
from .compat import aliases
from .types import CATEGORY


class LoadEmojiWorld(io.ComfyNode):
    """Nothing -> MODEL, CLIP, VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_LoadEmojiWorld",
            **aliases("tiny model", "example model", "learn to steer"),
            display_name="Load EmojiWorld",
            category=CATEGORY,
            description="A tiny text-to-image model (128 x 128 pixels, twelve emoji) that draws well and places badly. Good settings: "
            "20 steps, cfg 6, euler, scheduler simple.",
            inputs=[
                io.Combo.Input("architecture", options=list(SHIPPED), default="unet", optional=True, tooltip='"unet": a UNet like Stable Diffusion\'s. "mmdit": a small transformer of the Flux layout, with joint attention. "-crowd": the same, trained on with up to five objects a picture.'),
            ],
            outputs=[
                io.Model.Output("model", display_name="MODEL", tooltip="EmojiWorld's denoiser, for latents of 128 x 128 pixels."),
                io.Clip.Output("clip", display_name="CLIP", tooltip="EmojiWorld's text encoder: 32 tokens, the words of its objects and relations."),
                io.Vae.Output("vae", display_name="VAE", tooltip="EmojiWorld's autoencoder."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, architecture: str = "unet") -> io.NodeOutput:
        try:
            from ..learn_to_steer.emojiworld.comfyui.load import load_emojiworld

            return io.NodeOutput(*load_emojiworld(model=architecture))
        except ImportError as error:
            raise SteeringError(
                f"Expected the parts of ComfyUI that EmojiWorld is built of, but this version lacks one ({error}); update "
                "this pack, and use another model until then."
            ) from error


NODES: list[type[io.ComfyNode]] = [LoadEmojiWorld]
