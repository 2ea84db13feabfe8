"""The model's own pictures: what holds is what is seen. The model here paints squares, the detector knows colours."""

import zlib
from dataclasses import dataclass

import numpy as np
import pytest

from learn_to_steer.dataset.sources import LeftOut, Sample, locate_with, mixed_parts, own_parts, scene_parts
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.protocol import Drawn
from learn_to_steer.language import parse_relations
from learn_to_steer.steering import SteeringTrace

COLOURS = {"dog": (250, 0, 0), "cat": (0, 0, 250), "car": (0, 250, 0)}


class Painter:
    """Puts each object of a prompt somewhere on a grid of 3 x 3, by the seed, and sometimes forgets one."""

    def __init__(self):
        self.asked = []

    def digest(self):
        return "painter"

    def sample(self, prompts, seeds, *, objective=None, plan=None, steps, guidance):
        self.asked += list(zip(prompts, seeds, strict=True))
        pictures = np.full((len(prompts), 60, 60, 3), 200, np.uint8)
        for picture, prompt, seed in zip(pictures, prompts, seeds, strict=True):
            (triplet,) = parse_relations(prompt)
            cells = np.random.default_rng((seed, zlib.crc32(prompt.encode()))).permutation(9)
            for name, cell in ((triplet.subject, cells[0]), (triplet.object, cells[1])):
                if name == "car" and seed % 3 == 0:
                    continue
                y, x = divmod(int(cell), 3)
                picture[20 * y + 2 : 20 * y + 18, 20 * x + 2 : 20 * x + 18] = COLOURS[name]
        return Drawn(pictures, SteeringTrace([[] for _ in prompts]), steps)


@dataclass(frozen=True)
class Seen:
    name: str
    box: tuple[float, float, float, float]
    score: float = 0.9


class Colours:
    def detect(self, pictures, names):
        found = []
        for picture in pictures:
            found.append([])
            for name, colour in COLOURS.items():
                rows, columns = np.nonzero((picture == colour).all(2))
                if len(rows):
                    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                    found[-1].append(Seen(name, tuple(float(v) for v in box)))
        return found


def parts(painter=None):
    return own_parts(painter or Painter(), Colours(), list(COLOURS), 0, steps=4, guidance=None)


def middle(picture, name):
    return np.argwhere((picture == COLOURS[name]).all(2)).mean(0)


def test_what_holds_is_what_is_seen():
    source = parts().sources["train"]
    made = source.samples(range(40), 7, (60, 60))
    kinds = {out.kind for out in made if isinstance(out, LeftOut)}
    assert (
        kinds <= {"a picture without an object that was asked for", "a pair in no clear direction"} and kinds
    )
    samples = [sample for sample in made if isinstance(sample, Sample)]
    assert len({sample.holds for sample in samples}) == 4
    for sample in samples:
        (ay, ax), (by, bx) = (middle(sample.picture, name) for name in sample.names)
        assert [ax < bx, ax > bx, ay < by, ay > by][sample.holds]
        longer, shorter = sorted((abs(ax - bx), abs(ay - by)))[::-1]
        assert longer >= 1.5 * shorter


def test_pictures_depend_on_number_and_seed_and_are_drawn_together():
    painter = Painter()
    source = parts(painter).sources["validation"]
    source.samples([0, 1, 2, 3], 7, (60, 60))
    assert len(painter.asked) == 4
    again, other = Painter(), Painter()
    parts(again).sources["validation"].samples([3], 7, (60, 60))
    parts(other).sources["validation"].samples([3], 8, (60, 60))
    assert again.asked == painter.asked[3:] != other.asked
    words = [prompt.split()[2] for prompt, _ in painter.asked]
    assert words[2] in ("above", "over", "on") and words[3] in ("below", "under", "beneath")


def test_a_detector_confirms_a_relation():
    picture = np.full((60, 60, 3), 200, np.uint8)
    picture[20:40, 0:20], picture[20:40, 40:60] = COLOURS["dog"], COLOURS["cat"]
    locate = locate_with(Colours())
    assert locate(picture, ("dog", "cat")) == 0 and locate(picture, ("cat", "dog")) == 1
    assert locate(picture, ("dog", "car")) is None


def test_scenes_and_own_pictures_take_turns(shapes):
    pairs = {("cat", "dog"): "train", ("car", "dog"): "validation", ("car", "cat"): "test"}
    scenes = scene_parts({name: shapes[name] for name in COLOURS}, 0, pairs=pairs)
    own = own_parts(Painter(), Colours(), list(COLOURS), 0, 4, None, pairs)
    mixed = mixed_parts([scenes, own]).sources["train"]
    assert mixed.count is None and mixed.about["source"] == "scenes+own pictures"
    made = mixed.samples([0, 1, 4, 5], 3, (60, 60))
    alone = (
        scenes.sources["train"].samples([0, 2], 3, (60, 60)),
        own.sources["train"].samples([0, 2], 3, (60, 60)),
    )
    for got, wanted in zip(made, (alone[0][0], alone[1][0], alone[0][1], alone[1][1]), strict=True):
        assert got == wanted if isinstance(wanted, LeftOut) else np.array_equal(got.picture, wanted.picture)


def test_too_few_names_are_refused():
    with pytest.raises(SteeringError, match="three names"):
        own_parts(Painter(), Colours(), ["dog", "dogs", "cat"], 0, 4, None)
