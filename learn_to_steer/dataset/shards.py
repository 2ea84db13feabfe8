"""Recorded maps on disk: safetensors shards of bounded size, and an index that can be trusted after any interruption.

WORK/index.jsonl    one line the job, one line a shard: its checksum, its samples with prompts, steps and PSNR
WORK/shards/        train-00000.safetensors, ...: maps (records, 2, channels, S, S) float16, S x S the job's map size,
                    brought there by area averaging, each of sum S * S; holds, worded, timestep, sample: (records,) int64

A shard counts once its line stands in the index and its bytes have the checksum of that line. It is written under another
name first, then renamed, then entered: a kill between any two of these leaves a shard that is made again, to the same
bytes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from ..attention import MapStack
from ..errors import SteeringError
from ..records import append, atomic, stream
from .job import Job, Shard, job_of
from .recording import Note
from .sources import Damage, LeftOut
from .splits import Part

INDEX = "index.jsonl"


@dataclass(frozen=True)
class Made:
    """A shard as it goes to disk. entry: its line of the index."""

    name: str
    data: bytes
    entry: dict[str, Any]


@dataclass(frozen=True)
class Line:
    """What the index says of one shard. place: of its line in the file."""

    part: Part
    sha256: str
    records: int
    place: int


def stored_maps(stack: MapStack, map_size: int) -> Tensor:
    """Raw maps -> (N, 2, C, S, S) float16 as shards hold them: area-averaged, each of mean 1, channels in official order.

    A mean of 1 keeps the digits of half precision, which the tiny probabilities of a large map would lose.
    """
    raw = MapStack(stack.layers, tuple(m.float() for m in stack.maps))
    return (raw.stacked(map_size, "always", "area") * map_size**2).half()


def make(
    shard: Shard, maps: Tensor, labels: Mapping[str, Tensor], notes: list[Note], left_out: list[LeftOut],
    psnr: tuple[float, ...],
) -> Made:  # fmt: skip
    """A shard's bytes and line. labels: "holds", "worded", "timestep", "sample", (N,) int64 each."""
    tensors = {"maps": maps.contiguous(), **{name: t.long().contiguous() for name, t in labels.items()}}
    data = to_bytes(tensors)
    entry = {
        "shard": shard.name,
        "part": shard.part,
        "sha256": hashlib.sha256(data).hexdigest(),
        "records": len(maps),
        "samples": [asdict(note) for note in notes],
        "left_out": [[out.kind, out.where] for out in left_out],
        "psnr": list(psnr),
    }
    return Made(shard.name, data, entry)


