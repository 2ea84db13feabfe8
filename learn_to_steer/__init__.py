"""Learn-to-Steer: steer text-to-image diffusion so that spatial relations in the prompt are obeyed."""

__version__ = "0.1.0"
