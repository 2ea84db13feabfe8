"""Boxes, names, splits and pictures: the rules that all sources share, by hand."""

# ruff: noqa: E501 - records of data sets, a line each

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.dataset.sources.geometry import box_of, clear_pair, overlap, relation_of
from learn_to_steer.dataset.sources.names import alike, name_of
from learn_to_steer.dataset.sources.pictures import Unusable, fitted, opened
from learn_to_steer.dataset.splits import split_pairs

HUGE = 10**400


@pytest.mark.parametrize(
    "values",
    [None, "1234", [1, 2, 3], [1, 2, 3, float("nan")], [0, 0, float("inf"), 1], [0, 0, 0, 5], [0, 0, 5, -1], [0, 0, True, 5], ["0", 0, 1, 1], {"x": 1}, [0, 0, HUGE, 1]],
)  # fmt: skip
def test_what_is_no_box(values):
    assert box_of(values) is None


def test_what_is_a_box():
    assert box_of([0, -2, 3.5, 4]) == (0.0, -2.0, 3.5, 4.0)


@pytest.mark.parametrize(
    ("a", "holds"),
    [
        ((0, 50, 20, 20), 0), ((90, 50, 20, 20), 1), ((50, 0, 20, 20), 2), ((50, 90, 20, 20), 3),
        ((20, 20, 20, 20), None),  # on the diagonal: 30 and 30
        ((20, 31, 20, 20), 0),  # 30 to the left and 19 up: more than one and a half times
        ((20, 29, 20, 20), None),  # 30 and 21
        ((41, 50, 20, 20), None),  # 9 of 10 that a quarter of both widths asks for
        ((40, 50, 20, 20), 0),
    ],
)  # fmt: skip
def test_the_relation_of_two_boxes(a, holds):
    assert relation_of(a, (50, 50, 20, 20)) == holds


def test_compass_rules_one_by_one():
    """In a picture of 200 x 200 two boxes of 80 x 60 fill 9600 of 40000, and their diagonal is 100."""
    a, far = (0.0, 0.0, 80.0, 60.0), (119.0, 139.0, 80.0, 60.0)
    assert clear_pair(a, (100.0, 0.0, 80.0, 60.0), 200, 200) is None
    assert "far apart" not in str(clear_pair(a, far, 200, 200))  # 183 is less than twice 100
    assert "far apart" in clear_pair(a, (0.0, 201.0, 80.0, 60.0), 200, 240)
    assert "fifth" in clear_pair(a, (100.0, 0.0, 80.0, 60.0), 200, 241)  # 9600 of 48200
    assert clear_pair(a, (57.0, 0.0, 80.0, 60.0), 200, 200) is None  # 23 of 80 is less than 0.3
    assert "overlaps" in clear_pair(a, (56.0, 0.0, 80.0, 60.0), 200, 200)  # 24 of 80 is 0.3
    assert "unlike" in clear_pair((0.0, 0.0, 80.0, 100.0), (100.0, 0.0, 50.0, 79.0), 200, 200)  # 3950 of 8000
    assert clear_pair((0.0, 0.0, 80.0, 100.0), (100.0, 0.0, 50.0, 80.0), 200, 200) is None
    assert "32 pixels" in clear_pair(a, (100.0, 0.0, 31.0, 150.0), 200, 200)
    assert overlap(a, (70.0, 50.0, 30.0, 30.0)) == 100.0


@pytest.mark.parametrize(
    ("text", "name"),
    [("Teddy_Bear ", "teddy bear"), ("t-shirt", "t-shirt"), ("cat's eye", "cat's eye"), ("Café", "café")],
)
def test_names_as_prompts_can_hold_them(text, name):
    assert name_of(text) == name


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "   ", "7up", "a (big) dog", "dog:2", "\ufffdog", "<s>", "left", "top shelf", "x" * 41],
)
def test_names_that_are_of_no_use(text):
    assert name_of(text) is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("dog", "dogs"),
        ("bear", "teddy bear"),
        ("woman", "person"),
        ("boy", "child"),
        ("young woman", "person"),
        ("box", "boxes"),
        ("car", "taxi"),
        ("cherry", "cherries"),
    ],
)
def test_names_that_a_picture_cannot_tell_apart(a, b):
    assert alike(a, b) and alike(b, a)