class Work:
    """The folder of one recording."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.index, self.shards = folder, folder / INDEX, folder / "shards"

    def file(self, name: str) -> Path:
        return self.shards / f"{name}.safetensors"

    def begin(self, job: Job) -> None:
        """Make the folder ready for this job, or for going on with it.

        Raises SteeringError where it holds records of another job and where it cannot be written.
        """
        with self._writing():
            self.shards.mkdir(parents=True, exist_ok=True)
            for torn in [*self.shards.glob(".*.part"), *self.folder.glob(f".{INDEX}.*.part")]:
                torn.unlink(missing_ok=True)  # of a writer that was killed
            here = self._job_line()
            wanted = json.loads(json.dumps(job.as_json()))
            if here is None:
                append(self.index, {"job": wanted})
            elif here != wanted:
                differ = ", ".join(key for key in wanted if here.get(key) != wanted[key]) or "format"
                raise SteeringError(
                    f"Expected {self.folder} to hold records of the same job, but they differ in {differ}; choose another "
                    "folder, or record as before."
                )

    def job(self) -> Job:
        """What was recorded here. Raises SteeringError where there is no index that says so."""
        here = self._job_line()
        if here is None:
            raise SteeringError(
                f"Expected recorded maps in {self.folder}, found no index that names their job; record them "
                "first."
            )
        return job_of(here)

    def _job_line(self) -> dict[str, Any] | None:
        try:
            return next((r["job"] for _, r in stream(self.index) if isinstance(r.get("job"), dict)), None)
        except OSError as error:
            raise SteeringError(
                f"Expected a folder of recorded maps at {self.folder}, but its index cannot be read ({error.strerror}); "
                "check the path."
            ) from error

    def lines(self) -> dict[str, Line]:
        """The last line of each shard."""
        found: dict[str, Line] = {}
        for place, record in stream(self.index):
            try:
                found[str(record["shard"])] = Line(
                    record["part"], str(record["sha256"]), int(record["records"]), place
                )
            except (KeyError, TypeError, ValueError):
                continue  # the line of the job, or a spoilt one
        return found

    def whole(self) -> dict[str, Line]:
        """The shards that are there, byte for byte as they were entered."""
        return {name: line for name, line in self.lines().items() if self._sum(name) == line.sha256}

    def missing(self, job: Job) -> list[Shard]:
        """Shards of the job that are to be made: those not entered, gone, or damaged."""
        there = self.whole()
        return [shard for shard in job.shards() if shard.name not in there]

    def _sum(self, name: str) -> str | None:
        try:
            with self.file(name).open("rb") as file:
                found = hashlib.sha256()
                while block := file.read(2**20):
                    found.update(block)
            return found.hexdigest()
        except OSError:
            return None

    def put(self, made: Made) -> None:
        """Keep a shard. Raises SteeringError where the disk says no; what was kept before stays."""
        with self._writing(len(made.data)):
            with atomic(self.file(made.name)) as temporary, temporary.open("wb") as file:
                file.write(made.data)
                file.flush()
                os.fsync(file.fileno())
            append(self.index, made.entry)

    def finish(self, job: Job) -> None:
        """Write the index anew, the shards in their order, each once: the same bytes however often it was interrupted."""
        lines = self.lines()
        with self._writing():
            with (
                self.index.open("rb") as old,
                atomic(self.index) as temporary,
                temporary.open("wb") as new,
            ):
                new.write(json.dumps({"job": job.as_json()}, separators=(",", ":")).encode() + b"\n")
                for shard in job.shards():
                    old.seek(lines[shard.name].place)
                    new.write(old.readline().rstrip(b"\n") + b"\n")
                new.flush()
                os.fsync(new.fileno())

    def load(self, name: str) -> dict[str, Tensor]:
        """The tensors of a shard. Raises SteeringError where it is missing or damaged."""
        try:
            return from_bytes(self.file(name).read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise SteeringError(
                f"Expected a whole shard at {self.file(name)}, but it cannot be read; record again with the same "
                "settings, which makes only this one anew."
            ) from error

    def notes(self, part: Part) -> Iterator[dict[str, Any]]:
        """What the index says of each recorded sample of a part: the fields of `recording.Note`."""
        last = {line.place for line in self.lines().values() if line.part == part}
        for place, record in stream(self.index):
            if place in last:
                yield from record.get("samples", ())

    def summary(self) -> Summary:
        """What the index says of all that was recorded."""
        found = Summary()
        last = {line.place for line in self.lines().values()}
        for place, record in stream(self.index):
            if place not in last:
                continue
            found.records += int(record["records"])
            found.samples += len(record.get("samples", ()))
            for kind, where in record.get("left_out", ()):
                found.damage.note(kind, where)
            for value in record.get("psnr", ()):
                found.checked += 1
                found.psnr_sum += value
                found.psnr_least = min(found.psnr_least, value)
        return found

    @contextmanager
    def _writing(self, needed: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                room = f" of {needed / 2**20:.1f} MB" if needed else ""
                raise SteeringError(
                    f"Expected room for the next shard{room} in {self.folder}, but the disk is full; make room and start "
                    "again: what was recorded is kept, and it goes on from there."
                ) from error
            raise SteeringError(
                f"Expected a folder that can be written, got {self.folder} ({error.strerror or error}); choose "
                "another."
            ) from error


@dataclass
class Summary:
    """Of all that was recorded. checked: ways back that were gone; psnr in dB."""

    damage: Damage = field(default_factory=Damage)
    records: int = 0
    samples: int = 0
    checked: int = 0
    psnr_sum: float = 0.0
    psnr_least: float = 99.0

    @property
    def psnr(self) -> float | None:
        """Mean over the ways back; None where none was gone."""
        return self.psnr_sum / self.checked if self.checked else None


def labels_of(holds: Tensor, worded: Tensor, timestep: Tensor, sample: Tensor) -> dict[str, Tensor]:
    """The labels of `make`."""
    return {"holds": holds, "worded": worded, "timestep": timestep, "sample": sample}


def empty_labels() -> dict[str, Tensor]:
    """The labels of a shard without a record."""
    none = torch.zeros(0, dtype=torch.long)
    return labels_of(none, none, none, none)
