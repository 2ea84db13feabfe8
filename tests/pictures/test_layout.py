"""A layout drawn: each object in its own colour where it belongs."""

from __future__ import annotations

import numpy as np

from learn_to_steer.guidance import Layout
from learn_to_steer.pictures import layout_picture


def _colour(picture, x, y):
    return np.asarray(picture)[y, x].astype(int)


def test_each_peak_has_its_colour_at_its_place():
    """The first is blue (#2563eb), the second amber (#d97706); below the name on it, so beside the middle."""
    layout = Layout(np.array([[0.2, 0.5], [0.8, 0.5]]), np.full((2, 2), 0.5))
    picture = layout_picture(layout, ["dog", "teddy bear"], 400, 200)
    assert picture.size == (400, 200)
    first, second, corner = _colour(picture, 80, 125), _colour(picture, 320, 125), _colour(picture, 200, 2)
    assert first[2] > first[0] + 60 and second[0] > second[2] + 60
    assert corner.min() > 200


def test_names_stay_inside_and_no_layout_is_an_empty_picture():
    layout = Layout(np.array([[0.01, 0.99]]), np.full((1, 2), 0.1))
    named = np.asarray(layout_picture(layout, ["a very long name of a thing"], 120, 90)).astype(int)
    assert named[60:, :].min() < 80 and named[:40].min() > 200  # letters below, none above
    empty = np.asarray(layout_picture(None, [], 60, 40))
    assert (empty == empty[0, 0]).all()
