"""The readers of published data sets, on small files in the genuine formats, whole and with every kind of damage."""

# ruff: noqa: E501 - records of data sets, a line each

import json

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.dataset.sources import Damage, LeftOut, Sample, parts_of, read_lists
from learn_to_steer.dataset.sources.coco import coco_entries
from learn_to_steer.dataset.sources.folder import folder_entries
from learn_to_steer.dataset.sources.gqa import gqa_entries
from learn_to_steer.dataset.sources.image_cot import image_cot_entries
from learn_to_steer.dataset.sources.listed import Entry
from learn_to_steer.errors import SteeringError

NAN = float("nan")


def picture(path, size=(200, 200)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path)


def coco(images, annotations, categories=((1, "dog"), (2, "car"), (3, "teddy bear"))):
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 1}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name, "supercategory": "x"} for i, name in categories],
    }


def image(number, **more):
    return {
        "id": number,
        "file_name": f"{number:012d}.jpg",
        "width": 200,
        "height": 200,
        "license": 1,
        **more,
    }


def annotation(number, of, category, bbox, **more):
    return {
        "id": number,
        "image_id": of,
        "category_id": category,
        "bbox": bbox,
        "area": 1.0,
        "iscrowd": 0,
        "segmentation": [[1, 2, 3]],
        **more,
    }


LEFT, RIGHT, TOP = [0, 60, 80, 60], [100, 60, 80, 60], [20, 0, 80, 60]


def test_coco_as_it_is_published(tmp_path):
    data = coco(
        [image(1), image(2)],
        [annotation(1, 1, 1, LEFT), annotation(2, 1, 2, RIGHT), annotation(3, 2, 3, [40, 0, 80, 60]), annotation(4, 2, 1, [40, 100, 80, 60])],
    )  # fmt: skip
    file = tmp_path / "annotations" / "instances_val2017.json"
    file.parent.mkdir()
    file.write_text(json.dumps(data))
    picture(tmp_path / "val2017" / "000000000001.jpg")
    damage = Damage()
    entries = coco_entries(tmp_path, None, damage)
    assert damage.total == 0
    facts = {frozenset(zip(e.names, e.boxes, strict=True)) for e in entries}
    assert facts == {
        frozenset({("dog", tuple(map(float, LEFT))), ("car", tuple(map(float, RIGHT)))}),
        frozenset({("teddy bear", (40.0, 0.0, 80.0, 60.0)), ("dog", (40.0, 100.0, 80.0, 60.0))}),
    }
    for e in entries:  # "dog", "teddy bear": the first of the pair is on the left, or above
        left = {("dog", "car"): 0, ("car", "dog"): 1, ("teddy bear", "dog"): 2, ("dog", "teddy bear"): 3}
        assert e.holds == left[e.names]
        assert e.file.parent == tmp_path / "val2017"


def test_coco_with_every_kind_of_damage(tmp_path):
    good = [annotation(1, 1, 1, LEFT), annotation(2, 1, 2, RIGHT)]
    bad = [
        "text", None, {}, annotation(1, 1, 1, LEFT), annotation(3, 99, 1, LEFT), annotation(4, 1, 77, LEFT),
        annotation(5, 1, 1, [0, 0, NAN, 50]), annotation(6, 1, 1, [0, 0, 0, 50]), annotation(7, 1, 1, "0 0 50 50"),
        annotation(8, 1, 1, [180, 0, 80, 60]), annotation(9, 1, 1, LEFT, iscrowd=1), annotation(10, 1, 1, [0, 0, 20, 60]),
        annotation(11, [1], 1, LEFT), annotation(12, 1, None, LEFT),
    ]  # fmt: skip
    images = [
        image(1),
        image(1),
        image(2, width=0),
        image(3, height="200"),
        {"id": 4},
        image(5, file_name=None),
        7,
        image(6, file_name="../../etc/x.jpg"),
    ]
    data = coco(
        images,
        good + bad + [annotation(20, 6, 1, LEFT)],
        ((1, "dog"), (2, "car"), (1, "cow"), (4, "left"), (5, 9)),
    )
    file = tmp_path / "instances_x.json"
    file.write_text(json.dumps(data))
    damage = Damage()
    entries = coco_entries(file, tmp_path, damage)
    assert [set(e.names) for e in entries] == [{"dog", "car"}]
    assert damage.counts == {
        "a record of images that is no object": 1,
        "a picture whose id came before": 1,
        "a picture without id, file name, width or height": 4,
        "a record of annotations that is no object": 2,
        "an annotation without image_id or category_id": 3,
        "an annotation whose id came before": 1,
        "an annotation of a picture that is not listed": 1,
        "an annotation of an unknown or unusable category": 1,
        "an annotation whose bbox is not four finite numbers with an area": 3,
        "a box that is not inside of its picture": 1,
        "an annotation of a crowd": 1,
        "a box with a side under 32 pixels": 1,
        "a category whose id came before": 1,
        "a category without id or usable name": 2,
        "a picture without a usable file name": 1,
    }
    assert len(damage.lines()) == len(damage.counts) and damage.lines()[0].startswith(
        "4 left out: a picture without id"
    )
    assert damage.first["an annotation of a picture that is not listed"] == "image 99 of instances_x.json"


