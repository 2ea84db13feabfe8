"""Logs and whole files that survive a kill."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learn_to_steer.errors import SteeringError
from learn_to_steer.records import append, atomic, read

RECORDS = [
    {"prompt": 'a "dog" 🐶 {above}\na cat', "boxes": [{"name": "dog", "box": [1, 2]}, {}], "held": True},
    {},
    {"a": {"b": {"c": {}}}, "p": 0.25, "none": None},
]


def test_records_come_back_in_order(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read(log) == []
    for number, record in enumerate(RECORDS):
        append(log, record)
        assert read(log) == RECORDS[: number + 1]
    assert log.read_bytes().count(b"\n") == len(RECORDS)


def test_a_log_cut_at_every_byte_keeps_its_whole_records_and_goes_on(tmp_path):
    log = tmp_path / "log.jsonl"
    ends = []
    for record in RECORDS:
        append(log, record)
        ends.append(log.stat().st_size)
    data = log.read_bytes()
    for cut in range(len(data) + 1):
        log.write_bytes(data[:cut])
        whole = RECORDS[: sum(end - 1 <= cut for end in ends)]  # a record is whole without its line break
        assert read(log) == whole
        append(log, {"after": cut})
        assert read(log) == [*whole, {"after": cut}]
        assert log.read_bytes().startswith(data[:cut])  # nothing is written again
        append(log, {"more": 1})
        assert read(log) == [*whole, {"after": cut}, {"more": 1}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), json_values, max_size=3), st.data())
def test_any_record_survives_and_any_beginning_of_it_is_torn(tmp_path_factory, record, data):
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    append(log, record)
    assert read(log) == [record]
    line = log.read_bytes()
    cut = data.draw(st.integers(0, len(line) - 2))
    log.write_bytes(line[:cut])
    assert read(log) == []


def test_foreign_logs_and_values_are_refused(tmp_path):
    log = tmp_path / "log.jsonl"
    for text in ("1\n", "[]\n", "hello\n", '{"a": 1}\nhello\n'):
        log.write_text(text)
        with pytest.raises(SteeringError, match="line [12]"):
            read(log)
    log.write_text('{"a": ' + "[" * 100_000 + "\n")
    assert read(log) == []
    for bad in ({"a": float("nan")}, {"a": torch.zeros(1)}, {"a": {1, 2}}):
        with pytest.raises(SteeringError, match="JSON cannot hold"):
            append(tmp_path / "new.jsonl", bad)
    assert not (tmp_path / "new.jsonl").exists()


def test_lines_of_several_writers_do_not_mix(tmp_path):
    log = tmp_path / "log.jsonl"

    def write(writer):
        for number in range(40):
            append(log, {"writer": writer, "number": number, "text": "x" * 500})

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted((r["writer"], r["number"]) for r in read(log))
    assert found == [(w, n) for w in range(4) for n in range(40)]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "shard.bin"
    with atomic(path) as first, atomic(path) as second:
        assert first != second and first.parent == second.parent == tmp_path
        first.write_text("first")
        second.write_text("second")
        assert not path.exists()
    assert path.read_text() == "first"  # its block ended last
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["shard.bin"] and path.read_text() == "first"
