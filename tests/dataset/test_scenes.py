"""Scenes of cut-outs, and cut-outs out of a folder."""

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.dataset.sources import DIRECTIONS, LeftOut, Sample, read_cutouts, scene_parts, scenes
from learn_to_steer.dataset.sources.scenes import placed
from learn_to_steer.errors import SteeringError


def test_scenes_show_what_they_say(shapes):
    """Red stands for the dog and blue for the cat: their middles must lie as the label says."""
    source = scene_parts(
        shapes, 0, pairs={("cat", "dog"): "train", ("cat", "pig"): "validation", ("car", "dog"): "test"}
    ).sources["train"]
    made = source.samples(range(16), 5, (96, 128))
    for sample in made:
        assert isinstance(sample, Sample) and sample.picture.shape == (96, 128, 3)
        pixels = sample.picture.astype(int)
        spots = {
            "dog": (pixels[..., 0] > 200) & (pixels[..., 2] < 60),
            "cat": (pixels[..., 2] > 200) & (pixels[..., 0] < 60),
        }
        (ay, ax), (by, bx) = (np.argwhere(spots[name]).mean(0) for name in sample.names)
        seen = (
            ("to the left of" if ax < bx else "to the right of")
            if abs(ax - bx) > abs(ay - by)
            else ("above" if ay < by else "below")
        )
        assert seen == DIRECTIONS[sample.holds].value
    assert [s.holds for s in made] == [0, 1, 2, 3] * 4
    assert {s.names for s in made} == {("cat", "dog"), ("dog", "cat")}


def test_a_scene_depends_on_seed_and_number_alone(shapes):
    source = scene_parts(shapes, 0).sources["train"]
    some = source.samples([3, 9], 5, (64, 64))
    again = source.samples([9], 5, (64, 64))[0]
    other = source.samples([9], 6, (64, 64))[0]
    assert np.array_equal(some[1].picture, again.picture) and some[1].names == again.names
    assert not np.array_equal(again.picture, other.picture)


def test_parts_share_no_pair(shapes):
    parts = scene_parts(shapes, 1).sources
    pairs = [set(parts[p].pairs) for p in ("train", "validation", "test")]
    assert all(pairs) and len(set.union(*pairs)) == sum(map(len, pairs)) == 6


def test_a_scene_that_finds_no_room_is_left_out(shapes, monkeypatch):
    monkeypatch.setattr(scenes, "TRIES", 0)
    (made,) = scene_parts(shapes, 0).sources["train"].samples([4], 0, (64, 64))
    assert made == LeftOut("a scene that has no room for its two objects", "scene 4")


def test_objects_stand_apart_and_inside():
    rng = np.random.default_rng(0)
    for holds in range(4):
        (ax, ay, aw, ah), (bx, by, bw, bh) = placed([(10, 30), (20, 10)], holds, (100, 200), rng)
        for x, y, w, h in ((ax, ay, aw, ah), (bx, by, bw, bh)):
            assert x >= 0 and y >= 0 and x + w <= 200 and y + h <= 100 and 30 <= max(w, h) <= 44
        assert [ax + aw < bx, bx + bw < ax, ay + ah < by, by + bh < ay][holds]


def test_backgrounds_are_used(shapes, tmp_path):
    Image.new("RGB", (50, 40), "yellow").save(tmp_path / "y.png")
    source = scene_parts(shapes, 0, [tmp_path / "y.png"]).sources["train"]
    corners = [tuple(s.picture[0, 0]) for s in source.samples(range(12), 1, (64, 64))]
    assert 2 <= sum(c == (255, 255, 0) for c in corners) <= 10


def test_cutouts_of_a_folder_and_what_is_wrong_with_some(tmp_path, shapes):
    shape = shapes["dog"][0]
    (tmp_path / "teddy bear").mkdir()
    shape.save(tmp_path / "dog-1.png")
    shape.save(tmp_path / "dog 2.png")
    shape.save(tmp_path / "teddy bear" / "7.png")
    shape.save(tmp_path / "___.png")
    shape.convert("RGB").save(tmp_path / "cat.png")
    Image.new("RGBA", (40, 40)).save(tmp_path / "ghost.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    Image.new("RGBA", (1, 1), "red").save(tmp_path / "dot.png")
    found, damage = read_cutouts(tmp_path)
    assert {name: len(pictures) for name, pictures in found.items()} == {"dog": 2, "teddy bear": 1}
    assert damage.counts == {
        "a cut-out without a usable name": 1,
        "a cut-out without a transparent pixel": 1,
        "a cut-out of which nothing is to be seen": 1,
        "a picture that cannot be read": 1,
        "a picture with a side under 32 pixels": 1,
    }
    assert damage.first["a cut-out without a transparent pixel"] == "cat.png"


def test_no_cutouts_are_refused(tmp_path, shapes):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SteeringError, match="cut-outs"):
            read_cutouts(folder)
    with pytest.raises(SteeringError, match="three names"):
        scene_parts({"dog": shapes["dog"], "cat": shapes["cat"]}, 0)
