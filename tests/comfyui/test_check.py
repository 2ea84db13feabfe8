"""Check Steering in the host: EmojiWorld will obey, with spoilt attention it will not, and what cannot be read is said."""

from __future__ import annotations

import pytest
import torch
from conftest import latents

PROMPTS = "a car to the right of a cactus\na fox above an umbrella"


def check(node, world, **changes):
    given = {
        "model": world.model, "clip": world.clip, "vae": world.vae, "classifier": world.classifier, "steps": 12,
        "latent_image": latents(), "prompts": PROMPTS, "seed": 0, "seeds": 2, "cfg": 6.0, "sampler_name": "euler",
        "scheduler": "simple", **changes,
    }  # fmt: skip
    return node("CheckSteering", **given)


@pytest.fixture(scope="module")
def checked(node, world):
    return check(node, world)


def test_emojiworld_will_obey(checked):
    sheet, text, obeys = checked
    assert obeys is True and text.startswith("Will obey. Its maps tell words apart")
    assert "Model family emojiworld-unet; 2 of its 7 attention layers read (down.0.0, up.1.0)." in text
    assert "4 pictures of 128 x 128 pixels each way. Passes: " in text and "GiB of memory at the peak" in text
    assert text.splitlines()[-1].startswith("Settings: Apply Relation Steering")
    assert sheet.ndim == 4 and sheet.shape[0] == 1 and sheet.std() > 0.05


def test_a_model_that_is_steered_already_is_checked_plainly(node, world, checked):
    applied, _ = node(
        "ApplyRelationSteering", model=world.model, relations=world.relations, classifier=world.classifier
    )
    sheet, text, _ = check(node, world, model=applied)
    assert torch.equal(sheet, checked[0]) and text.splitlines()[4:] == checked[1].splitlines()[4:]


def test_spoilt_attention_will_not(node, own):
    with torch.inference_mode():
        for name, module in own.model.model.diffusion_model.named_modules():
            if "attn2" in name and name.endswith("to_k"):
                order = torch.randperm(len(module.weight), generator=torch.Generator().manual_seed(0))
                module.weight.copy_(module.weight[order])
    _, text, obeys = check(node, own, seeds=4)
    assert obeys is False and text.startswith(
        "Will not obey. The maps of two different words are nearly the same"
    )
    assert "Settings:" not in text


def test_a_network_that_cannot_be_read(node, own):
    network = own.model.model.diffusion_model

    class Other(torch.nn.Module):  # the same answers, in a class that no reader knows
        def __init__(self):
            super().__init__()
            self.inner, self.dtype = network, network.dtype

        def forward(self, *args, **kwargs):
            return self.inner(*args, **kwargs)

    own.model.model.diffusion_model = Other()
    _, text, obeys = check(node, own, seeds=1)
    assert obeys is False
    assert text.startswith(
        "Cannot be read. This model's attention cannot be read, so nothing can be steered in it: Expected"
    )
    assert "got Other" in text


def test_a_classifier_of_another_model_is_refused(node, world):
    (other, _) = node("LoadRelationClassifier", classifier_name="emojiworld-mmdit-symmetric.safetensors")
    with pytest.raises(ValueError, match="Expected a classifier for"):
        check(node, world, classifier=other)
    with pytest.raises(ValueError, match="Expected a prompt that states one relation with a direction"):
        check(node, world, prompts="a dog and a cat")


@pytest.fixture(scope="module")
def rt_detr():
    """The host's own network with random weights, as Load Diffusion Model gives it."""
    supported = pytest.importorskip("comfy.supported_models")
    if not hasattr(supported, "RT_DETR_v4"):
        pytest.skip("this host has no RT-DETR")
    import comfy.model_patcher

    torch.manual_seed(0)
    config = supported.RT_DETR_v4({"image_model": "RT_DETR_v4", "dtype": torch.float32})
    with torch.inference_mode():
        model = config.get_model({}, device="cpu")
        for name, weight in model.diffusion_model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                weight.copy_(torch.full_like(weight, 0.0 if name.endswith("bias") else 1.0))
            else:
                weight.copy_(torch.randn_like(weight) * weight[0].numel() ** -0.5 if weight.ndim > 1 else 1.0)
        for name, buffer in model.diffusion_model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.fill_(float(name.endswith("var")))
    return comfy.model_patcher.ModelPatcher(model.eval(), torch.device("cpu"), torch.device("cpu"))


def test_the_hosts_detector_decides(node, world, rt_detr):
    _, text, obeys = check(
        node,
        world,
        detector=rt_detr,
        prompts="a dog to the right of a car\nan elephant above an umbrella",
        steps=6,
    )
    said = text.splitlines()
    (judged,) = (line for line in said if line.startswith("Judge: the relation in "))
    assert "both objects in" in said[0] and judged.endswith("%.")
    assert obeys is False  # random weights see no dog


def test_what_cannot_be_judged_is_said_first(node, world, rt_detr):
    with pytest.raises(ValueError, match=r'judge "RT-DETR" knows, got "cactus"'):
        check(node, world, detector=rt_detr)
    with pytest.raises(ValueError, match="Expected an RT-DETR model as the detector"):
        check(node, world, detector=world.model)