def test_coco_cut_off_at_any_byte_gives_what_came_before(tmp_path):
    whole = json.dumps(coco([image(1)], [annotation(1, 1, 1, LEFT), annotation(2, 1, 2, RIGHT)])).encode()
    file = tmp_path / "instances_cut.json"
    found = set()
    for cut in range(1, len(whole), 3):
        file.write_bytes(whole[:cut])
        damage = Damage()
        entries = coco_entries(file, tmp_path, damage)
        assert damage.total >= 1 and any("ends in the middle" in kind for kind in damage.counts)
        found.add(len(entries))
    assert found == {0, 1}
    file.write_bytes(b"\xff\xfe{nonsense" + whole)
    with pytest.raises(SteeringError, match="JSON object or list"):
        coco_entries(file, tmp_path, Damage())
    file.write_bytes(b"")
    with pytest.raises(SteeringError, match="JSON object or list"):
        coco_entries(file, tmp_path, Damage())
    file.write_bytes(b'{"images": [1, 2' + b"[" * 100_000)
    coco_entries(file, tmp_path, Damage())
    with pytest.raises(SteeringError, match="instances"):
        coco_entries(tmp_path / "nowhere", None, Damage())


def test_a_long_file_is_read_in_pieces(tmp_path, monkeypatch):
    """With reads of 50 characters every element lies across several of them."""
    from learn_to_steer.dataset.sources import json_stream

    monkeypatch.setattr(json_stream, "_FIRST_READ", 50)
    data = {"a": [1, 22.5, "x" * 300, {"b": [1, "}"]}], "c": 123456, "e": {}}
    file = tmp_path / "x.json"
    file.write_text(json.dumps(data, indent=3) + "\n")
    damage = Damage()
    assert list(json_stream.elements(file, {"a"}, damage)) == [("a", v) for v in data["a"]] + [
        ("c", 123456),
        ("e", {}),
    ]
    file.write_text(json.dumps([12345] * 40))
    assert list(json_stream.elements(file, (), damage)) == [("", 12345)] * 40
    assert damage.total == 0


def graph(objects, width=200, height=200):
    return {"width": width, "height": height, "location": "yard", "objects": objects}


def thing(name, x, y, w=60, h=60, relations=()):
    return {
        "name": name,
        "x": x,
        "y": y,
        "w": w,
        "h": h,
        "attributes": [],
        "relations": [{"name": n, "object": o} for n, o in relations],
    }


def test_gqa_as_it_is_published(tmp_path):
    data = {
        "1": graph({"10": thing("dog", 0, 70, relations=[("to the left of", "11"), ("near", "11")]), "11": thing("car", 130, 70, relations=[("to the right of", "10")])}),
        "2": graph({"20": thing("lamp", 70, 0), "21": thing("desk", 70, 130)}),
    }  # fmt: skip
    file = tmp_path / "train_sceneGraphs.json"
    file.write_text(json.dumps(data))
    picture(tmp_path / "images" / "1.jpg")
    damage = Damage()
    one, two = gqa_entries(tmp_path, None, damage)
    assert damage.total == 0
    assert (one.names, one.holds) in ((("dog", "car"), 0), (("car", "dog"), 1))
    assert (two.names, two.holds) in ((("lamp", "desk"), 2), (("desk", "lamp"), 3))
    assert one.file == tmp_path / "images" / "1.jpg"
    assert (
        one.boxes
        == ((0.0, 70.0, 60.0, 60.0), (130.0, 70.0, 60.0, 60.0))[:: 1 if one.names[0] == "dog" else -1]
    )


