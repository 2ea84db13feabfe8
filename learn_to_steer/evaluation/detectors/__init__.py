"""Judges: what finds the objects of a picture, or answers questions about it."""

from .base import Detector

__all__ = ["Detector"]
