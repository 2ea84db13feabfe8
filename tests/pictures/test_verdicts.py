"""The picture of a verdict: boxes where they were found, a mark below, all of one size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from learn_to_steer.pictures import verdict_pictures

GREY = (156, 163, 175)


def test_boxes_and_marks():
    pictures = [Image.new("RGB", (64, 128), GREY)] * 2
    found = [[("dog", (8.0, 32.0, 40.0, 96.0))], []]
    long = "not obeyed: dog to the right of teddy bear (teddy bear not found), " * 3
    shown = verdict_pictures(pictures, found, [(True, "obeyed"), (False, long)])
    assert shown[0].size == shown[1].size and shown[0].width == 512 and shown[0].height > 512 + 48
    first, second = (np.asarray(s, int) for s in shown)
    # 64 x 128 is shown as 256 x 512, in the middle: the box's left side is at 128 + 8 * 4, its lower one at 96 * 4
    green = first[300, 160] - GREY
    assert green[1] > green[0] and (first[300, 220] == GREY).all() and (first[300, 60] == 255).all()
    assert np.abs(first[384, 200] - GREY).sum() > 60 and (second[300, 160] == GREY).all()
    marks = [s[520:560, 10:36].reshape(-1, 3).min(0) for s in (first, second)]
    assert marks[0][0] < marks[0][1] and marks[1][0] > marks[1][1]  # a green tick, a red cross


def test_a_large_picture_is_not_shrunk():
    (shown,) = verdict_pictures([Image.new("RGB", (1024, 768), GREY)], [[]], [(True, "obeyed")])
    assert shown.width == 1024 and shown.height > 768
