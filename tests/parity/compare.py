"""Compare this implementation with worked cases of the original.

    python tests/parity/compare.py DIR --host diffusers
    python tests/parity/compare.py DIR --host comfyui

The second runs the Flux cases through ComfyUI's own Flux class, with the same weights under its names; it wants an
interpreter that can import the host, which is found through COMFYUI_PATH, else in ~/comfy/ComfyUI.

DIR holds, for any name: `<name>_case.safetensors` (inputs, and what the original made of them),
`<name>_classifier.pth`, and the model in diffusers layout as `<name>_unet/` or `<name>_transformer/`. Prints,
for the maps, logits, loss, gradient and updated latents, the largest difference over the largest reference
value, and the same in L2 norms. Exit code 0 where all stay within the tolerance, 1 where one does not, 2 on
bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from learn_to_steer.attention import MapStack, token_weights
from learn_to_steer.classifiers import RelationReader, load_classifier
from learn_to_steer.errors import SteeringError  # noqa: E402
from learn_to_steer.objectives import Reading  # noqa: E402
from learn_to_steer.steering import SteeringLoop, SteeringPlan, SteeringTrace  # noqa: E402

TOLERANCE = 1e-4
Read = Callable[[Tensor], MapStack]


@dataclass(frozen=True)
class Error:
    """Relative errors of one quantity."""

    case: str
    quantity: str
    largest: float
    l2: float

    @property
    def worst(self) -> float:
        return max(self.largest, self.l2)


def compare(folder: Path, host: str = "diffusers") -> list[Error]:
    """All cases of a folder; under "comfyui" those of Flux. Raises SteeringError for a folder without cases and for
    incomplete or damaged ones."""
    cases = sorted(folder.glob("*_case.safetensors"))
    if not cases:
        raise SteeringError(
            f"Expected files named *_case.safetensors in {folder}, found none; check the folder."
        )
    if host == "comfyui":
        cases = [c for c in cases if _model_folder(c, "transformer").is_dir()]
        if not cases:
            raise SteeringError(
                f"Expected a case with a folder *_transformer in {folder}, found none; use --host diffusers."
            )
    return [error for case in cases for error in _compare_case(case, host)]


def _model_folder(case: Path, kind: str) -> Path:
    return case.with_name(f"{case.name.removesuffix('_case.safetensors')}_{kind}")


def _compare_case(path: Path, host: str) -> list[Error]:
    name = path.name.removesuffix("_case.safetensors")
    try:
        case = load_file(path)
    except (SafetensorError, OSError) as error:
        raise SteeringError(
            f"Expected a whole safetensors file, but {path.name} is damaged; copy it again."
        ) from error
    required = {"latents", "context", "timestep", "obj1", "obj2", "step", "target", "step_size"}
    required |= {"maps1", "maps2", "logits", "loss", "grad", "updated"}
    if missing := sorted(required - case.keys()):
        raise SteeringError(
            f"Expected the tensors {', '.join(missing)} in {path.name}, found none; use a whole case."
        )
    classifier = load_classifier(path.with_name(f"{name}_classifier.pth"))
    gradients: AbstractContextManager[None] = nullcontext()
    if host == "comfyui":
        try:
            import comfyui_flux  # beside this file
        except ImportError as error:
            raise SteeringError(
                f"Expected an interpreter that can import ComfyUI, but {error.name} is missing; use the host's own."
            ) from error
        read, gradients = (
            comfyui_flux.reader(_model_folder(path, "transformer"), case),
            comfyui_flux.gradients(),
        )
    else:
        read = _reader(path.parent, name, case)
    try:
        with gradients:
            made = reproduce(case, read, classifier)
    except (RuntimeError, IndexError) as error:
        raise SteeringError(
            f"Expected model, classifier and inputs of case {name} to fit each other, but: {error}; use a "
            "whole case."
        ) from error
    return [_error(name, key, made[key], case[key]) for key in made]


def reproduce(case: dict[str, Tensor], read: Read, classifier: RelationReader) -> dict[str, Tensor]:
    """What this implementation makes of a case's inputs: maps1, maps2, logits, loss, grad, updated."""
    latents, step, target = case["latents"], case["step"].reshape(-1).long(), case["target"].reshape(-1)
    kept: dict[str, Tensor] = {}

    def evaluate(z: Tensor, images: object) -> Reading:
        stacked = read(z).stacked(classifier.map_size, classifier.renormalise, classifier.card.resize)
        logits = classifier(stacked, step)
        loss = F.cross_entropy(logits, target, reduction="none")
        (grad,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
        kept.update(maps1=stacked[0, 0].detach(), maps2=stacked[0, 1].detach())
        kept.update(logits=logits.detach(), loss=loss.detach(), grad=grad)
        return Reading(loss[:, None], (-loss.detach()).exp()[:, None], torch.ones(1, 1, dtype=torch.bool))

    plan = SteeringPlan(
        step_rule="gradient", step_size=float(case["step_size"]), evaluations_per_step=1, reached=None
    )
    kept["updated"] = SteeringLoop(plan, SteeringTrace([["relation"]]), [0]).steer(latents, evaluate, 0)
    return kept


def _reader(folder: Path, name: str, case: dict[str, Tensor]) -> Read:
    positions = [[case["obj1"].reshape(-1).tolist(), case["obj2"].reshape(-1).tolist()]]
    weights = token_weights(positions, case["context"].shape[1])
    if (at := folder / f"{name}_unet").is_dir():
        from diffusers import UNet2DConditionModel

        from learn_to_steer.hosts.diffusers import record_unet

        unet = _model(UNet2DConditionModel, at)
        added = {key: case[key] for key in ("text_embeds", "time_ids") if key in case}
        extra = {"added_cond_kwargs": added} if added else {}
        return lambda z: record_unet(unet, z, case["timestep"], case["context"], weights, **extra)
    if (at := folder / f"{name}_transformer").is_dir():
        from diffusers import FluxTransformer2DModel

        from learn_to_steer.hosts.diffusers.flux.transformer import record_flux

        transformer = _model(FluxTransformer2DModel, at)
        if missing := sorted({"pooled", "img_ids", "txt_ids"} - case.keys()):
            raise SteeringError(
                f"Expected the tensors {', '.join(missing)} in case {name}, found none; use a whole case."
            )
        grid = (case["img_ids"][..., 1:].reshape(-1, 2).max(0).values + 1).int().tolist()
        arguments = {
            "pooled_projections": case["pooled"],
            "img_ids": case["img_ids"],
            "txt_ids": case["txt_ids"],
        }
        if "guidance" in case:
            arguments["guidance"] = case["guidance"]
        return lambda z: record_flux(
            transformer, z, case["timestep"], case["context"], weights, grid[0], grid[1], **arguments
        )
    raise SteeringError(
        f"Expected a folder {name}_unet or {name}_transformer in {folder}, found none; add the model."
    )


def _model(kind: type, path: Path) -> torch.nn.Module:
    try:
        return kind.from_pretrained(path).eval().requires_grad_(False)  # type: ignore[attr-defined]
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SteeringError(
            f"Expected a {kind.__name__} in {path}, but it cannot be loaded; copy it again."
        ) from error


def _error(case: str, quantity: str, made: Tensor, reference: Tensor) -> Error:
    if made.numel() != reference.numel():
        raise SteeringError(
            f"Expected {quantity} of shape {tuple(reference.shape)} in case {case}, made "
            f"{tuple(made.shape)}; model and case do not belong together."
        )
    difference, reference = made.double().reshape(reference.shape) - reference.double(), reference.double()
    tiny = torch.finfo(torch.float64).tiny
    return Error(
        case,
        quantity,
        float(difference.abs().max() / reference.abs().max().clamp(min=tiny)),
        float(difference.norm() / reference.norm().clamp(min=tiny)),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare with worked cases of the original implementation.")
    parser.add_argument("folder", type=Path, help="folder with *_case.safetensors, models and classifiers")
    parser.add_argument(
        "--host", choices=["diffusers", "comfyui"], default="diffusers", help="whose models to read"
    )
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="largest relative error that passes"
    )
    options = parser.parse_args(arguments)
    try:
        errors = compare(options.folder, options.host)
    except SteeringError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{'case':12} {'quantity':10} {'max':>10} {'L2':>10}")
    for e in errors:
        print(
            f"{e.case:12} {e.quantity:10} {e.largest:10.2e} "
            f"{e.l2:10.2e}{'' if e.worst <= options.tolerance else '  <--'}"
        )
    return 0 if all(e.worst <= options.tolerance for e in errors) else 1


if __name__ == "__main__":
    sys.exit(main())
