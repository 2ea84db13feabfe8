"""Files that are damaged, or claim what they do not hold: one sentence, and nothing is built or read for them."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    SymmetricConfig,
    SymmetricRelationClassifier,
    check_classifier,
    load_classifier,
    save_classifier,
)
from learn_to_steer.errors import SteeringError

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "parity" / "sd_classifier.pth"
CARD = {"relations": list(SYMMETRIC_RELATIONS), "channels": 6, "map_size": 8}
FORMAT = "learn-to-steer-classifier"


def description(**changes):
    values = {
        "format": FORMAT,
        "version": 1,
        "architecture": "official",
        "card": CARD,
        "config": {},
        **changes,
    }
    return json.dumps(values)


def raw(header, data=b"", length=None):
    """A .safetensors file of this header, an object or its text."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def described(text, **entries):
    return raw({"__metadata__": {FORMAT: text}, **entries})


def refusal(path):
    with pytest.raises(SteeringError) as caught:
        load_classifier(path)
    text = str(caught.value)
    assert text.startswith("Expected") and text.endswith(".") and "\n" not in text and len(text) < 600
    return text


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "damaged"),
        (b"\x02\0\0\0", "damaged"),
        (raw("{}", length=2**40), "damaged"),  # a header longer than the file
        (raw("{}", length=0), "damaged"),
        (raw(" " * 2**21 + "{}"), "damaged"),  # a header longer than any
        (raw(DEEP), "damaged"),
        (raw('{"a":' * 100_000), "damaged"),
        (raw("[]"), "damaged"),
        (raw("{"), "damaged"),
        (raw('"\xff"', length=3), "damaged"),
        (raw('{"a": ' + "9" * 5000 + "}"), "damaged"),  # a number too long to be one
        (raw({"__metadata__": {FORMAT: 1}}), "damaged"),
        (raw({"__metadata__": []}), "damaged"),
        (raw({"a": 1}), "damaged"),
        (raw({"a": {"dtype": "F32"}}), "damaged"),
        (raw({"a": TENSOR | {"dtype": "I9"}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"shape": [-1]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"shape": [2.0]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"shape": [2**62, 4]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"shape": [2]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"data_offsets": [4, 0]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR | {"data_offsets": [0, 2**50]}}, b"0000"), "damaged"),
        (raw({"a": TENSOR}), "damaged"),  # its data are missing
        (raw({"a": TENSOR}, b"00000"), "damaged"),  # more data than described
        (raw({}), "no description"),
        (described(DEEP), "no description"),
        (described('{"card":' * 100_000), "no description"),
        (described("[]"), "no description"),
        (described(description(card=[])), "no description"),
        (described(description(card=None)), "no description"),
        (described(description(version=2)), "version 1"),
        (described(description(version=[1])), "version 1"),
        (described(description(architecture=["official"])), "architecture"),
        (described(description(config=[])), "sizes"),
        (described(description(config={"d_model": "256"})), "d_model to be int"),
        (described(description(config={"dropout": float("nan")})), "dropout to be float"),
        (described(description(config={"use_mean": 1})), "use_mean to be bool"),
        (described(description(card={**CARD, "channels": True})), "channels to be int"),
        (described(description(card={**CARD, "relations": "above"})), "relations to be tuple"),
        (described(description(card={**CARD, "sigmas": [float("inf")]})), "sigmas to be tuple"),
        (described(description(card={**CARD, "layers": [1]})), "layers to be tuple"),
        (described(description(config={"odd": 1})), "settings among"),
        (described(description()), "exactly the weights"),
        (described(description(config={"extractor_layers": 10**9})), "at most 64 layers"),
        (described(description(config={"head_layers": -1})), "at most 64 layers"),
        # some kB that describe many GB
        (described(description(config={"d_model": 40_000})), "at most 128 MB"),
        (described(description(config={"head_feedforward": 2**31})), "at most 128 MB"),
        (described(description(config={"positions": 2**40})), "at most 128 MB"),
        (described(description(card={**CARD, "channels": 2**40})), "at most 128 MB"),
        (described(description(card={**CARD, "map_size": 2**20})), "at most 128 MB"),
        (described(description(card={**CARD, "num_timesteps": 2**40})), "at most 128 MB"),
        (described(description(card={**CARD, "map_size": 2**40})), "sizes"),  # more than an address holds
        (described(description(architecture="symmetric", config={"hidden": [10**6, 10**6]})), "at most 128 MB"),
        (described(description(architecture="symmetric", config={"hidden": [1] * 9000})), "1 to 64 hidden"),
        (described(description(architecture="symmetric", config={"timestep_dim": 2**40})), "at most 128 MB"),
    ],
)  # fmt: skip
def test_damaged_and_boasting_safetensors(content, says, tmp_path):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    assert says in refusal(path)


