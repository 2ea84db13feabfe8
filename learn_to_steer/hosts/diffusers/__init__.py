"""The diffusers host: Stable Diffusion 1.x, 2.x, XL and Flux pipelines, with any scheduler that can be steered."""

from ..targets import LeftOut
from .generate import SteeredOutput, generate
from .pipelines import attention_layers, denoiser, model_family, run_of, token_positions
from .probe import PipelineProbe
from .sampler import PipelineSampler, decoded
from .stable.unet import record_unet

__all__ = [
    "LeftOut",
    "PipelineProbe",
    "PipelineSampler",
    "SteeredOutput",
    "attention_layers",
    "decoded",
    "denoiser",
    "generate",
    "model_family",
    "run_of",
    "token_positions",
    "record_unet",
]
