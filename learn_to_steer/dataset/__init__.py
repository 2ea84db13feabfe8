"""Samples for classifiers: recorded maps of pictures whose relation is known."""

from .record import RecordedMaps, concatenate

__all__ = ["RecordedMaps", "concatenate"]