def test_a_file_cut_at_any_byte_is_refused(tmp_path):
    model = SymmetricRelationClassifier(
        ClassifierCard(SYMMETRIC_RELATIONS, 2, 2), SymmetricConfig(hidden=(2,))
    )
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    save_classifier(model, whole)
    data = whole.read_bytes()
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        refusal(cut)
    cut.write_bytes(data)
    assert load_classifier(cut).card == model.card


def test_shapes_are_compared_with_the_description_and_weights_are_numbers(tmp_path):
    model = SymmetricRelationClassifier(
        ClassifierCard(SYMMETRIC_RELATIONS, 2, 2), SymmetricConfig(hidden=(2,))
    )
    path = tmp_path / "c.safetensors"
    save_classifier(model, path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata, state = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}
    for changes, says in [
        ({"network.0.weight": torch.zeros(2, 9)}, r"network.0.weight of shape (2, 8)"),
        ({"strange": torch.zeros(1)}, "strange besides"),
        ({"network.0.bias": torch.tensor([1.0, float("inf")])}, "finite"),
        ({"network.0.bias": torch.tensor([1, 2])}, "damaged or of another kind"),
    ]:
        save_file({**state, **changes}, path, metadata=metadata)
        assert says in refusal(path)
    save_file({k: v.half() for k, v in state.items()}, path, metadata=metadata)
    assert next(load_classifier(path).parameters()).dtype == torch.float32


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt"])
def test_a_file_larger_than_any_classifier_is_not_read(suffix, tmp_path):
    path = tmp_path / f"big.{suffix}"
    with path.open("wb") as file:
        file.truncate(24 * 10**9)  # without taking room on the disk
    assert "at most 128 MB" in refusal(path)


def archive(tmp_path, change):
    """The official file as a zip archive, changed: change(name, data) -> ZipInfo settings or None."""
    path = tmp_path / "c.pth"
    with zipfile.ZipFile(OFFICIAL) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            change(target, entry.filename, source.read(entry))
    return path


def test_archives_that_claim_more_than_they_hold(tmp_path):
    def packed(target, name, data):
        target.writestr(name, data + b"\0" * 10**7, zipfile.ZIP_DEFLATED)

    assert "claims more" in refusal(archive(tmp_path, packed))

    def many(target, name, data):
        target.writestr(name, data)
        for i in range(60):
            target.writestr(f"{name}/{i}", b"")

    assert "claims more" in refusal(archive(tmp_path, many))
    data = OFFICIAL.read_bytes()
    directory = data.rfind(b"PK\x06\x06") + 40
    for at, value in [
        (directory, struct.pack("<Q", 2**40)),
        (directory, struct.pack("<Q", 0)),
        (len(data) - 2, b"\x05\0"),
    ]:
        (tmp_path / "c.pth").write_bytes(data[:at] + value + data[at + len(value) :])
        assert "damaged" in refusal(tmp_path / "c.pth")


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.3, 0.9, 0.99, 0.999, 0.9999])
def test_cut_archives(part, tmp_path):
    data = OFFICIAL.read_bytes()
    (tmp_path / "c.pth").write_bytes(data[: int(part * len(data))])
    refusal(tmp_path / "c.pth")


class Fill:
    """A pickle that asks for memory by a number."""

    def __reduce__(self):
        return (bytearray, (10**11,))


