"""Classifiers on disk."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    OfficialConfig,
    RelationClassifier,
    SymmetricConfig,
    SymmetricRelationClassifier,
    convert,
    load_classifier,
    official_sigmas,
    save_classifier,
)
from learn_to_steer.errors import SteeringError

CARD = ClassifierCard(
    SYMMETRIC_RELATIONS,
    channels=6,
    map_size=8,
    layers=("down.0.0", "mid.0"),
    timesteps=(5, 10),
    sigmas=(9.0, 4.0),
    family="sd1",
    about="made in a test",
)
SMALL = OfficialConfig(
    d_model=16, extractor_feedforward=16, head_feedforward=16, positions=4, timestep_mode="pre"
)
OFFICIAL = Path(__file__).parents[1] / "fixtures" / "parity" / "sd_classifier.pth"


@pytest.fixture(params=["official", "mean", "symmetric"])
def model(request):
    if request.param == "symmetric":
        return SymmetricRelationClassifier(CARD, SymmetricConfig(hidden=(16, 8), timestep_dim=3)).eval()
    return RelationClassifier(CARD, replace(SMALL, use_mean=request.param == "mean")).eval()


def test_round_trip(model, tmp_path):
    save_classifier(model, tmp_path / "c.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    again = load_classifier(tmp_path / "c.safetensors")
    assert type(again) is type(model) and again.card == CARD and again.config == model.config
    assert not again.training
    x, time = torch.rand(2, 2, 6, 8, 8), torch.tensor([5, 10])
    assert torch.equal(again(x, time), model(x, time))


def test_a_card_keeps_how_maps_are_resized_and_files_without_a_word_of_it_are_bilinear(tmp_path):
    """Files were written before maps could be resized otherwise; theirs were bilinear, and are read as such."""
    path = tmp_path / "c.safetensors"
    save_classifier(SymmetricRelationClassifier(replace(CARD, resize="area", renormalise="official")), path)
    assert load_classifier(path).card == replace(CARD, resize="area", renormalise="official")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    older = {name: value.replace(', "resize": "area"', "") for name, value in metadata.items()}
    assert older != metadata
    save_file(tensors, path, older)
    assert load_classifier(path).card.resize == "bilinear"


def test_saving_replaces_whole_files_and_leaves_nothing_behind_on_failure(model, tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    path.write_text("old")

    def fails(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError):
        save_classifier(model, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_saving_refuses_other_suffixes_and_modules(model, tmp_path):
    with pytest.raises(SteeringError, match="safetensors"):
        save_classifier(model, tmp_path / "c.pth")
    with pytest.raises(SteeringError, match="Linear"):
        save_classifier(torch.nn.Linear(1, 1), tmp_path / "c.safetensors")


def test_official_file_converts(tmp_path):
    theirs = load_classifier(OFFICIAL)
    assert theirs.relations[0] == "above" and theirs.timesteps == (5, 10, 15, 20, 25, 49)
    assert theirs.renormalise == "official"
    ours = convert(OFFICIAL, tmp_path / "c.safetensors", family="sd1", sigmas=(9, 8, 7, 6, 5, 4))
    again = load_classifier(tmp_path / "c.safetensors")
    assert again.card == ours.card and again.family == "sd1" and again.sigmas == (9, 8, 7, 6, 5, 4)
    x, time = torch.rand(2, 2, 16, 16, 16), torch.tensor([5, 25])
    assert torch.equal(again(x, time), theirs(x, time))


class Bomb:
    def __reduce__(self):
        return (os.mkdir, (os.environ["BOMB"],))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_pickle_with_code_is_refused_and_not_run(write, tmp_path, monkeypatch):
    crater = tmp_path / "crater"
    monkeypatch.setenv("BOMB", str(crater))
    content = torch.load(OFFICIAL, weights_only=True)
    write({**content, "extra": Bomb()}, tmp_path / "bad.pth")
    with pytest.raises(SteeringError, match="refused") as caught:
        load_classifier(tmp_path / "bad.pth")
    assert not crater.exists() and "\n" not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize("keep", [0, 10, 1000, -10])
def test_truncated_files_are_refused(keep, tmp_path):
    convert(OFFICIAL, tmp_path / "whole.safetensors")
    for source, name in [(OFFICIAL, "t.pth"), (tmp_path / "whole.safetensors", "t.safetensors")]:
        (tmp_path / name).write_bytes(source.read_bytes()[:keep])
        with pytest.raises(SteeringError, match="Expected a"):
            load_classifier(tmp_path / name)


def test_foreign_files_are_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "image.png").write_text("hello")
    for name in ("other.safetensors", "other.pth", "list.pth", "text.pth", "image.png", "none.pth"):
        with pytest.raises(SteeringError, match="Expected") as caught:
            load_classifier(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_keys_shapes_and_settings_that_do_not_fit_are_refused(tmp_path):
    content = torch.load(OFFICIAL, weights_only=True)
    state = content["model_state_dict"]
    first = next(iter(state))

    def with_state(**changes):
        return {**content, "model_state_dict": {**state, **changes}}

    missing = {**content, "model_state_dict": {k: v for k, v in state.items() if k != first}}
    nan = with_state(**{first: torch.full_like(state[first], float("nan"))})
    head = {**content["config"]["classifier"], "fc_ver": "v2"}
    for bad in (
        missing,
        nan,
        with_state(strange=torch.zeros(1)),
        with_state(**{first: torch.zeros(1, 1, 31)}),
        with_state(**{first: "text"}),
        {**content, "config": {**content["config"], "classifier": head}},
        {**content, "config": {**content["config"], "d_model": 33}},
        {**content, "config": {**content["config"], "map_size": "big"}},
        {**content, "idx_to_rel_name": {0: "above"}},
        {**content, "input_channels": 17},
    ):
        torch.save(bad, tmp_path / "bad.pth")
        with pytest.raises(SteeringError, match="Expected"):
            load_classifier(tmp_path / "bad.pth")


def test_official_noise_levels(tmp_path):
    levels = official_sigmas("sd1", range(50), 50)
    assert levels[0] == pytest.approx(13.12, abs=0.01) and levels[49] == pytest.approx(0.0413, abs=1e-3)
    assert list(levels) == sorted(levels, reverse=True)
    assert official_sigmas("flux", (1, 3), 4) == (0.75, 0.25)
    assert official_sigmas("flux", (0, 25), 50) == pytest.approx((1.0, 0.6525), abs=1e-3)
    assert official_sigmas("custom", (1,), 4) is None
    assert convert(OFFICIAL, tmp_path / "c.safetensors", family="sd1").sigmas[0] == levels[5]
