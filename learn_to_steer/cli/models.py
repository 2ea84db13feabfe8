"""Which model draws, which classifier says what is right, and whether both can do what is asked.

Everything is checked here, before anything is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..emojiworld import CROWD, FAMILIES, SHIPPED
from ..errors import SteeringError
from ..language import RelationTriplet, Understanding, understandings, written_triplet

if TYPE_CHECKING:
    import torch

    from ..classifiers import RelationReader
    from ..hosts.diffusers.protocol import Pipeline
    from ..objectives import Objective

JUDGE = "judge.safetensors"


@dataclass(frozen=True)
class ModelFolder:
    """A diffusers folder, not read yet. model: which of EmojiWorld's. family: of EmojiWorld, None where the denoiser
    will tell."""

    path: Path
    is_emojiworld: bool
    model: str = "unet"

    @property
    def family(self) -> str | None:
        return FAMILIES[self.model] if self.is_emojiworld else None

    @property
    def name(self) -> str:
        if not self.is_emojiworld:
            return self.path.resolve().name
        name = "EmojiWorld" if self.model == "unet" else "EmojiWorld-MMDiT"
        return f"{name}, for crowds" if self.path == CROWD else name


def model_folder(path: Path | None) -> ModelFolder:
    """The model in this folder; None or "unet" is EmojiWorld's UNet as shipped, "mmdit" its transformer, and so on
    (`SHIPPED`). A folder with EmojiWorld's judge is an EmojiWorld, and a folder mmdit inside it is its transformer.

    Raises SteeringError where there is no pipeline that can be steered.
    """
    if path is None or str(path) in SHIPPED:
        folder, model = SHIPPED["unet" if path is None else str(path)]
        return ModelFolder(folder, True, model)
    if CROWD.resolve() in (path.resolve(), path.resolve().parent):
        return ModelFolder(CROWD, True, "mmdit" if path.name == "mmdit" else "unet")
    if path.name == "mmdit" and (path.parent / JUDGE).is_file():
        return ModelFolder(path.parent, True, "mmdit")
    if not (path / "model_index.json").is_file():  # said here, before the heavy imports
        raise SteeringError(
            f"Expected a diffusers folder at {path}, found no readable model_index.json; check it."
        )
    from ..hosts.diffusers.loading import class_of

    class_of(path)
    return ModelFolder(path, (path / JUDGE).is_file())


def load_pipeline(
    folder: ModelFolder, device: str = "auto", dtype: str = "auto", offload: str = "none"
) -> Pipeline:
    """The model, ready to draw, without progress bars.

    device, dtype, offload: see `arguments.DEVICES`, `DTYPES` and `OFFLOADS`. Raises SteeringError for a damaged folder, a
    device that is not there, and offloading to the CPU itself.
    """
    import diffusers
    import transformers

    from ..hosts.diffusers.loading import load_folder

    device = device_of(device)
    number_format = dtype_of(dtype, device, folder)
    if offload != "none" and device == "cpu":
        raise SteeringError(
            f"Expected a GPU for --offload {offload}, which moves what is not used from it to the CPU, got the device cpu; "
            "leave --offload out."
        )
    # Progress bars and notes of the libraries would drown what the command has to say.
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    try:
        if not folder.is_emojiworld:
            return load_folder(folder.path, device, number_format, offload)  # type: ignore[arg-type]
        from ..emojiworld import load_pipeline as load

        if offload != "none":
            raise SteeringError(
                f"Expected --offload none for {folder.name}, which needs 60 MB, got {offload}; leave it out."
            )
        return load(folder.path, device, folder.model).to(number_format)
    except SteeringError:
        raise
    except Exception as error:  # diffusers, transformers and safetensors each have their own
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise SteeringError(
            f"Expected a whole model in {folder.path}, but it cannot be loaded ({reason[0]}); get it again."
        ) from error


def device_of(name: str) -> str:
    """ "auto" -> the best device there is; another name is that device. Raises SteeringError where it is not there."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, is_there in there.items() if is_there)
    if not there[name]:
        raise SteeringError(
            f"Expected a device {name}, but torch {torch.__version__} finds none; use --device cpu or auto."
        )
    return name


