"""The ComfyUI host: a MODEL that carries its steering into any sampler."""
