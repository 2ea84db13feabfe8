"""Where classifier files are looked for: the folder is made, and one that is gone again is no error."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest
from conftest import PACK

BY_HAND = "none: compare centres of attention"


@pytest.fixture
def topic(pack, node, tmp_path, monkeypatch):
    """The loader's module, in a host whose models are in a folder of this test."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    folder_paths.folder_names_and_paths.pop("relation_classifiers", None)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return import_module(f"{PACK}.nodes.classifier")


def test_the_folder_is_made(topic, tmp_path):
    topic.register_folders()
    assert (tmp_path / "models" / "relation_classifiers").is_dir()
    topic.register_folders()
    import folder_paths

    folders = folder_paths.get_folder_paths("relation_classifiers")
    assert len(folders) == len(set(folders)) == 2


def test_a_folder_that_is_gone_again(topic, tmp_path, node):
    """The host keeps a list of files and asks a folder that is gone for its age: [Errno 2]. The node is described all the
    same, by its own files and those of folders that are still there."""
    import folder_paths

    extra = tmp_path / "elsewhere"
    (extra / "sub").mkdir(parents=True)
    (extra / "sub" / "mine.safetensors").write_bytes(b"x")
    folder_paths.add_model_folder_path("relation_classifiers", str(extra))
    topic.register_folders()
    assert str(Path("sub") / "mine.safetensors") in topic.classifier_names()
    folder_paths.get_filename_list("relation_classifiers")  # the host remembers
    shutil.rmtree(extra)
    shutil.rmtree(tmp_path / "models")
    names = topic.classifier_names()
    assert "emojiworld-symmetric.safetensors" in names and names[-1] == BY_HAND
    assert not any("mine" in name for name in names)
    schema = node.classes["LoadRelationClassifier"].define_schema()
    assert schema.inputs[0].options == names
    assert node("LoadRelationClassifier", classifier_name="emojiworld-symmetric.safetensors")[0] is not None
    assert (
        node.classes["LoadRelationClassifier"].fingerprint_inputs("sub/mine.safetensors").endswith("missing")
    )
    assert (tmp_path / "models" / "relation_classifiers").is_dir()  # and made anew


def test_models_that_nobody_may_write_to(topic, tmp_path):
    """A file stands where the folder would be, so that it cannot be made."""
    (tmp_path / "models").write_text("no folder")
    assert "emojiworld-symmetric.safetensors" in topic.classifier_names()


def test_other_files_are_not_offered(topic, tmp_path):
    topic.register_folders()
    folder = tmp_path / "models" / "relation_classifiers"
    for name in ("a.safetensors", "b.PTH", "c.txt", "d.ckpt"):
        (folder / name).write_bytes(b"x")
    names = topic.classifier_names()
    assert {"a.safetensors", "b.PTH"} <= set(names) and not {"c.txt", "d.ckpt"} & set(names)
    with pytest.raises(ValueError, match="found no"):
        topic.path_of("c.txt")
    with pytest.raises(ValueError, match="found no"):
        topic.path_of("../a.safetensors")


def test_the_default_fits_any_model(node, world):
    """A fresh loader gives something that the model at hand can be steered with."""
    schema = node.classes["LoadRelationClassifier"].GET_SCHEMA()
    default = schema.inputs[0].default
    assert default == BY_HAND and default in schema.inputs[0].options
    (rule, about) = node("LoadRelationClassifier", classifier_name=default)
    model, _ = node("ApplyRelationSteering", model=world.model, relations=world.relations, classifier=rule)
    assert model is not world.model and about


def test_a_refused_classifier_names_the_way_out(node, world):
    import dataclasses

    from conftest import latents

    objectives = import_module(f"{PACK}.learn_to_steer.objectives")
    (loaded, _) = node("LoadRelationClassifier", classifier_name="emojiworld-symmetric.safetensors")
    other = objectives.LearnedObjective(loaded.classifier)
    other.classifier.card = other.card = dataclasses.replace(other.card, family="sdxl")
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations, latent=latents(),
        noise_level=0.5, seed=0,
    )  # fmt: skip
    refused = (
        lambda: node("ApplyRelationSteering", model=world.model, relations=world.relations, classifier=other),
        lambda: node("ClassifyRelation", attention=attention, classifier=other),
    )
    for call in refused:
        with pytest.raises(ValueError) as error:
            call()
        said = str(error.value)
        assert said.startswith("Expected a classifier for") and said.endswith(".") and "\n" not in said
        assert BY_HAND in said and "Load Relation Classifier" in said
