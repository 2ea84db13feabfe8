"""A running ComfyUI as a host from outside: graphs in, pictures out, over HTTP. Nothing of ComfyUI is imported."""

from .client import Server
from .sampler import GraphSampler

__all__ = ["GraphSampler", "Server"]
