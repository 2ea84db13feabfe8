"""Recorded maps: their labels, parts of them, and their file."""

import pytest
import torch

import learn_to_steer.dataset.record as record
from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.dataset import RecordedMaps, concatenate
from learn_to_steer.errors import SteeringError

LAYERS = (AttentionLayer("down.0.0", "down", 0, 2), AttentionLayer("mid.0", "mid", 1, 3))


def three(first=0.0):
    """Three samples; every map of sample i is full of i, and a tenth more on the second layer."""
    fill = torch.arange(first, first + 3).view(3, 1, 1, 1, 1)
    return RecordedMaps(
        MapStack(LAYERS, (fill.expand(3, 2, 2, 8, 8), fill.expand(3, 2, 3, 4, 4) + 0.125)),
        ("above", "below", "left"),
        holds=torch.tensor([0, 1, 0]),
        worded=torch.tensor([0, 2, 1]),
        timestep=torch.tensor([5, 10, 45]),
    )


def numbers(data):
    """The number that fills each sample's maps, layer by layer."""
    return [[m[i].unique().tolist() for i in range(len(data))] for m in data.stack.maps]


def test_words_are_right_where_they_say_what_the_picture_shows():
    assert three().right_words.tolist() == [True, False, False]


def test_a_part_keeps_each_samples_maps_and_labels_together():
    part = three().where(torch.tensor([False, True, True]))
    assert len(part) == 2 and part.relations == ("above", "below", "left") and part.stack.layers == LAYERS
    assert numbers(part) == [[[1.0], [2.0]], [[1.125], [2.125]]]
    assert (part.holds.tolist(), part.worded.tolist(), part.timestep.tolist()) == ([1, 0], [2, 1], [10, 45])


def test_parts_are_joined_in_order():
    whole = concatenate([three(), three(3.0).where(torch.tensor([True, False, True]))])
    assert len(whole) == 5 and whole.stack.layers == LAYERS
    assert numbers(whole)[1] == [[0.125], [1.125], [2.125], [3.125], [5.125]]
    assert whole.holds.tolist() == [0, 1, 0, 0, 0] and whole.worded.tolist() == [0, 2, 1, 0, 1]
    assert whole.timestep.tolist() == [5, 10, 45, 5, 45]


def test_recorded_maps_survive_the_disk(tmp_path):
    data = concatenate([three(), three(3.0)])
    data.save(tmp_path / "maps.safetensors")
    again = RecordedMaps.load(tmp_path / "maps.safetensors")
    assert len(again) == 6 and again.relations == data.relations and again.stack.layers == LAYERS
    for name in ("holds", "worded", "timestep"):
        assert torch.equal(getattr(again, name), getattr(data, name)), name
    assert {m.dtype for m in again.stack.maps} == {torch.float16}
    assert numbers(again) == numbers(data)  # eighths and small whole numbers are exact in half precision


def test_a_safetensors_file_of_something_else_is_refused(tmp_path):
    file = tmp_path / "maps.safetensors"
    record.save_file({"holds": torch.zeros(1)}, file, metadata={"format": "learn-to-steer maps 99"})
    with pytest.raises(SteeringError, match="without that mark"):
        RecordedMaps.load(file)


def test_a_foreign_or_broken_file_is_refused_in_one_sentence(tmp_path):
    file = tmp_path / "maps.safetensors"
    file.write_bytes(b"not a safetensors file")
    with pytest.raises(SteeringError, match="record the maps again"):
        RecordedMaps.load(file)


def test_recorded_maps_are_written_whole_and_damaged_ones_refused(tmp_path, monkeypatch):
    maps = three()
    path = tmp_path / "shard.safetensors"
    maps.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["shard.safetensors"]
    data = path.read_bytes()

    def half(tensors, file, metadata):
        file.write_bytes(data[: len(data) // 2])
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(record, "save_file", half)
        maps.save(path)
    assert path.read_bytes() == data and len(list(tmp_path.iterdir())) == 1
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(SteeringError, match="recorded maps"):
            RecordedMaps.load(path)
