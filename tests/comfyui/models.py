"""Which of the host's image models can be steered, as a Markdown table.

    python tests/comfyui/models.py > docs/models.md

Run with an interpreter that can import the host, COMFYUI_PATH set. For every model the host supports whose latents are
pictures, or videos of which one frame is a picture to a network that is read: the class of its network, whether its
attention can be read, and whether the words of a prompt are found among the tokens of its own text encoder - both asked of
the code that steers, which refuses in one sentence.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import SimpleNamespace

os.environ["LEARN_TO_STEER_HOST_TESTS"] = "1"

import conftest  # noqa: E402


class _Found(Exception):
    """Carries the network's class out of a model's constructor."""


def network_of(config) -> type:
    """The class of the network of a supported model; none is built. Raises what the host raises."""
    from comfy import model_base

    original = model_base.BaseModel.__init__

    def stop(self, model_config, *args, **kwargs):
        unet_model = kwargs.get("unet_model", args[2] if len(args) > 2 else model_base.UNetModel)
        raise _Found(unet_model)

    model_base.BaseModel.__init__ = stop
    try:
        config.get_model({}, "")
    except _Found as found:
        return found.args[0]
    finally:
        model_base.BaseModel.__init__ = original
    raise TypeError("its model is built in a way of its own")


def attention(network: type) -> str:
    """ "yes", or the sentence of refusal."""
    reading = import_module(f"{conftest.PACK}.learn_to_steer.hosts.comfyui.read.evaluation")
    try:
        reading._reader(network.__new__(network))
    except ValueError as error:
        return str(error)
    return "yes"


def words(config) -> str:
    """ "yes" with the length of the text, or why not."""
    prompt = import_module(f"{conftest.PACK}.learn_to_steer.hosts.comfyui.prompt.relations")
    try:
        tokenizer = config.clip_target({}).tokenizer()
    except Exception as error:  # each encoder wants files of its own
        return f"not tried: its tokenizer is in its checkpoint ({type(error).__name__})"
    try:
        clip = SimpleNamespace(tokenize=tokenizer.tokenize_with_weights)
        relations = prompt.read_prompt(clip, conftest.PROMPT)
    except Exception as error:
        return str(error).splitlines()[0]
    return f"yes, {relations.length} tokens"


def main() -> None:
    """Print the table."""
    import comfy.supported_models
    import comfyui_version

    conftest.node.__wrapped__(conftest.load_pack())
    print("# Models\n")
    print(
        f"ComfyUI {comfyui_version.__version__}, made by `tests/comfyui/models.py`. A model is steered where its attention "
        "can be read and the prompt's words are found; every other one is refused before sampling, in the sentence given.\n"
    )
    print("| model | network | attention can be read | words are found |\n|---|---|---|---|")
    refused = ""
    for kind in comfy.supported_models.models:
        flat = getattr(kind.latent_format, "latent_dimensions", 2) == 2
        some = {"in_channels": 16, "out_channels": 16, "num_layers": 1, "hidden_size": 64}
        config = kind({**kind.unet_config, **some})
        try:
            network = network_of(config)
        except Exception as error:
            if flat:
                print(f"| {kind.__name__} | not known ({type(error).__name__}) | | |")
            continue
        said = attention(network)
        if not flat and said != "yes":
            continue
        refused = said if said != "yes" else refused
        found = words(config) if said == "yes" else ""
        print(
            f"| {kind.__name__} | {network.__name__} | {'yes' if said == 'yes' else 'no'} | {found} |",
            flush=True,
        )
    print(f'\nThe sentence: "{refused}"')


if __name__ == "__main__":
    main()
