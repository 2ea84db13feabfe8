"""From a model to a classifier of its own, through the nodes: recorded, interrupted, gone on with, fitted, saved, loaded,
steered with."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import PACK, steered, stock
from PIL import Image

LAYERS = ("down.0.0", "up.1.0")


def module(name):
    return import_module(f"{PACK}.{name}")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The host's folders for this test: output, input and models."""
    import folder_paths

    for name in ("output", "input", "models"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    folder_paths.folder_names_and_paths.pop("relation_classifiers", None)
    return tmp_path


def record(node, world, **changes):
    """(records, text) of few samples: 6 to train on, 1 each to end the fit by and to judge by."""
    given = {
        "model": world.model, "clip": world.clip, "vae": world.vae, "folder": "few", "samples": 6, "width": 128,
        "height": 128, "steps": 4, "random_seed": 0, "source": "scenes", "way": "noising", "layers": ", ".join(LAYERS),
        "batch": 2, **changes,
    }  # fmt: skip
    return node("RecordRelations", **given)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture
def records(node, world, place):
    return record(node, world)[0]


def test_what_it_costs_is_said_before_it_starts(node, world, place, caplog, monkeypatch):
    """8 samples, each under two words, four noise levels: 64 passes. On the console, and in the node's text."""
    progress = []
    monkeypatch.setattr(
        "comfy.utils.PROGRESS_BAR_HOOK", lambda *now, **more: progress.append((now, caplog.text))
    )
    with caplog.at_level("INFO"):
        records, text = record(node, world)
    first, *_ = text.splitlines()
    assert first.startswith("Recording 8 samples, 64 model passes, ") and " on disk, about " in first
    assert "Recorded: 8 of 8 samples, 64 records in" in text
    assert records.folder == place / "output" / "relation_records" / "few"
    # The bar counts samples and shows the pictures; the sentence stood there before its first step.
    assert [now[:2] for now, _ in progress][-1] == (8, 8) and all(first in said for _, said in progress)
    kind, picture, _ = progress[0][0][2]
    assert kind == "JPEG" and picture.size == (128, 128)
    assert records.job().layer_names == LAYERS and records.job().per_shard == 2


def test_interrupted_it_goes_on_and_the_records_are_the_same(node, world, place, monkeypatch):
    """Stopped at three moments in the middle of a batch: byte for byte what one run makes, and the model as before."""
    import comfy.model_management

    whole = files_of(record(node, world, way="euler", folder="whole")[0].folder)
    before = stock(world, steps=2)
    asking = module("learn_to_steer.hosts.comfyui.recorder")
    ask = asking.ask
    for stop in (20, 50, 40):
        calls = iter(range(1, 1000))

        def counted(*given, stop=stop, calls=calls):
            if next(calls) == stop:
                comfy.model_management.interrupt_current_processing(True)
            return ask(*given)

        with monkeypatch.context() as patched:
            patched.setattr(asking, "ask", counted)
            with pytest.raises(comfy.model_management.InterruptProcessingException):
                record(node, world, way="euler")
    assert len(list((place / "output" / "relation_records" / "few" / "shards").iterdir())) >= 1
    records, text = record(node, world, way="euler")
    assert "samples are there already" in text
    assert files_of(records.folder) == whole
    assert torch.equal(stock(world, steps=2), before)
    # Queued once more, nothing is left to record.
    assert record(node, world, way="euler")[1].startswith("Recorded: 8 of 8")


def test_a_classifier_is_trained_saved_found_and_steers(node, world, place):
    records, _ = record(node, world, samples=24, batch=8)
    given = {"records": records, "architecture": "symmetric", "epochs": 4, "random_seed": 1}
    classifier, plot, losses, text = node("TrainRelationClassifier", **given)
    assert plot.shape[0] == 1 and plot.shape[3] == 3 and plot.std() > 0.05
    assert len(losses["loss"]) == 4 and losses["loss"][-1] < losses["loss"][0]
    assert "under right words and" in text and "under wrong ones" in text and "wrong words" in text
    again = node("TrainRelationClassifier", **given)[0].classifier.state_dict()
    for name, tensor in classifier.classifier.state_dict().items():
        assert torch.equal(tensor, again[name]) and not tensor.is_inference()
    assert classifier.card.layers == LAYERS and classifier.card.family == "emojiworld-unet"
    figures = json.loads(classifier.card.about)
    assert figures["samples"] == 24 and figures["unseen pairs"]["right"] is not None
    (name,) = node("SaveRelationClassifier", classifier=classifier, file_name="My model 1.5")
    folder = place / "models" / "relation_classifiers"
    assert name == "My model 1.5.safetensors" and sorted(f.name for f in folder.iterdir()) == [
        "My model 1.5.md",
        name,
    ]
    # The host asks the class anew for each list: no restart.
    assert name in node.classes["LoadRelationClassifier"].GET_SCHEMA().inputs[0].options
    loaded, about = node("LoadRelationClassifier", classifier_name=name)
    assert "layers: down.0.0, up.1.0" in about
    plain = stock(world, steps=4)
    used = [steered(node, world, classifier=one, steps=4) for one in (classifier, loaded)]
    assert used[0][1].latest.evaluations[0] > 0 and not torch.equal(used[0][0], plain)
    assert torch.equal(used[0][0], used[1][0])


@pytest.mark.parametrize("architecture", ["mean", "published"])
def test_every_architecture_is_fitted(node, records, architecture):
    classifier, *_ = node(
        "TrainRelationClassifier", records=records, architecture=architecture, epochs=2, random_seed=0
    )
    kind = {"mean": "SymmetricRelationClassifier", "published": "RelationClassifier"}[architecture]
    assert type(classifier.classifier).__name__ == kind


def test_the_hosts_own_graph_of_losses_takes_the_loss_map(node, records, place, monkeypatch):
    import comfy_extras.nodes_train as host
    import folder_paths

    (place / "temp").mkdir()
    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: str(place / "temp"))

    _, _, losses, _ = node(
        "TrainRelationClassifier", records=records, architecture="mean", epochs=3, random_seed=0
    )
    shown = host.LossGraphNode
    if hasattr(shown, "GET_SCHEMA"):
        kind = next(i.io_type for i in shown.GET_SCHEMA().inputs if i.id == "loss")
        hidden = type("Hidden", (), {"prompt": None, "extra_pnginfo": None})
        monkeypatch.setattr(shown, "hidden", hidden, raising=False)
        assert shown.execute(losses, "loss_graph") is not None
    else:
        kind = shown.INPUT_TYPES()["required"]["loss"][0]
        assert shown().plot_loss(losses, "loss_graph", prompt=None, extra_pnginfo=None)
    assert len(list((place / "temp").rglob("*.png"))) == 1
    assert node.classes["TrainRelationClassifier"].GET_SCHEMA().outputs[2].io_type == kind == "LOSS_MAP"


