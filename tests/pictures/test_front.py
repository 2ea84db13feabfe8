"""Which settings are worth their cost, and the picture of it."""

import numpy as np

from learn_to_steer.pictures import front_of, front_plot


def figures(cost, relation):
    return {"cost": cost, "relation": relation, "relation_95": (relation - 0.1, relation + 0.1)}


FIVE = {
    "dear": figures(4.0, 0.7),
    "plain": figures(1.0, 0.2),
    "best": figures(1.5, 0.9),
    "vain": figures(1.2, 0.2),
    "cheap": figures(1.1, 0.6),
}


def test_the_front_is_what_nothing_cheaper_or_equal_beats():
    assert front_of(FIVE) == ["plain", "cheap", "best"]


def test_equals_are_all_on_the_front():
    assert front_of({"a": figures(1.0, 0.5), "b": figures(1.0, 0.5), "c": figures(1.0, 0.4)}) == ["a", "b"]


def test_the_picture_has_a_row_for_each_and_green_ones_for_the_front():
    five, one = front_plot("A title", FIVE), front_plot("A title", {"plain": FIVE["plain"]})
    assert five.height - one.height == 4 * 30
    pixels = np.asarray(five).astype(int)
    green = (pixels[..., 1] > pixels[..., 0] + 60) & (pixels[..., 1] > pixels[..., 2] + 30)
    rows = np.flatnonzero(green[:, 340:].any(1))
    assert len({(row - rows[0]) // 30 for row in rows}) == 3
