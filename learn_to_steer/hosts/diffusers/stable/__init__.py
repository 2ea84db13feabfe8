"""Stable Diffusion pipelines: a call of one, and the maps of its UNet."""