def test_a_fit_can_be_interrupted(node, records):
    import comfy.model_management

    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        node("TrainRelationClassifier", records=records, architecture="mean", epochs=3, random_seed=0)


def test_files_are_never_replaced_in_silence(node, records, place):
    fit = {"records": records, "architecture": "mean", "epochs": 2}
    one, other = (node("TrainRelationClassifier", random_seed=seed, **fit)[0] for seed in (0, 1))
    save = node.classes["SaveRelationClassifier"].execute

    def saved(classifier, **more):
        done = save(classifier, "mine", **more)
        return done.args[0], done.ui.as_dict()["text"][0]

    assert saved(one)[0] == "mine.safetensors"
    assert saved(one)[0] == "mine.safetensors"  # the same is no other file
    name, said = saved(other)
    assert name == "mine-2.safetensors" and 'Another "mine.safetensors" was there already' in said
    assert saved(one)[0] == "mine.safetensors" and saved(other)[0] == "mine-2.safetensors"
    name, said = saved(other, overwrite=True)
    assert (
        name == "mine.safetensors" and '"mine.safetensors" is replaced in models/relation_classifiers' in said
    )
    files = sorted(f.name for f in (place / "models" / "relation_classifiers").iterdir())
    assert files == ["mine-2.md", "mine-2.safetensors", "mine.md", "mine.safetensors"]