def test_gqa_with_every_kind_of_damage(tmp_path):
    left = [("to the left of", "b")]
    data = {
        "twice": graph({"a": thing("dog", 0, 70, relations=left), "b": thing("car", 130, 70), "c": thing("car", 130, 140)}),
        "kind": graph({"a": thing("woman", 0, 70, relations=left), "b": thing("person", 130, 70)}),
        "said but not so": graph({"a": thing("dog", 130, 70, relations=left), "b": thing("car", 0, 70)}),
        "nothing said": graph({"a": thing("dog", 0, 70), "b": thing("car", 130, 70)}),
        "list": [],
        "null": None,
        "no size": {"objects": {}},
        "objects": graph([1, 2]),
        "nan": graph({"a": thing("dog", NAN, 70, relations=left), "b": thing("car", 130, 70)}),
        "outside": graph({"a": thing("dog", 180, 70, relations=left), "b": thing("car", 0, 70)}),
        "types": graph({"a": {"name": 7, "x": 1}, "b": "car", "c": thing("car", 0, 70) | {"relations": "left"}, "d": thing("dog", 130, 70) | {"relations": [None, {"object": "c"}, {"name": "to the left of", "object": 3}]}}),
        "small": graph({"a": thing("dog", 0, 70, w=20, relations=left), "b": thing("car", 130, 70)}),
    }  # fmt: skip
    file = tmp_path / "x_sceneGraphs.json"
    text = json.dumps(data)
    file.write_text(
        text[:-1]
        + ', "twice": '
        + json.dumps(data["twice"])
        + ', "good": '
        + json.dumps(graph({"a": thing("dog", 0, 70, relations=left), "b": thing("car", 130, 70)}))
        + ', "good": {}}'
    )
    damage = Damage()
    entries = gqa_entries(file, tmp_path, damage)
    assert [(e.names, e.holds, e.file.name) for e in entries] == [(("dog", "car"), 0, "good.jpg")]
    assert damage.counts == {
        "a scene graph without width, height or objects": 4,
        "an object without a usable name or box": 3,
        "a box that is not inside of its picture": 1,
        "relations that are no list": 1,
        "a relation without a name": 2,
        "a picture without a clear pair of names that occur once": 9,
        "a picture whose id came before": 1,
    }


QUESTION = "This image is generated by a prompt: {}. Does this image accurately represent the prompt? Please answer yes or no without explanation."


def judged(image, prompt, answer):
    return {
        "image": image,
        "conversations": [
            {"from": "human", "value": f"<image>\n{QUESTION.format(prompt)}"},
            {"from": "gpt", "value": answer},
        ],
    }


