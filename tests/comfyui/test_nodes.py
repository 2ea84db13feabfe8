"""Every node once, and bad input in one sentence."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from conftest import PACK, ROOT, latents, options, steered, stock


def _said(relations):
    """The relations of a prompt in words."""
    return [f"{t.subject} {t.relation} {t.object}" for t in relations.triplets]


def test_nothing_heavy_at_the_door():
    import subprocess

    code = (
        "import importlib.util, sys; "
        f"s = importlib.util.spec_from_file_location('p', r'{ROOT / '__init__.py'}'); "
        "m = importlib.util.module_from_spec(s); sys.modules['p'] = m; s.loader.exec_module(m); "
        "assert not {'torch', 'numpy', 'comfy', 'p.nodes', 'p.learn_to_steer'} & set(sys.modules); "
        "assert not hasattr(m, 'NODE_CLASS_MAPPINGS')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_host_can_describe_every_node(node):
    assert len(node.classes) == 21
    for node_class in node.classes.values():
        schema = node_class.GET_SCHEMA()
        schema.validate()
        assert schema.category == "Learn-to-Steer" and schema.description
        parts = (schema.inputs or []) + (schema.outputs or [])
        assert len({part.id for part in parts}) == len(parts)  # the oldest hosts want them all different
        for part in parts:
            assert part.tooltip, (schema.node_id, part.id)
        json.dumps(node_class.GET_NODE_INFO_V1(), default=str)


def test_help_and_words_exist_for_every_node(node):
    for language in ("en", "de"):
        definitions = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text())
        for node_class in node.classes.values():
            schema = node_class.GET_SCHEMA()
            said = definitions[schema.node_id]
            assert said["display_name"] and said["description"]
            assert set(said.get("inputs", {})) == {i.id for i in schema.inputs or []}
            assert (ROOT / "web" / "docs" / f"{schema.node_id}.md").is_file()


def test_the_pack_needs_only_what_the_host_has(pack, node, world):
    mine = [name for name in sys.modules if name.startswith(f"{PACK}.")]
    assert f"{PACK}.learn_to_steer.steering" in mine
    assert not any(name.endswith(".hosts.diffusers") for name in mine)
    assert "matplotlib" not in {m.split(".")[0] for m in mine}


def test_report_heatmaps_and_reading(node, world):
    result, log = steered(node, world, latent=latents(2))
    with torch.inference_mode():
        pictures = world.vae.decode(result)
    sheets, text, data = node("SteeringReport", trace=log, image=pictures)
    assert sheets.shape[0] == 2 and sheets.shape[-1] == 3 and sheets.std() > 0.01
    assert text.count("dog to the right of teddy bear") == 2
    assert len(json.loads(data)["records"]) == len(log.latest.records)
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations,
        latent={"samples": result}, noise_level=0.8, seed=0,
    )  # fmt: skip
    images, objects = node("AttentionHeatmaps", attention=attention, image=pictures, layers="")
    assert images.shape == (4, 128, 128, 3) and objects.splitlines() == ["dog", "teddy bear"] * 2
    assert not torch.equal(images[0], images[1])
    one, _ = node("AttentionHeatmaps", attention=attention, image=pictures, layers="mid.0")
    assert not torch.equal(one, images)
    probability, said = node("ClassifyRelation", attention=attention, classifier=world.classifier)
    assert 0 <= probability <= 1 and len(said.splitlines()) == 2


def test_report_of_a_plain_run(node, world):
    with torch.inference_mode():
        pictures = world.vae.decode(stock(world))
    _, log = steered(node, world, options=options(node, strength=0.0))
    sheets, text, data = node("SteeringReport", trace=log, image=pictures)
    assert (
        text == "picture 1: Not steered: Steering is switched off: the strength is 0."
        and sheets.shape[0] == 1
    )
    assert json.loads(data)["runs"] == [] and "records" not in json.loads(data)


def test_captured_maps_are_those_of_the_model(node, world):
    """The maps of one layer, computed here from the host's own Q and K."""
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations,
        latent=latents(), noise_level=1.0, seed=3,
    )  # fmt: skip
    assert [layer.name for layer in attention.maps.layers] == [
        "down.0.0", "down.1.0", "mid.0", "up.0.0", "up.0.1", "up.1.0", "up.1.1",
    ]  # fmt: skip
    assert attention.maps.channels == 28
    taken = []

    def patch(q, k, v, extra):
        import comfy.ldm.modules.attention as host

        if 0 in extra["cond_or_uncond"]:
            taken.append((q.clone(), k.clone()))
        return host.optimized_attention(q, k, v, extra["n_heads"])

    model = world.model.clone()
    model.set_model_attn2_replace(patch, "middle", 0)
    import comfy.sample

    with torch.inference_mode():
        sigma = float(model.get_model_object("model_sampling").sigma_max)
        noise = comfy.sample.prepare_noise(latents()["samples"], 3)
        import comfy.samplers

        comfy.samplers.sample(
            model, noise, world.positive, world.positive, 1.0, "cpu", comfy.samplers.sampler_object("euler"),
            torch.tensor([sigma, 0.0]), latent_image=latents()["samples"],
        )  # fmt: skip
        q, k = taken[0]
        query, key = (t.view(1, -1, 4, t.shape[-1] // 4).transpose(1, 2) for t in (q[:1], k[:1]))
        shares = (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1)[..., 2]
    mine = attention.maps.select(["mid.0"]).maps[0][0, 0].flatten(1)
    assert torch.allclose(mine, shares[0], atol=2e-3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a (dog:1.3) to the right of a teddy bear", ["dog"]),
        ("((a dog)) to the right of a [teddy bear]", ["dog", "teddy bear"]),
        ("a photo of a dog to the right of a teddy bear, embedding:nothing", ["dog", "teddy bear"]),
    ],
)
def test_weighted_prompts(node, world, text, expected):
    _, relations, said = node("RelationPrompt", clip=world.clip, text=text)
    for words in expected:
        assert words in said
    ids = [t[0] for chunk in world.clip.tokenize(text)["l"] for t in chunk]
    dog = [t[0] for t in world.clip.tokenize("dog")["l"][0]][1]
    triplet = relations.triplets[0]
    assert [ids[p] for p in relations.tokens_of(triplet.subject_noun)] == [dog]


def test_words_beyond_the_first_chunk(node, world):
    text = "a balloon " * 20 + ". a dog to the right of a teddy bear"
    _, relations, _ = node("RelationPrompt", clip=world.clip, text=text)
    assert relations.length == 64
    (triplet,) = relations.triplets
    for noun in (triplet.subject_noun, triplet.object_noun):
        assert min(relations.tokens_of(noun)) > 32
    positive, relations, _ = node("RelationPrompt", clip=world.clip, text=text)
    _, log = steered(node, world, positive=positive, relations=relations)
    assert log.latest.records


def test_manual_triplets(node, world):
    _, relations, said = node(
        "RelationPrompt",
        clip=world.clip,
        text="a dog and a teddy bear",
        triplets="dog | right of | teddy bear\n",
    )
    assert said == "dog | to the right of | teddy bear"


def test_doubtful_relations_are_shown_and_taken_by_hand(node, world):
    text = "a pig on its hind legs, a dog above a car"
    _, relations, said = node("RelationPrompt", clip=world.clip, text=text)
    lines = said.splitlines()
    assert lines[0] == "dog | above | car" and _said(relations) == ["dog above car"]
    assert lines[1].startswith("Doubtful, not steered: pig | above | hind legs (") and "triplets" in lines[2]
    line = lines[1].removeprefix("Doubtful, not steered: ").split(" (")[0]
    _, relations, said = node("RelationPrompt", clip=world.clip, text=text, triplets=line)
    assert said == line and _said(relations) == ["pig above hind legs"] and relations.doubtful == ()


def test_what_is_not_read_is_said(node, world):
    positive, relations, said = node("RelationPrompt", clip=world.clip, text="собака слева от кошки")
    assert positive and not relations.triplets
    assert said.splitlines()[0].startswith("No relation found") and "which is not read" in said


def test_the_report_says_what_was_left_out_and_doubted(node, world):
    def reasons(text, triplets=""):
        relations = node("RelationPrompt", clip=world.clip, text=text, triplets=triplets)[1]
        model, log = node(
            "ApplyRelationSteering", model=world.model, relations=relations, classifier=world.classifier
        )
        if not relations.triplets:
            assert model is world.model
        return log.reasons

    (doubted,) = reasons("a pig on its hind legs")[1:]
    assert doubted.startswith('"pig above hind legs" is doubtful: ')
    (lost,) = reasons("a dog above a car", "dog | above | car\ndog | above | zebra")
    assert lost.startswith('"dog | above | zebra": Expected the prompt to mention')
    assert "which is not read" in reasons("собака слева от кошки")[1]


def _sentence(error):
    text = str(error.value)
    assert text.startswith("Expected") and text.endswith(".") and "\n" not in text
    return text


@pytest.mark.parametrize(
    "line",
    ["dog right of teddy bear", "dog | right of | zebra", "dog | loves | teddy bear", "dog | right of |"],
)
def test_bad_triplets_are_named_and_stop_nothing(node, world, line):
    text = "a dog and a teddy bear"
    conditioning, relations, said = node(
        "RelationPrompt", clip=world.clip, text=text, triplets=f"{line}\ndog | above | teddy bear"
    )
    assert [f"{t.subject} {t.relation} {t.object}" for t in relations.triplets] == ["dog above teddy bear"]
    ((words, reason),) = relations.left_out
    assert words == line and reason.startswith("Expected") and reason.endswith(".") and "\n" not in reason
    assert said.splitlines() == ["dog | above | teddy bear", f"Left out: {line}. {reason}"]
    plain = world.clip.encode_from_tokens_scheduled(world.clip.tokenize(text))
    assert torch.equal(conditioning[0][0], plain[0][0])


def test_bad_files(node, world, tmp_path):
    import folder_paths

    with pytest.raises(ValueError) as error:
        node("LoadRelationClassifier", classifier_name="nothing.safetensors")
    assert "relation_classifiers" in _sentence(error)
    (tmp_path / "damaged.safetensors").write_bytes(b"no")
    (tmp_path / "code.pth").write_bytes(b"\x80\x04cos\nsystem\n.")
    paths = folder_paths.folder_names_and_paths["relation_classifiers"][0]
    paths.append(str(tmp_path))
    try:
        for name in ("damaged.safetensors", "code.pth"):
            with pytest.raises(ValueError) as error:
                node("LoadRelationClassifier", classifier_name=name)
            _sentence(error)
    finally:
        paths.remove(str(tmp_path))


def test_bad_graphs(node, world):
    import dataclasses
    from importlib import import_module

    objectives = import_module(f"{PACK}.learn_to_steer.objectives")
    other = objectives.LearnedObjective(world.classifier.classifier)
    other.classifier.card = other.card = dataclasses.replace(other.card, family="sd1")
    with pytest.raises(ValueError) as error:
        steered(node, world, classifier=other)
    assert "sd1" in _sentence(error)
    with pytest.raises(ValueError) as error:
        steered(node, world, options=options(node, layers="up.9.9"))
    assert "up.9.9" in _sentence(error)
    with pytest.raises(ValueError) as error:
        options(node, start=0.5, end=0.2)
    _sentence(error)
    foreign, _, _ = node("RelationPrompt", clip=world.clip, text="a cat " * 30)
    with pytest.raises(ValueError) as error:
        steered(node, world, positive=foreign)
    assert "another prompt" in _sentence(error)
    (attention,) = node(
        "CaptureAttention", model=world.model, positive=world.positive, relations=world.relations, latent=latents(),
        noise_level=0.5, seed=0,
    )  # fmt: skip
    with pytest.raises(ValueError) as error:
        node("AttentionHeatmaps", attention=attention, image=torch.zeros(2, 128, 128, 3))
    _sentence(error)
    nothing = node("RelationPrompt", clip=world.clip, text="a dog")[1]
    with pytest.raises(ValueError) as error:
        node(
            "CaptureAttention", model=world.model, positive=world.positive, relations=nothing, latent=latents(),
            noise_level=0.5, seed=0,
        )  # fmt: skip
    _sentence(error)


def test_no_options_is_the_plan_fast(node, world):
    fast, _ = steered(node, world, options=options(node, plan="fast"))
    bare, log = steered(node, world, options=None)
    assert torch.equal(bare, fast) and max(r.evaluation for r in log.latest.records) > 0
