"""What several tests of this folder make of a pipeline."""

from dataclasses import replace

import torch

from learn_to_steer.classifiers import SYMMETRIC_RELATIONS, ClassifierCard, SymmetricRelationClassifier
from learn_to_steer.hosts.diffusers import attention_layers, denoiser
from learn_to_steer.objectives import LearnedObjective


def learned(pipe, **changes):
    """The objective of a random classifier that reads every layer. changes: of its card."""
    torch.manual_seed(0)
    heads = sum(layer.heads for layer in attention_layers(denoiser(pipe)))
    card = ClassifierCard(SYMMETRIC_RELATIONS, channels=heads, map_size=8)
    model = SymmetricRelationClassifier(replace(card, **changes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    return LearnedObjective(model)


def plain_images(pipe, prompts, seed, **arguments):
    """The images that the pipeline draws by itself. seed: of the first; each further one has the next."""
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(prompts))]
    return pipe(list(prompts), generator=generators, **arguments).images


def fingerprint(model):
    """Everything that must be as it was: hooks, processors, attributes, and the weights with the gradients asked for."""
    return [
        (
            name,
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            id(getattr(m, "processor", None)),
            id(vars(m).get("forward")),
            sorted(k for k in vars(m) if not k.startswith("_")),
            [(id(p), p.dtype, p.requires_grad) for p in m.parameters(recurse=False)],
        )
        for name, m in model.named_modules()
    ]
