"""A picture's latents at every noise level of a schedule, and how well they lead back to it."""

from .euler import Slope, invert, sampled
from .rf import lowered, raised
from .ways import LEAST_PSNR, WAYS, Path, Way, levels, noised, passes, psnr, returned, signal

__all__ = [
    "LEAST_PSNR",
    "Path",
    "Slope",
    "WAYS",
    "Way",
    "invert",
    "levels",
    "lowered",
    "noised",
    "passes",
    "psnr",
    "raised",
    "returned",
    "sampled",
    "signal",
]
