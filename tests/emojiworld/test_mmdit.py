"""EmojiWorld-MMDiT: its size, its training, and every way in which a trained one is used."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from learn_to_steer.attention import token_weights
from learn_to_steer.cli import main
from learn_to_steer.dataset.recording import DRAWS, record, trained_sigmas
from learn_to_steer.emojiworld import WEIGHTS, family_of, load_pipeline
from learn_to_steer.emojiworld.classifiers import shipped
from learn_to_steer.emojiworld.grounding import GROUNDED, ground_joint
from learn_to_steer.emojiworld.mmdit import build_transformer
from learn_to_steer.emojiworld.prompts import object_pairs
from learn_to_steer.emojiworld.scenes import SceneSource, recorder_of
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers import attention_layers, denoiser, generate
from learn_to_steer.hosts.diffusers.flux.transformer import record_flux
from learn_to_steer.training import build


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps of training by the command line: the folder of weights, and that of the training's state."""
    weights, work = tmp_path_factory.mktemp("weights"), tmp_path_factory.mktemp("work")
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.copytree(WEIGHTS / part, weights / part)
    shutil.copy(WEIGHTS / "judge.safetensors", weights / "judge.safetensors")
    train(weights, work, 2)
    return weights, work


def train(weights, work, steps, *more):
    arguments = ["--weights", str(weights), "--work", str(work), "--steps", str(steps), "--batch", "4", *more]
    assert main(["emojiworld", "train", "mmdit", *arguments, "--scenes", "8"]) == 0


@pytest.fixture(scope="module")
def pipe(trained):
    return load_pipeline(trained[0], model="mmdit")


def test_it_is_small():
    transformer = build_transformer()
    assert 3.5e6 < sum(p.numel() for p in transformer.parameters()) < 4.3e6
    assert sum(layer.heads for layer in attention_layers(transformer)) == 40


def test_training_resumes_and_starts_warm(trained, capsys):
    weights, work = trained
    state = torch.load(work / "mmdit.pt", weights_only=True)
    assert state["step"] == 2
    train(weights, work, 3, "--bf16")
    assert torch.load(work / "mmdit.pt", weights_only=True)["step"] == 3
    file = weights / "mmdit" / "transformer" / "diffusion_pytorch_model.safetensors"
    before = load_file(file)
    (work / "mmdit.pt").unlink()
    train(weights, work, 1, "--warm-start", "--learning-rate", "0")
    after = load_file(file)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert before["x_embedder.weight"].dtype == torch.float16


def test_grounded_attention_is_the_models_own_and_what_steering_reads(pipe):
    torch.manual_seed(0)
    transformer = build_transformer()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    places = torch.zeros(64, 3)
    places[:, 1:] = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    given = {
        "hidden_states": torch.randn(2, 64, 16),
        "timestep": torch.rand(2),
        "encoder_hidden_states": torch.randn(2, 32, 128),
        "pooled_projections": torch.randn(2, 128),
        "img_ids": places,
        "txt_ids": torch.zeros(32, 3),
        "return_dict": False,
    }
    weights = token_weights([[[3], [7, 8]]] * 2, 32)
    with torch.no_grad():
        read = record_flux(
            transformer, given["hidden_states"], given["timestep"], given["encoder_hidden_states"], weights, 8, 8, GROUNDED,
            **{k: given[k] for k in ("pooled_projections", "img_ids", "txt_ids")},
        )  # fmt: skip
        plain = transformer(**given)[0]
        kept = ground_joint(transformer)
        grounded = transformer(**given)[0]
    assert torch.allclose(plain, grounded, atol=1e-5)
    for maps, attention in zip(read.maps, kept, strict=True):
        by_head = attention.probabilities.unflatten(0, (2, 4))
        assert torch.allclose(maps[:, 0].flatten(2), by_head[..., 3], atol=1e-6)
        assert torch.allclose(maps[:, 1].flatten(2), by_head[..., 7:9].mean(-1), atol=1e-6)


def test_guidance_is_classifier_free(pipe):
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *a: calls.append(1))
    run = {"seed": 1, "num_inference_steps": 3, "output_type": "latent"}
    guided = generate(pipe, ["a dog", "a fox"], guidance_scale=5.0, **run)
    named = generate(pipe, ["a dog", "a fox"], guidance_scale=5.0, negative_prompt="a car", **run)
    assert (guided.model_calls, len(calls)) == (6, 12)
    free = generate(pipe, ["a dog", "a fox"], guidance_scale=1.0, **run)
    handle.remove()
    assert free.model_calls == 3 and guided.latents.shape == (2, 4, 16, 16)
    assert not torch.equal(guided.latents, named.latents)


def untrained(kind, layers, pipe):
    """A classifier of this kind for this pipeline."""
    present = attention_layers(denoiser(pipe))
    return build(kind, layers, SceneSource.relations, present, recorder_of(pipe), family_of(pipe))


def test_maps_are_recorded_for_its_classifiers(pipe):
    recorded = record(SceneSource(object_pairs("train")), recorder_of(pipe), 2, seed=1)
    assert len(recorded) == 2 * 2 * DRAWS and len(recorded.stack.layers) == 10
    assert trained_sigmas(recorder_of(pipe)) == pytest.approx(
        [1 - i / 20 for i in range(1, 10)]
    )  # at 1 no picture is left
    noised = record(SceneSource(object_pairs("train")), recorder_of(pipe), 2, seed=1, noising=True)
    assert torch.equal(noised.holds, recorded.holds) and torch.equal(noised.timestep, recorded.timestep)
    assert not torch.equal(noised.stack.maps[1], recorded.stack.maps[1])
    for kind, layers in shipped("mmdit").values():
        classifier = untrained(kind, layers, pipe)
        assert classifier.family == family_of(pipe) == "emojiworld-mmdit"
        stacked = recorded.stack.select(layers).stacked(classifier.map_size, "always").float()
        assert classifier(stacked, recorded.timestep).shape == (len(recorded), 4)


def test_commands_take_it(trained, tmp_path, capsys):
    where = str(trained[0] / "mmdit")
    out, prompt = tmp_path / "out", "a dog above a car"
    shared = ["--objective", "centroid", "--steps", "2", "--model", where, "--out", str(out)]
    assert main(["generate", prompt, *shared, "--classifier", _classifier(trained[0], tmp_path)]) == 0
    trace = json.loads((out / "trace.json").read_text())
    (spent,) = trace["trace"]["evaluations"]
    assert trace["settings"]["model"] == "EmojiWorld-MMDiT" and 1 <= spent <= 3  # one of two steps
    assert trace["model_calls"] == {"plain": 4, "steered": 4 + spent}
    evaluate = [
        "evaluate",
        "--model",
        where,
        "--images",
        "2",
        "--batch",
        "2",
        "--steps",
        "2",
        "--settings",
        "plain,centroid",
    ]
    found = ["--classifier", _classifier(trained[0], tmp_path), "--out", str(tmp_path / "figures")]
    assert main([*evaluate, *found]) == 0
    assert "centroid" in (tmp_path / "figures" / "table.md").read_text()


def _classifier(weights, folder):
    from learn_to_steer.classifiers import save_classifier

    file = folder / "classifier.safetensors"
    save_classifier(untrained("mean", ("double.1",), load_pipeline(weights, model="mmdit")), file)
    return str(file)


def test_missing_weights_are_one_sentence(tmp_path):
    with pytest.raises(SteeringError, match="train mmdit"):
        load_pipeline(tmp_path, model="mmdit")
