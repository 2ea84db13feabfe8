"""Scenes, captions, sprites and the tokenizer."""

import numpy as np
import pytest

from learn_to_steer.emojiworld.models import TEXT_LENGTH, write_tokenizer
from learn_to_steer.emojiworld.prompts import object_pairs
from learn_to_steer.emojiworld.render import aspects, render, sprites
from learn_to_steer.emojiworld.world import (
    DIRECTIONS,
    IMAGE_SIZE,
    OBJECTS,
    PHRASES,
    Scene,
    article,
    holds,
    sample_caption,
    sample_scene,
)
from learn_to_steer.language import Relation, parse_relations


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_sprites_do_not_overlap_and_lie_inside(rng):
    for _ in range(200):
        boxes = [p.box for p in sample_scene(rng, aspect=aspects()).objects]
        for i, a in enumerate(boxes):
            assert a.width / 2 < a.x < IMAGE_SIZE - a.width / 2
            assert a.height / 2 < a.y < IMAGE_SIZE - a.height / 2
            for b in boxes[i + 1 :]:
                apart_x = abs(a.x - b.x) - (a.width + b.width) / 2
                apart_y = abs(a.y - b.y) - (a.height + b.height) / 2
                assert max(apart_x, apart_y) > 0


def test_a_rendered_object_changes_the_picture_exactly_in_its_box(rng):
    scene = sample_scene(rng, names=("penguin",), aspect=aspects())
    changed = (render(scene) != render(Scene((), scene.top, scene.bottom))).any(axis=2)
    rows, columns = np.nonzero(changed)
    box = scene.objects[0].box
    assert columns.min() == pytest.approx(box.x - box.width / 2, abs=3)
    assert rows.max() == pytest.approx(box.y + box.height / 2, abs=3)


def test_captions_with_true_words_are_true_and_random_ones_are_often_not(rng):
    def truth(**shares):
        verdicts = []
        for _ in range(300):
            scene = sample_scene(rng, count=2, aspect=aspects())
            boxes = {p.name: p.box for p in scene.objects}
            for t in parse_relations(sample_caption(rng, scene, **shares)):
                verdicts.append(holds(boxes[t.subject], Relation(t.relation), boxes[t.object]))
        assert len(verdicts) > 150
        return np.mean(verdicts)

    assert truth(true_share=1.0, random_share=0.0) == 1.0
    assert 0.2 < truth(true_share=0.0, random_share=1.0) < 0.45


def test_every_object_has_a_sprite_of_its_own():
    assert sorted(sprites()) == sorted(OBJECTS)
    assert len({s.tobytes() for s in sprites().values()}) == len(OBJECTS)


def test_tokenizer_knows_the_words_of_the_world_and_spells_out_others(tmp_path):
    tokenizer = write_tokenizer(tmp_path)
    text = f"A photo of {article('teddy bear')} {PHRASES[DIRECTIONS[0]][0]} an elephant"
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    assert pieces[1:-1] == [f"{word}</w>" for word in text.lower().split()]
    assert len(tokenizer("zebra", add_special_tokens=False).input_ids) > 1
    assert tokenizer("a " * 90, truncation=True, padding="max_length").input_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.model_max_length == TEXT_LENGTH


def test_no_pair_of_objects_is_in_two_parts_and_every_object_is_equally_often_in_each():
    parts = [{frozenset(p) for p in object_pairs(name)} for name in ("train", "validation", "test")]
    assert [len(p) for p in parts] == [36, 6, 24]
    assert len(set.union(*parts)) == 66
    for part, often in zip(parts, (6, 1, 4), strict=True):
        assert {sum(name in pair for pair in part) for name in OBJECTS} == {often}
