"""The independent judge: a small segmenter that finds the emoji of a picture. Trained on rendered scenes only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor, nn

from ..evaluation.detections import Detection
from . import shared_folder
from .world import IMAGE_SIZE, OBJECTS, SPRITE_SIZES

STRIDE = 4
"""Pixels of the picture per cell of the judge's segmentation."""

MIN_CELLS = 24
"""Smallest area of a found object in cells (a sprite covers 60 to 180)."""

MAX_CELLS = round(1.1 * SPRITE_SIZES[1] / STRIDE)
"""Longest side of one object in cells; a longer region is two twins that touch."""


class Judge(nn.Module):
    """(B, 3, 128, 128) pictures in [-1, 1] -> logits (B, objects + 1, 32, 32); class 0 is the background."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()

        def block(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
            conv = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

        self.net = nn.Sequential(
            block(3, width, 2),
            block(width, 2 * width, 2),
            block(2 * width, 2 * width),
            block(2 * width, 2 * width, dilation=2),
            block(2 * width, 2 * width, dilation=4),
            block(2 * width, 2 * width, dilation=2),
            block(2 * width, 2 * width),
            nn.Conv2d(2 * width, len(OBJECTS) + 1, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits per cell, see the class."""
        return self.net(images)


def load_judge(folder: Path) -> Judge:
    """The trained judge of a folder of EmojiWorld's, in evaluation mode."""
    judge = Judge()
    weights = load_file(shared_folder(folder) / "judge.safetensors")
    judge.load_state_dict({k: v.float() for k, v in weights.items()})
    return judge.eval()


@torch.no_grad()
def find_objects(judge: Judge, images: np.ndarray) -> list[list[Detection]]:
    """What stands where: ``images`` uint8 (B, 128, 128, 3) -> for each picture its objects, duplicates included.

    Cells go to their most probable class; each connected region of one class, if it is large enough, is an object. A
    region longer than any sprite is cut in two at its waist.
    """
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    probabilities = judge(pixels).softmax(dim=1).numpy()
    return [_blobs(p) for p in probabilities]


class EmojiWorldDetector:
    """The judge as an `evaluation.detectors.Detector`: it knows EmojiWorld's objects and searches for all of them."""

    def __init__(self, folder: Path) -> None:
        self.judge = load_judge(folder)

    def detect(self, pictures: np.ndarray, names: Sequence[Sequence[str]] = ()) -> list[list[Detection]]:
        """See `evaluation.detectors.Detector`. Pictures of another height are judged at the judge's own, by area."""
        scale = pictures.shape[1] / IMAGE_SIZE
        if scale == 1:
            return find_objects(self.judge, pictures)
        size = round(pictures.shape[2] / scale), IMAGE_SIZE
        own = np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])
        found = find_objects(self.judge, own)
        return [[_enlarged(one, scale) for one in of_one] for of_one in found]

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Names of no object of EmojiWorld."""
        return [name for name in names if name not in OBJECTS]


def _enlarged(found: Detection, scale: float) -> Detection:
    assert found.box is not None
    left, top, right, bottom = (edge * scale for edge in found.box)
    return replace(found, box=(left, top, right, bottom))


def _blobs(probability: np.ndarray) -> list[Detection]:
    found = []
    best = probability.argmax(axis=0)
    for index, name in enumerate(OBJECTS, start=1):
        labels, _ = ndimage.label(best == index, structure=np.ones((3, 3)))
        for region in range(1, labels.max() + 1):
            for mask in _cut_at_waist(labels == region):
                if mask.sum() < MIN_CELLS:
                    continue
                rows, columns = np.nonzero(mask)
                (top, bottom), (left, right) = ((x.min(), x.max() + 1) for x in (rows, columns))
                box = tuple(float(edge * STRIDE) for edge in (left, top, right, bottom))
                found.append(Detection(name, box, float(probability[index][mask].mean())))  # type: ignore[arg-type]
    return found


def _cut_at_waist(mask: np.ndarray) -> list[np.ndarray]:
    """The region itself, or its two parts where it is longer than MAX_CELLS: cut across its longer axis, in the middle
    half, where it is thinnest."""
    filled = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    lengths = [int(f[-1] - f[0] + 1) for f in filled]
    axis = int(np.argmax(lengths))
    if lengths[axis] <= MAX_CELLS:
        return [mask]
    first, quarter = filled[axis][0], lengths[axis] // 4
    thickness = mask.sum(axis=1 - axis)[first + quarter : first + lengths[axis] - quarter]
    cut = first + quarter + int(np.argmin(thickness))
    before = np.arange(mask.shape[axis]) < cut
    before = before[:, None] if axis == 0 else before[None]
    return [mask & before, mask & ~before]


def cell_labels(boxes_and_masks: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Class per cell (32 x 32, int64) from (class index, sprite coverage 128 x 128 in 0..1) pairs."""
    labels = np.zeros((IMAGE_SIZE // STRIDE, IMAGE_SIZE // STRIDE), np.int64)
    for index, coverage in boxes_and_masks:
        cells = coverage.reshape(labels.shape[0], STRIDE, labels.shape[1], STRIDE).mean(axis=(1, 3))
        labels[cells > 0.5] = index
    return labels