@pytest.mark.parametrize(
    ("a", "b"), [("dog", "cat"), ("bus", "bush"), ("glass", "grass"), ("bear", "teddy dog"), ("man", "woman")]
)
def test_names_that_differ(a, b):
    assert not alike(a, b) and not alike(b, a)


def test_every_part_has_pairs_of_its_own():
    counts = {(f"a{i}", f"b{j}"): 1 + i for i in range(10) for j in range(10)}
    parts = split_pairs(counts, 3)
    assert parts.keys() == counts.keys()
    of = {
        part: sum(n for pair, n in counts.items() if parts[pair] == part)
        for part in ("train", "validation", "test")
    }
    assert of == pytest.approx({"train": 385, "validation": 82.5, "test": 82.5}, abs=10)
    assert parts == split_pairs(counts, 3) != split_pairs(counts, 4)
    for few in (3, 4):
        assert set(split_pairs(dict.fromkeys([("a", str(i)) for i in range(few)], 100), 0).values()) == {
            "train",
            "validation",
            "test",
        }


def test_pictures_of_every_kind_become_rgb(tmp_path):
    """A grey value in the middle, or red where there are colours, however it is stored."""
    size = (40, 36)
    kinds = {
        "rgb.png": Image.new("RGB", size, (200, 40, 40)),
        "grey.png": Image.new("L", size, 100),
        "palette.png": Image.new("RGB", size, (200, 40, 40)).quantize(4),
        "bits.png": Image.new("1", size, 1),
        "cmyk.jpg": Image.new("RGB", size, (200, 40, 40)).convert("CMYK"),
        "sixteen.png": Image.fromarray(np.full(size[::-1], 100 * 257, np.uint16)),
        "float.tif": Image.fromarray(np.full(size[::-1], 0.5, np.float32)),
        "clear.png": Image.new("RGBA", size, (200, 40, 40, 0)),
        "half.webp": Image.new("RGBA", size, (200, 40, 40, 255)),
    }
    found = {}
    for name, picture in kinds.items():
        picture.save(tmp_path / name)
        found[name] = opened(tmp_path / name, turned=True)
        assert found[name].mode == "RGB" and found[name].size == size
    middle = {name: found[name].getpixel((20, 18)) for name in kinds}
    assert middle["grey.png"] == middle["sixteen.png"] == (100, 100, 100)
    assert middle["bits.png"] == middle["clear.png"] == (255, 255, 255)
    assert middle["float.tif"] == (128, 128, 128)
    for name in ("rgb.png", "palette.png", "cmyk.jpg", "half.webp"):
        assert np.abs(np.array(middle[name]) - (200, 40, 40)).max() < 12, name


def test_what_is_no_picture(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    whole = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 90).save(whole)
    whole.write_bytes(whole.read_bytes()[:300])
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    for name, says in (
        ("text.jpg", "cannot be read"),
        ("cut.png", "cannot be read"),
        ("dot.png", "32 pixels"),
        ("gone.png", "missing"),
    ):
        with pytest.raises(Unusable, match=says):
            opened(tmp_path / name, turned=False)


def test_a_picture_is_cut_round_its_boxes_or_squeezed():
    """Left third red, middle green, right blue; 90 x 30 to 30 x 30."""
    stripes = np.zeros((30, 90, 3), np.uint8)
    for i in range(3):
        stripes[:, 30 * i : 30 * i + 30, i] = 255
    picture = Image.fromarray(stripes)
    middle = fitted(picture, (30, 30), [])
    assert [middle[15, x].argmax() for x in (2, 15, 27)] == [0, 1, 2]  # squeezed
    right = fitted(picture, (30, 30), [(62.0, 2.0, 10.0, 10.0), (75.0, 2.0, 10.0, 10.0)])
    # The window that is nearest to the middle and holds both begins at 55: five columns of green are left.
    assert (right[:, :5].argmax(2) == 1).all() and (right[:, 5:].argmax(2) == 2).all()
    wide = fitted(picture, (30, 30), [(0.0, 0.0, 10.0, 10.0), (75.0, 2.0, 10.0, 10.0)])
    assert [wide[15, x].argmax() for x in (2, 15, 27)] == [0, 1, 2]
    with pytest.raises(Unusable, match="not inside"):
        fitted(picture, (30, 30), [(85.0, 0.0, 10.0, 10.0)])
