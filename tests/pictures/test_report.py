"""The report at every shape: its parts are whole, beside one another, and large enough to read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.pictures import Panel, report_figure
from learn_to_steer.pictures.report import fitted
from learn_to_steer.steering import Record

SHAPES = [(1, 4), (4, 1), (21, 9), (16, 9), (1, 1), (2, 3), (1, 12), (30, 1)]
FIRST = (0x25, 0x63, 0xEB)  # the colour of the first relation
PURE = (0, 200, 0)  # the colour of the picture, found nowhere else


def _records(relations, evaluations=9):
    """Probabilities from 0.1 in even steps to 0.9, so that the first curve spans 0.8 of 1.08 of its plot; those of further
    relations are half as large, so that no curve hides another."""
    return [
        Record(0, k // 3, k % 3, r, f"thing {r} to the right of thing {r + 1}", -math.log(p), p, 0.1)
        for k in range(evaluations)
        for r in reversed(range(relations))
        for p in [(0.1 + 0.1 * k) / (1 + bool(r))]
    ]  # fmt: skip


def _picture(shape, side=96):
    scale = side / max(shape)
    return Image.new("RGB", (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))), PURE)


def _extent(sheet, colour, tolerance=40):
    """Left, top, right and bottom of the pixels near this colour."""
    near = np.abs(np.asarray(sheet, int) - colour).max(-1) <= tolerance
    rows, columns = np.nonzero(near.any(1))[0], np.nonzero(near.any(0))[0]
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}")
@pytest.mark.parametrize("relations", [1, 3, 6])
def test_every_shape_with_every_number_of_relations(shape, relations):
    sheet = report_figure(
        "Picture 1", ["said"] * relations, [Panel("steered", _picture(shape))], _records(relations)
    )
    left, top, right, bottom = _extent(sheet, PURE, 0)
    assert left >= 40 and bottom <= sheet.height - 40
    if max(shape) <= 4 * min(shape):
        assert (right - left) / (bottom - top) == pytest.approx(shape[0] / shape[1], rel=0.03)
    # The curves of the last relation drawn (the first) are to the right of the picture and inside the sheet.
    a, b, c, d = _extent(sheet, FIRST)
    assert a > right and c <= sheet.width - 40 and d <= sheet.height - 40
    # Legend, two plots of at least 120 pixels, 0.8 / 1.08 of the upper one spanned, and what stands between them.
    assert d - b >= 120 + 56 + 120 * 0.8 / 1.08


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s[0]}-{s[1]}")
def test_a_picture_is_as_large_as_a_square_one(shape):
    """The area of 384 x 384, unless a side of 576 pixels says otherwise; never of no size."""
    width, height = fitted(_picture(shape, side=1024)).size
    assert max(width, height) <= 576 and min(width, height) >= 1
    if max(shape) < 2.25 * min(shape):
        assert width * height == pytest.approx(384 * 384, rel=0.02)
    else:
        assert max(width, height) == 576


def test_several_runs_each_have_their_plots():
    one = report_figure("p", [], [Panel("a", _picture((1, 1)))], runs=[("first", _records(1))])
    two = report_figure(
        "p", [], [Panel("a", _picture((1, 1)))], runs=[("first", _records(1)), ("second", _records(1))]
    )
    three = report_figure("p", [], [Panel("a", _picture((1, 1)))], runs=[("run", _records(1))] * 3)
    assert two.width > one.width + 400 and three.width == two.width and three.height > two.height + 300
    plain = report_figure("p", [], [Panel("a", _picture((1, 1)))], runs=[("nothing", [])])
    assert plain.width < one.width


def test_a_long_sentence_is_not_cut_beside_a_narrow_picture():
    """Three lines of the sheet's least width hold 200 characters of 15 pixels."""
    words = "the classifier does not know this relation and so nothing was done about it " * 2
    with_it = report_figure("p", [words], [Panel("plain", _picture((1, 4)))])
    without = report_figure("p", [], [Panel("plain", _picture((1, 4)))])
    assert with_it.height >= without.height + 2 * 23


def test_heat_maps_keep_the_shape_of_the_picture():
    heat = np.linspace(0, 1, 64).reshape(8, 8)
    for shape in SHAPES:
        panel = Panel("a", _picture(shape), [("dog left of cat", True)], [("dog", heat), ("cat", heat)])
        sheet = report_figure("p", ["x"], [panel, panel], _records(2), 0.98, 0.1, "where the model looks")
        assert sheet.width > 600 and sheet.height > 400