@pytest.mark.parametrize(
    "name",
    ["", "  ", "../mine", "a/b", "a\\b", "c:mine", ".mine", "mine.", "con", "NUL.x", "x" * 81, "a\nb?"],
)
def test_a_name_that_is_no_files_is_one_sentence(node, world, records, name):
    """For the file of a classifier and for the folder of records alike."""
    classifier = world.classifier
    for call in (
        lambda: node("SaveRelationClassifier", classifier=classifier, file_name=name),
        lambda: record(node, world, folder=name),
    ):
        with pytest.raises(ValueError, match="^Expected a name .*; choose another one\\.$"):
            call()


@pytest.mark.parametrize("name", ["universal-mean", "Emojiworld-Symmetric.safetensors"])
def test_a_shipped_classifiers_name_is_refused(node, world, place, name):
    with pytest.raises(ValueError, match="which ships with this pack; choose another one"):
        node("SaveRelationClassifier", classifier=world.classifier, file_name=name)


def test_the_rule_without_a_classifier_is_not_saved(node, place):
    (rule, _) = node("LoadRelationClassifier", classifier_name="none: compare centres of attention")
    with pytest.raises(ValueError, match="Expected a trained classifier"):
        node("SaveRelationClassifier", classifier=rule, file_name="mine")


def test_a_folder_of_cut_outs_and_a_list_of_pictures(node, world, place):
    """Paths are those of the input folder; lists name what is of no use."""
    sprites = module("learn_to_steer.emojiworld.render").sprites()
    for name in ("dog", "car", "fox", "pig"):
        (place / "input" / "cut" / name).mkdir(parents=True)
        sprites[name].save(place / "input" / "cut" / name / "1.png")
    (place / "input" / "cut" / "wall.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64), "grey").save(place / "input" / "backs.png")
    records, text = record(node, world, data="cut", pictures=".", folder="cut outs")
    assert records.job().sources["train"]["source"] == "scenes" and "1 left out" in text
    lines = ["picture,subject,object,relation"]
    for i, (one, other) in enumerate([("dog", "car"), ("fox", "pig"), ("dog", "pig"), ("car", "fox")]):
        Image.new("RGB", (64, 64), (40 * i, 90, 90)).save(place / "input" / f"{i}.png")
        lines.append(f"{i}.png,{one},{other},left of")
    (place / "input" / "list.csv").write_text("\n".join(lines))
    records, text = record(
        node, world, source="folder", data=str(place / "input" / "list.csv"), folder="listed"
    )
    assert "where 6 are wanted" in text and records.job().counts["train"] >= 1


def test_what_cannot_be_recorded_is_one_sentence(node, world, place):
    record(node, world)
    wrong = {
        "differ in counts; choose another folder": {"samples": 7},
        "Expected the list of the source": {"source": "coco"},
        "Expected a folder of cut-outs": {"data": "nothing here", "folder": "a"},
        "Expected a folder of pictures": {"pictures": "nothing here", "folder": "a"},
        "multiples of 8 pixels": {"width": 100, "folder": "a"},
        "RF-Inversion": {"way": "rf", "folder": "a"},
        "down.9.9": {"layers": "down.9.9", "folder": "a"},
    }
    for words, changes in wrong.items():
        with pytest.raises(ValueError) as error:
            record(node, world, **changes)
        said = str(error.value)
        assert words in said and "\n" not in said and said.startswith("Expected") and "--" not in said


def test_records_that_are_gone_are_recorded_again(node, world, place):
    """The host keeps results: the node is run again where what it made was deleted, and not before."""
    asked = node.classes["RecordRelations"].fingerprint_inputs
    before = asked(folder="few", data="", pictures="")
    records, _ = record(node, world)
    assert asked(folder="few", data="", pictures="") == before
    shutil.rmtree(records.folder)
    with pytest.raises(ValueError, match="found no index"):
        node("TrainRelationClassifier", records=records, architecture="mean", epochs=2, random_seed=0)
    assert asked(folder="few", data="", pictures="") != before


def test_recommended_layers_and_a_pilot(node, world, place):
    assert record(node, world, layers="recommended")[0].job().layer_names == LAYERS
    every = record(node, world, layers="all", folder="all")[0].job()
    assert len(every.layers) == 7
