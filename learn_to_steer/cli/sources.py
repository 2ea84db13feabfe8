"""What to record, of which model: the options that `record` and `train` share, and what they stand for."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SteeringError
from .arguments import DEVICES, DTYPES, among, whole
from .models import ModelFolder, load_pipeline, model_folder

if TYPE_CHECKING:
    from ..dataset import Work
    from ..dataset.sources import Parts
    from ..dataset.splits import Pair, Part
    from ..dataset.workers import Loaded
    from ..evaluation.detectors import Detector
    from ..hosts.diffusers.recorder import PipelineRecorder
    from ..hosts.protocol import Sampler

LISTS = ("coco", "gqa", "image-cot", "folder")
SOURCES = ("scenes", "own", *LISTS)
WAYS = ("euler", "fixed-point", "rf", "noising")

SAMPLES = 1000
"""Samples to train on, a third more to validate and judge by: 66,600 passes at EmojiWorld's 50 passes a sample."""


def add_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """Declare the options. required: whether model, source and folder must be given."""
    add = parser.add_argument
    add(
        "--model",
        metavar="MODEL",
        required=required,
        help="unet or mmdit of EmojiWorld, or a diffusers folder",
    )
    add(
        "--source",
        type=among(SOURCES),
        required=required,
        metavar="A,B",
        help=f"of {', '.join(SOURCES)}; several lists, or scenes and own, go together",
    )
    add(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="file or folder of each list in turn; for scenes, a folder of cut-outs (.png with transparency)",
    )
    add("--pictures", type=Path, metavar="DIR", help="where the pictures of a list lie (default: near it)")
    add("--backgrounds", type=Path, metavar="DIR", help="pictures behind the cut-outs of scenes")
    add("--names", type=Path, metavar="FILE", help="objects of the model's own pictures, one a line")
    add("--samples", type=whole(3, 10**8), default=SAMPLES, help="to train on; a third more is held out")
    add("--seed", type=whole(0, 2**31 - 1), default=0, help="of everything that is drawn at random")
    add("--way", choices=WAYS, default="euler", help="from a picture to the noise levels")
    add("--right-words-only", action="store_true", help="do not record under wrong words (for comparison)")
    add("--check", action="store_true", help="sample each inversion back; leave out what does not come back")
    add(
        "--layers",
        default="pilot",
        metavar="A,B",
        help="attention layers to record, all, or pilot: those that a small trial chooses",
    )
    add(
        "--map-size", type=whole(2, 64), help="of the recorded maps (default: 8; the published kind reads 16)"
    )
    add("--batch", type=whole(1, 1024), default=16, help="samples a model pass")
    add("--steps", type=whole(2, 1000), help="of the schedule (default: the model's own)")
    add("--height", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--width", type=whole(8, 8192), metavar="PIXELS", help="of the pictures (default: the model's own)")
    add("--judge", metavar="JUDGE", help="detector of other models' pictures, as for evaluate: KIND=FOLDER")
    add("--device", choices=DEVICES, default="auto", help="where to compute")
    add("--dtype", choices=DTYPES, default="auto", help="in which numbers")
    add("--ray", metavar="ADDRESS", help="record by workers of Ray: local, or the address of a cluster")
    add("--workers", type=whole(1, 4096), help="of Ray (default: one a GPU, without GPUs one a core)")


@dataclass(frozen=True)
class Asked:
    """Model and sources in plain values, which a worker on another machine can load as well."""

    model: str | None
    device: str
    dtype: str
    steps: int | None
    height: int | None
    width: int | None
    source: tuple[str, ...]
    data: tuple[Path, ...]
    pictures: Path | None
    backgrounds: Path | None
    names: Path | None
    seed: int
    judge: str | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Asked:
        """Raises SteeringError for sources that do not go together."""
        source, data = tuple(args.source), tuple(args.data)
        lists = [name for name in source if name in LISTS]
        if lists and len(lists) < len(source):
            raise SteeringError(
                f"Expected sources that can be split together, got {' and '.join(source)}; use lists ({', '.join(LISTS)}) "
                "with lists, and scenes with own."
            )
        if lists and len(data) != len(lists):
            raise SteeringError(
                f"Expected --data with a file or folder for each of {', '.join(lists)}, got {len(data)}; give one each."
            )
        if not lists and len(data) > ("scenes" in source):
            raise SteeringError(f"Expected no --data for {source[0]}, got {data[0]}; leave it out.")
        return cls(
            args.model, args.device, args.dtype, args.steps, args.height, args.width, source, data, args.pictures,
            args.backgrounds, args.names, args.seed, args.judge,
        )  # fmt: skip

    @property
    def folder(self) -> ModelFolder:
        return model_folder(Path(self.model) if self.model else None)

    def load(self) -> Loaded:
        """Model and sources, for recording."""
        model, parts = self.open()
        return model.recorder, parts.sources

    def open(self) -> tuple[Model, Parts]:
        """The same with what could not be used of the sources, for this process. Data that cannot be read are met before
        the model is loaded."""
        from ..dataset.sources import locate_with, read_lists

        lists = [name for name in self.source if name in LISTS]
        if not lists:
            cut = self._cutouts() if "scenes" in self.source else None
            model = open_model(self.folder, self)
            return model, self._made(model, cut)
        detector = detector_of(self.folder, self)
        parts = read_lists(
            dict(zip(lists, self.data, strict=True)),
            self.seed,
            self.pictures,
            None if detector is None else locate_with(detector),
        )
        return open_model(self.folder, self), parts

    def sources_of(self, model: Model) -> Parts:
        """The sources alone, without a list, for a model that is loaded."""
        return self._made(model, self._cutouts() if "scenes" in self.source else None)

    def _cutouts(self) -> tuple[Any, Any]:
        from ..dataset.sources import Damage, read_cutouts

        if self.data:
            return read_cutouts(self.data[0])
        from ..emojiworld.render import sprites

        return {name: [sprite] for name, sprite in sprites().items()}, Damage()

    def _made(self, model: Model, cut: tuple[Any, Any] | None) -> Parts:
        from ..dataset.sources import mixed_parts, own_parts, read_backgrounds, scene_parts

        pairs = known_pairs(model.folder) if not self.data and self.names is None else None
        made = []
        if cut is not None:
            cutouts, damage = cut
            made.append(scene_parts(cutouts, self.seed, read_backgrounds(self.backgrounds), damage, pairs))
        if "own" in self.source:
            detector = detector_of(model.folder, self)
            if detector is None:
                raise SteeringError(
                    f"Expected a detector that judges the pictures of {model.folder.name}, found none; name one with "
                    "--judge, or record scenes or a list."
                )
            names = self._names(cut)
            made.append(
                own_parts(
                    model.sampler, detector, names, self.seed, model.recorder.steps, model.guidance, pairs
                )
            )
        return made[0] if len(made) == 1 else mixed_parts(made)

    def _names(self, cut: tuple[Any, Any] | None) -> list[str]:
        """Of the objects that the model draws."""
        if self.names is None:
            from ..emojiworld.world import OBJECTS

            return sorted(cut[0]) if cut is not None else list(OBJECTS)
        from ..dataset.sources.names import name_of
        from .files import read_prompts

        names = [name_of(line) for line in read_prompts(str(self.names))]
        return [name for name in names if name is not None]


@dataclass(frozen=True)
class Model:
    """A loaded model in its parts. guidance: None = the pipeline's own."""

    folder: ModelFolder
    recorder: PipelineRecorder
    sampler: Sampler
    guidance: float | None


def open_model(folder: ModelFolder, asked: Asked | argparse.Namespace) -> Model:
    """Load it. Raises SteeringError as `load_pipeline`."""
    from ..emojiworld import GUIDANCE, STEPS
    from ..hosts.diffusers import PipelineSampler, denoiser, model_family, run_of
    from ..hosts.diffusers.recorder import PipelineRecorder

    pipe = load_pipeline(folder, asked.device, asked.dtype)
    steps = asked.steps or (STEPS if folder.is_emojiworld else run_of(pipe, []).num_inference_steps)
    family = folder.family or model_family(denoiser(pipe))
    recorder = PipelineRecorder(pipe, family, steps, asked.height, asked.width)
    guidance = GUIDANCE if folder.is_emojiworld else None
    return Model(folder, recorder, PipelineSampler(pipe, folder.family, asked.height, asked.width), guidance)


def detector_of(folder: ModelFolder, asked: Asked | argparse.Namespace) -> Detector | None:
    """What can judge the pictures of this model: the detector that is asked for, EmojiWorld's own, or none. Raises
    SteeringError for a judge that finds no objects, and as `open_judge`."""
    if asked.judge is not None:
        from ..evaluation.judges import RuleJudge
        from ..evaluation.opening import open_judge
        from .models import device_of

        judge = open_judge(asked.judge, "geneval", device_of(asked.device))
        if not isinstance(judge, RuleJudge):
            raise SteeringError(
                f"Expected a detector, which says where objects are, got {asked.judge}, which answers questions; choose "
                "another one."
            )
        return judge.detector
    if not folder.is_emojiworld:
        return None
    from ..emojiworld import WEIGHTS
    from ..emojiworld.judge import EmojiWorldDetector

    return EmojiWorldDetector(WEIGHTS)


def known_pairs(folder: ModelFolder) -> dict[Pair, Part] | None:
    """EmojiWorld's own parts of pairs, see `recorded_pairs`. None for other models."""
    if not folder.is_emojiworld:
        return None
    from ..emojiworld.prompts import recorded_pairs

    return recorded_pairs()


def record(args: argparse.Namespace, say: Callable[[str], None], map_size: int = 8) -> tuple[Work, Model]:
    """Record what is asked for into ``args.work``. map_size: where the command does not say."""
    from tqdm import tqdm

    from ..dataset import How
    from ..dataset.workers import Progress
    from ..training.prepare import record as record_all

    asked = Asked.of(args)
    model, parts = asked.open()
    for line in parts.damage.lines():
        say(line)
    how = How(args.way, not args.right_words_only, check=args.check)
    layers = _layers(args.layers, model.recorder)
    bar: tqdm[Any] = tqdm(total=1, desc="record", disable=None, leave=False)

    def watch(progress: Progress) -> None:
        bar.total = progress.total
        bar.update(progress.done - bar.n)

    run = None
    if args.ray is not None:
        run = functools.partial(_by_ray, asked=asked, args=args, watch=watch)
    try:
        work = record_all(
            args.work,
            (model.recorder, parts.sources),
            args.samples,
            args.seed,
            how,
            layers=layers,
            map_size=args.map_size or map_size,
            batch=args.batch,
            say=say,
            watch=watch,
            run=run,
            pilot=0 if args.layers == "all" else 64,
        )
    finally:
        bar.close()
    return work, model


def _by_ray(folder: Path, job: Any, *, asked: Asked, args: argparse.Namespace, watch: Any) -> Work:
    from ..dataset import record_with_ray

    return record_with_ray(folder, job, asked.load, args.ray, args.workers, watch)


def _layers(text: str, recorder: PipelineRecorder) -> tuple[str, ...] | None:
    """None = those that the pilot chooses, or all where there is no pilot. Raises SteeringError for layers that the model
    lacks."""
    if text in ("pilot", "all"):
        return None
    from ..attention import require_layers

    names: Sequence[str] = [name.strip() for name in text.split(",") if name.strip()]
    require_layers(names, [layer.name for layer in recorder.layers])
    return tuple(layer.name for layer in recorder.layers if layer.name in names)