def test_image_generation_cot(tmp_path):
    good = [
        judged("a/1.png", "a dog to the left of a car", "yes"),
        judged("a/2.png", "a photo of a red cat below a bench", "Yes."),
    ]
    bad = [
        judged("a/3.png", "a dog to the left of a car", "no"), judged("a/4.png", "a dog and a car", "yes"), judged("a/5.png", "a dog above a dog", "yes"),
        judged(None, "a dog above a car", "yes"), judged("/etc/x.png", "a dog above a car", "yes"), judged("../x.png", "a dog above a car", "yes"),
        judged("a/6.png", "a dog above a car", "perhaps"), {"image": "a/7.png"}, {"image": "a/8.png", "conversations": [1, {"value": 3}]}, 5, None, [],
    ]  # fmt: skip
    file = tmp_path / "orm.json"
    file.write_text(json.dumps(good + bad))
    picture(tmp_path / "a" / "1.png")
    damage = Damage()
    entries = image_cot_entries(tmp_path, None, damage)
    assert [(e.names, e.holds, e.boxes) for e in entries] == [
        (("dog", "car"), 0, None),
        (("cat", "bench"), 3, None),
    ]
    assert entries[0].file == tmp_path / "a" / "1.png"
    assert damage.counts == {
        "a picture that was judged not to show its prompt": 1,
        "a prompt without exactly one of the four relations": 1,
        "a prompt whose two objects have no names that can be told apart": 1,
        "a record without the path of an image below its folder": 3,
        "a record without a yes or no for an answer": 1,
        "a record without conversations": 1,
        "a record without a prompt in its question": 1,
        "a record that is no object": 3,
    }


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_own_pictures_by_csv(tmp_path, separator):
    rows = [
        ["Picture", "subject", "object", "relation", "subject_box", "object_box"],
        ["1.png", "Dog", "car", "left of", "", ""],
        ["2.png", "dog", "car", "", "0 60 80 60", "100 60 80 60"],
        ["3.png", "dog", "car", "above", "0 60 80 60", "100 60 80 60"],
        ["4.png", "dog", "car", "near", "", ""],
        ["5.png", "dog", "car", "", "", ""],
        ["6.png", "dog", "car", "", "0 60 x 60", "100 60 80 60"],
        ["", "dog", "car", "above", "", ""],
        ["7.png", "dog", "dogs", "above", "", ""],
        ["8.png", "", "dogs", "above", "", ""],
        ["9.png"],
    ]
    (tmp_path / "list.csv").write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    damage = Damage()
    entries = folder_entries(tmp_path, None, damage)
    assert [(e.file.name, e.names, e.holds, e.boxes is None) for e in entries] == [
        ("1.png", ("dog", "car"), 0, True), ("2.png", ("dog", "car"), 0, False),
    ]  # fmt: skip
    assert damage.counts == {
        "a line whose boxes do not show its relation": 1,
        "a line whose relation is none of left, right, above and below": 1,
        "a line without a relation and without both boxes": 1,
        "a line with a box that is not four finite numbers with an area": 1,
        "a line without the path of a picture below the folder": 1,
        "a line whose two names cannot be told apart": 1,
        "a line without usable names of subject and object": 2,
    }
    (tmp_path / "list.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SteeringError, match="found no picture"):
        folder_entries(tmp_path, None, Damage())


def test_own_pictures_by_json_lines(tmp_path):
    lines = [
        json.dumps({"picture": "1.png", "subject": "dog", "object": "car", "relation": "below"}).encode(),
        b"", b"{", b"[1]", b'"text"', b"\xff\xfe\x00", b'{"picture": 3}', b"[" * 5000,
        json.dumps({"picture": "2.png", "subject": "dog", "object": "cat", "subject_box": [0, 60, 80, 60], "object_box": [100, 60, 80, NAN]}).encode(),
        json.dumps({"picture": "3.png", "subject": "d\ufffdg", "object": "cat", "relation": "above"}).encode(),
        json.dumps({"picture": "4.png", "subject": "dog", "object": "cat", "relation": 7}).encode(),
    ]  # fmt: skip
    (tmp_path / "list.jsonl").write_bytes(b"\n".join(lines))
    damage = Damage()
    assert [(e.names, e.holds) for e in folder_entries(tmp_path / "list.jsonl", None, damage)] == [
        (("dog", "car"), 3)
    ]
    assert damage.counts == {
        "a line that is no JSON object": 5,
        "a line without the path of a picture below the folder": 1,
        "a line with a box that is not four finite numbers with an area": 1,
        "a line without usable names of subject and object": 1,
        "a line whose relation is none of left, right, above and below": 1,
    }


def entries_of(tmp_path, count=60):
    names = ["dog", "cat", "car", "tree", "cup"]
    pairs = [(a, b) for a in names for b in names if a < b]
    return [Entry(tmp_path / f"{i // 2}.png", pairs[i * 7 % 10], i % 4) for i in range(count)]


def test_parts_share_neither_pictures_nor_pairs(tmp_path):
    entries = entries_of(tmp_path)
    damage = Damage()
    parts = parts_of(entries + entries[:3], {}, 0, damage)
    sources = parts.sources.values()
    assert damage.counts["a picture and pair that came before"] == 3
    kept = [s.entries for s in sources]
    assert sum(map(len, kept)) + damage.total == 63 and all(kept)
    for what in (lambda e: e.file, lambda e: frozenset(e.names)):
        seen = [{what(e) for e in part} for part in kept]
        assert len(set.union(*seen)) == sum(map(len, seen))
    train = kept[0]
    assert [e.holds for e in train[:8]] == [0, 1, 2, 3] * 2  # the relations take turns
    with pytest.raises(SteeringError, match="three pairs"):
        parts_of(entries[:1] * 5, {}, 0, Damage())


def test_listed_pictures_are_opened_when_asked_for(tmp_path):
    for i in range(30):
        picture(tmp_path / f"{i}.png", (64, 48))
    parts = read_lists(
        {"folder": write_list(tmp_path)}, 0, None, lambda pixels, names: None if "cat" in names else 0
    )
    train = parts.sources["train"]
    (tmp_path / train.entries[0].file.name).unlink()
    made = train.samples(range(train.count), 0, (32, 32))
    assert made[0] == LeftOut("a picture file that is missing", str(train.entries[0].file))
    for entry, sample in list(zip(train.entries, made, strict=True))[1:]:
        if "cat" in entry.names or entry.holds != 0:
            assert sample == LeftOut(
                "a picture in which the detector does not see the relation", str(entry.file)
            )
        else:
            assert isinstance(sample, Sample) and sample.picture.shape == (32, 32, 3)
            assert (np.abs(sample.picture.astype(int) - 128) < 3).all()


def write_list(folder):
    names = ["dog", "cat", "car", "tree", "cup", "fox"]
    lines = [
        json.dumps(
            {
                "picture": f"{i}.png",
                "subject": names[i % 6],
                "object": names[(i + 1 + i // 6) % 6],
                "relation": ["left of", "above"][i % 2],
            }
        )
        for i in range(30)
    ]
    (folder / "list.jsonl").write_text("\n".join(lines))
    return folder / "list.jsonl"
