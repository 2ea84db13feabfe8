"""Sources of samples: pictures of two named objects whose relation is known. One file each."""

from .base import Samples, Source

__all__ = ["Samples", "Source"]
