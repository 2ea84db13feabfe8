"""Judges: what finds the objects of a picture."""

from .base import Detector

__all__ = ["Detector"]
