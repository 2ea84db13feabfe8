"""Where classifier files are looked for: the folder is made, and one that is gone again is no error."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest
from conftest import PACK, PROMPT, latents, options, steered

BY_HAND = "none: compare centres of attention"
UNIVERSAL = "universal: reads every model"


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
    assert "emojiworld-symmetric.safetensors" in names and names[-1] == BY_HAND and names[0] == UNIVERSAL
    assert not any("universal-mean" in name for name in names)  # its file is the first entry
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
    """A fresh loader gives what reads the model at hand, on layers recommended for it; an old graph's value stays valid."""
    schema = node.classes["LoadRelationClassifier"].GET_SCHEMA()
    default = schema.inputs[0].default
    assert default == UNIVERSAL == schema.inputs[0].options[0] and BY_HAND in schema.inputs[0].options
    (universal, about) = node("LoadRelationClassifier", classifier_name=default)
    assert "family: any" in about and "recommended" in about
    assert (
        node.classes["LoadRelationClassifier"].fingerprint_inputs(default) != default
    )  # the file's age is in it
    result, log = steered(node, world, classifier=universal, steps=4)
    assert result.isfinite().all() and log.latest.evaluations[0] > 0
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations, latent=latents(),
        noise_level=0.5, seed=0,
    )  # fmt: skip
    probability, _ = node("ClassifyRelation", attention=attention, classifier=universal)
    named = universal.reading(("down.0.0", "up.1.0"))
    assert probability == node("ClassifyRelation", attention=attention, classifier=named)[0]
    assert (
        probability
        != node("ClassifyRelation", attention=attention, classifier=universal.reading(("mid.0",)))[0]
    )


def test_two_nodes_with_the_universal_classifier_steer_as_one(node, world):
    """Each reads the recommended layers, and both have the same classifier: their relations are joined, as those of two
    nodes with a classifier of the model's own are."""
    steer = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.steer")
    (universal, _) = node("LoadRelationClassifier", classifier_name=UNIVERSAL)
    plan = options(node)
    model = world.model
    for triplet in ("dog | right of | teddy bear", "dog | above | teddy bear"):
        relations = node("RelationPrompt", clip=world.clip, text=PROMPT, triplets=triplet)[1]
        model, _ = node(
            "ApplyRelationSteering", model=model, relations=relations, classifier=universal, options=plan
        )
    assert len(steer.chain_of(model).steerings) == 1


def test_only_if_needed_reads_within_the_classifiers_part_of_the_schedule(node, world):
    """Seven steps, "simple", begin at 0, 1/7, 2/7 ...: the last at half of the schedule or before is step 3, at 3/7."""
    (universal, _) = node("LoadRelationClassifier", classifier_name=UNIVERSAL)
    _, log = steered(node, world, classifier=universal, steer="only if needed", met_at=0.0, steps=7)
    assert {r.step for t in log.runs[0].traces for r in t.records} == {3}


def test_a_refused_classifier_names_the_way_out(node, world):
    import dataclasses

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
        assert '"universal"' in said and "Load Relation Classifier" in said
