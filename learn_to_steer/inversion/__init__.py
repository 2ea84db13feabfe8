"""A picture's latents at every noise level of a schedule."""

from .euler import Slope, invert

__all__ = ["Slope", "invert"]
