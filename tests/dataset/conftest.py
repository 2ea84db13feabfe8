"""A tiny model and a few cut-outs."""

import pytest

from .made import TinyRecorder, cutouts


@pytest.fixture
def tiny():
    return TinyRecorder()


@pytest.fixture
def shapes():
    return cutouts()