def dtype_of(name: str, device: str, folder: ModelFolder) -> torch.dtype:
    """ "auto" -> float32 on the CPU and for EmojiWorld, whose figures are made in it; elsewhere half precision, bfloat16
    for Flux, whose activations float16 cannot hold."""
    import torch

    if name != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    if device == "cpu" or folder.is_emojiworld:
        return torch.float32
    from ..hosts.diffusers.loading import class_of

    return torch.bfloat16 if class_of(folder.path) == "FluxPipeline" else torch.float16


def load_reader(path: Path | None, folder: ModelFolder) -> RelationReader:
    """The classifier in this file; None is EmojiWorld's own for EmojiWorld and the universal one for every other model.

    Raises SteeringError for a bad file.
    """
    from ..classifiers import default_classifier, load_classifier

    if path is not None:
        return load_classifier(path)
    shipped = default_classifier(folder.family or "")
    beside = folder.path / shipped.name
    return load_classifier(beside if folder.is_emojiworld and beside.is_file() else shipped)


def build_objective(kind: str, classifier: Path | None, folder: ModelFolder) -> Objective:
    """kind: "learned", or "centroid" on the layers that the classifier reads (all, where there is none)."""
    from ..objectives import CentroidObjective, LearnedObjective

    if kind == "learned":
        return LearnedObjective(load_reader(classifier, folder))
    if classifier is None and not folder.is_emojiworld:
        return CentroidObjective()
    return CentroidObjective(layers=load_reader(classifier, folder).layers)


def steerable(triplets: Sequence[RelationTriplet], objective: Objective) -> list[RelationTriplet]:
    """Those whose relation the objective knows. Raises SteeringError where it knows none of several."""
    from ..hosts.targets import knows
    from ..objectives import RelationTarget

    known = [t for t in triplets if knows(objective, t.relation.value)]
    if triplets and not known:
        objective.check([[RelationTarget(0, 1, triplets[0].relation.value)]])
    return known


def nouns(prompt: str, triplet: RelationTriplet) -> tuple[str, str]:
    """Subject and object without adjectives, in lower case, as EmojiWorld's judge names them."""
    first, second = prompt[slice(*triplet.subject_noun)], prompt[slice(*triplet.object_noun)]
    return " ".join(first.lower().split()), " ".join(second.lower().split())


def check_objects(prompt: str, triplets: Sequence[RelationTriplet]) -> None:
    """Raises SteeringError unless EmojiWorld knows the related objects and at least one object at all."""
    from ..emojiworld.world import OBJECTS

    named = dict.fromkeys(noun for t in triplets for noun in nouns(prompt, t))
    unknown = [noun for noun in named if noun not in OBJECTS]
    mentioned = any(re.search(rf"\b{name}\b", " ".join(prompt.lower().split())) for name in OBJECTS)
    if unknown or not mentioned:
        got = f'"{", ".join(unknown)}"' if unknown else f'"{prompt}"'
        raise SteeringError(
            f"Expected objects that EmojiWorld knows ({', '.join(OBJECTS)}), got {got}; "
            "use these or another model with --model FOLDER."
        )


def understanding_of(prompt: str, given: Sequence[str] | None) -> Understanding:
    """The relations to draw: the given ones ("dog | right of | teddy bear"), or those that the prompt states. Raises
    SteeringError for an empty prompt, and as `written_triplet` and `understandings` do."""
    if not prompt.strip():
        raise SteeringError(
            'Expected a prompt, got an empty one; say what to draw, such as "a dog above a car".'
        )
    triplets = [written_triplet(text) for text in given] if given else None
    (understanding,) = understandings([prompt], [triplets] if triplets else None)
    return understanding
