"""EmojiWorld-MMDiT in the host gives what it gives under diffusers, from the same files, plainly and steered.

The weights are random ones of the shipped layout, written here by diffusers and transformers; without these the
comparison is skipped, and says so.
"""

from __future__ import annotations

import shutil
import sys
from importlib import import_module

import pytest
import torch
from conftest import PACK, PROMPT, ROOT, latents, options, steered, stock, world_of

pytest.importorskip(
    "diffusers", reason="the host's interpreter has no diffusers; install it there to compare"
)


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.append(str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, importable):
    """EmojiWorld's weights with a transformer whose every layer does something."""
    from learn_to_steer.emojiworld import WEIGHTS
    from learn_to_steer.emojiworld.mmdit import FOLDER, build_flow_scheduler, build_transformer

    made = tmp_path_factory.mktemp("weights")
    for part in ("vae", "tokenizer"):
        shutil.copytree(WEIGHTS / part, made / part)
    shutil.copytree(WEIGHTS / "text_encoder", made / FOLDER / "text_encoder")
    torch.manual_seed(0)
    transformer = build_transformer()
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if "norm_" not in name.split(".")[-2]:
                parameter.copy_(torch.randn_like(parameter) * 0.5 / max(1, parameter[0].numel()) ** 0.5)
    transformer.half().save_pretrained(made / FOLDER / "transformer")
    build_flow_scheduler().save_pretrained(made / FOLDER / "scheduler")
    return made


@pytest.fixture(scope="module")
def pipeline(folder):
    from learn_to_steer.emojiworld import load_pipeline

    return load_pipeline(folder, model="mmdit")


@pytest.fixture(scope="module")
def mmdit(pack, node, folder):
    """As conftest's `world`, with the transformer."""
    loader = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.load")
    return world_of(node, *loader.load_emojiworld(folder, "mmdit"), "none: compare centres of attention")


def test_layers_family_and_schedule(mmdit):
    import comfy.samplers
    from conftest import PACK

    reading = sys.modules[f"{PACK}.learn_to_steer.hosts.comfyui.read.evaluation"]
    located = reading.located_layers(mmdit.model.model.diffusion_model)
    assert [s.layer.name for s in located] == [f"double.{i}" for i in range(4)] + [
        f"single.{i}" for i in range(6)
    ]
    assert reading.model_family(mmdit.model.model) == "emojiworld-mmdit"
    sigmas = comfy.samplers.calculate_sigmas(mmdit.model.get_model_object("model_sampling"), "simple", 20)
    assert torch.allclose(sigmas, torch.linspace(1, 0, 21), atol=1e-6)


@pytest.mark.parametrize("seed", [3, 11])
def test_same_latents_as_the_diffusers_host(node, mmdit, pipeline, seed):
    from learn_to_steer.hosts.diffusers import generate
    from learn_to_steer.objectives import CentroidObjective
    from learn_to_steer.steering import SteeringPlan

    scale = mmdit.model.model.latent_format.scale_factor
    arguments = {"seed": seed, "num_inference_steps": 8, "guidance_scale": 3.0, "output_type": "latent"}
    plan = SteeringPlan(end=0.25, evaluations_per_step=1, step_rule="relative", step_size=0.2, reached=1.0)
    ours = [
        stock_at(mmdit, seed),
        steered(node, mmdit, "euler", steps=8, seed=seed, cfg=3.0, options=options(node, reached=1.0))[0],
    ]
    for goal, mine in zip((None, CentroidObjective()), ours, strict=True):
        theirs = generate(pipeline, PROMPT, objective=goal, plan=plan, **arguments).latents / scale
        assert (theirs - mine).abs().max() < 0.02 * theirs.std()
    assert not torch.equal(*ours) and latents()["samples"].shape == ours[0].shape


def stock_at(mmdit, seed):
    import nodes as host_nodes

    with torch.inference_mode():
        (result,) = host_nodes.KSampler().sample(
            mmdit.model, seed, 8, 3.0, "euler", "simple", mmdit.positive, mmdit.negative, latents(), 1.0
        )
    return result["samples"]


def test_without_its_weights_it_is_refused_in_one_sentence(node, folder, tmp_path):
    from conftest import PACK

    loader = import_module(f"{PACK}.learn_to_steer.emojiworld.comfyui.load")
    with pytest.raises(ValueError, match="mmdit/transformer") as error:
        loader.load_emojiworld(tmp_path, "mmdit")
    assert "\n" not in str(error.value)


def test_pictures_come_out(mmdit):
    with torch.inference_mode():
        picture = mmdit.vae.decode(stock(mmdit))
    assert picture.shape == (1, 128, 128, 3) and picture.isfinite().all()
