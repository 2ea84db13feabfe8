"""EmojiWorld as MODEL, CLIP and VAE of ComfyUI."""