def test_pickles_that_describe_more_than_they_hold(tmp_path):
    content = torch.load(OFFICIAL, weights_only=True)
    config, state = content["config"], content["model_state_dict"]
    name = "object_extractor.input_projection.weight"

    def with_config(**changes):
        return {**content, "config": {**config, **changes}}

    cases = [
        (with_config(d_model=400_000), "at most 128 MB"),
        (with_config(map_size=2**20), "at most 128 MB"),
        (with_config(num_timesteps=10**12), "num_timesteps"),
        (with_config(num_timesteps=-1), "Expected"),
        (with_config(extractor={**config["extractor"], "num_layers": 10**9}), "at most 64 layers"),
        ({**content, "input_channels": 2**40}, "at most 128 MB"),
        ({**content, "input_channels": 10**400}, "Expected"),
        ({**content, "model_state_dict": {**state, name: torch.zeros(1).expand(10**6, 10**6)}}, "of shape"),
        (
            {
                **content,
                "model_state_dict": {**state, name: torch.zeros(state[name].shape, dtype=torch.long)},
            },
            "finite",
        ),
        ({**content, "model_state_dict": []}, "Expected"),
        ({**content, "idx_to_rel_name": {i: "above" for i in range(4)}}, "Expected"),
        ({**content, "idx_to_rel_name": {"x": "above"}}, "Expected"),
    ]
    for bad, says in cases:
        torch.save(bad, tmp_path / "bad.pth")
        assert says in refusal(tmp_path / "bad.pth"), says
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    for bad in ({**content, "training_config": Fill()}, Fill()):
        torch.save(bad, tmp_path / "bad.pth")
        refusal(tmp_path / "bad.pth")
        (tmp_path / "bad.pth").write_bytes(pickle.dumps(bad, protocol=2))
        refusal(tmp_path / "bad.pth")


def test_a_bare_pickle_of_the_official_file_is_read(tmp_path):
    content = torch.load(OFFICIAL, weights_only=True)
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "old.pth").write_bytes(buffer.getvalue())
    ours, theirs = load_classifier(tmp_path / "old.pth"), load_classifier(OFFICIAL)
    assert ours.card == theirs.card
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_loading_leaves_random_numbers_as_they_were_and_the_file_free(tmp_path):
    path = tmp_path / "c.pth"
    path.write_bytes(OFFICIAL.read_bytes())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    model = load_classifier(path)
    assert torch.equal(torch.get_rng_state(), before)
    x, time = torch.rand(1, 2, 16, 16, 16), torch.tensor([5])
    expected = model(x, time)
    path.write_bytes(b"\0" * path.stat().st_size)  # its weights are not those of the mapped file
    assert torch.equal(model(x, time), expected)


SMALL = OfficialConfig(
    d_model=4, extractor_feedforward=4, head_feedforward=4, extractor_heads=2, head_heads=2, positions=1
)


@pytest.mark.parametrize(
    "stated, fed, accepted",
    [
        (6, 6, True),
        (20, 16, True),  # cut, as the authors' files may be
        (320, 195, True),  # 16 layers counted with the 20 heads of SD 2's widest
        (256, 128, True),
        (257, 128, False),
        (1300, 128, False),  # SDXL's number
        (1300, 1299, False),
        (1299, 128, False),
        (195, 128, False),  # SD 2's number on SD 1
        (1368, 1300, False),  # Flux' number on SDXL
        (128, 128, True),
        (16, 17, False),
    ],
)
def test_which_channel_counts_an_official_classifier_takes(stated, fed, accepted):
    """For a card that names no family: the family is told by the number, or not at all."""
    card = ClassifierCard(SYMMETRIC_RELATIONS, channels=stated, map_size=2)
    model = RelationClassifier(card, SMALL).eval()
    layers = [AttentionLayer(f"layer.{i}", "up", 0, 1) for i in range(fed)]
    maps, time = torch.rand(1, 2, fed, 2, 2), torch.tensor([0])
    assert model.accepts(fed) == accepted
    if accepted:
        check_classifier(model, layers, "sd1")
        assert model(maps, time).shape == (1, 4)
        return
    for refused in (lambda: check_classifier(model, layers, "sd1"), lambda: model(maps, time)):
        with pytest.raises(SteeringError, match=f"of {stated} channels.*got {fed}"):
            refused()
