"""What a classifier file claims, read before any memory is taken for it.

A .safetensors file begins with the length of its header (8 bytes) and the header, a JSON object of names, types, shapes and
offsets; a .pth file is a zip archive with its directory at the end. Both are read within bounds that every classifier keeps
by far: the largest official one has 6 million weights.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SteeringError

MOST_BYTES = 128 * 2**20
"""Size of a classifier file, and of the weights of a classifier in memory."""

MOST_HEADER = 2**20
MOST_NESTING = 32
MOST_ENTRIES = 4096

_WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True)
class Header:
    """Metadata and the shape of each tensor."""

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]


def check_size(path: Path) -> int:
    """Bytes of the file. Raises SteeringError where no classifier has as many."""
    size = os.path.getsize(path)
    if size > MOST_BYTES:
        raise SteeringError(
            f"Expected a classifier file of at most {MOST_BYTES // 2**20} MB, got {path.name} of {size // 2**20} MB; "
            "choose a classifier file."
        )
    return size


def parsed(text: str) -> Any:
    """JSON of bounded nesting. Raises ValueError for anything else."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match.group(), 0)
        if depth > MOST_NESTING:
            raise ValueError("nested too deeply")
    return json.loads(text)


def safetensors_header(path: Path) -> Header:
    """The header of a .safetensors file. Raises SteeringError unless it is whole, of weights, and fits the file's size."""
    size = check_size(path)
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if not 2 <= length <= min(MOST_HEADER, size - 8):
                raise ValueError("header length")
            content = parsed(file.read(length).decode())
        metadata = content.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata")
        shapes = {name: _shape(entry, size - 8 - length) for name, entry in content.items()}
        if (
            sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in content.values())
            != size - 8 - length
        ):
            raise ValueError("length of the data")
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SteeringError(
            f"Expected a whole safetensors file, but {path.name} is damaged or of another kind; download it again."
        ) from error
    return Header(metadata, shapes)


def _shape(entry: Mapping[str, Any], data: int) -> tuple[int, ...]:
    """The shape of one tensor; ValueError and the like where its bytes are not what type and shape say."""
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    if (
        not all(type(n) is int and 0 <= n for n in (*shape, start, end))
        or not start <= end <= data
        or len(shape) > 8
    ):
        raise ValueError("offsets")
    count = _WIDTH[entry["dtype"]]
    for n in shape:
        count *= n
    if count != end - start:
        raise ValueError("shape")
    return shape


def check_archive(path: Path) -> bool:
    """Whether a .pth file is a zip archive; older ones are bare pickles.

    Raises SteeringError for a file or a directory too large for a classifier, for packed entries, whose size is not that of
    the file, and for entries that are not within the file.
    """
    size = check_size(path)
    try:
        claimed = _directory(path, size)
        if claimed is None:
            return False
        count, length = claimed
        if length > MOST_HEADER:
            raise ValueError("directory")
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if len(entries) != count:
            raise ValueError("directory")
    except (OSError, struct.error, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise SteeringError(
            f"Expected a whole .pth file, but {path.name} is damaged or of another kind; download it again."
        ) from error
    packed = any(e.compress_type != zipfile.ZIP_STORED or e.file_size != e.compress_size for e in entries)
    if packed or len(entries) > MOST_ENTRIES or sum(e.file_size for e in entries) > size:
        raise SteeringError(
            f"Expected a .pth file as torch.save writes it, but {path.name} claims more than it holds; use a file from its "
            "author or a .safetensors classifier."
        )
    return True


def _directory(path: Path, size: int) -> tuple[int, int] | None:
    """Entries and bytes of a zip archive's directory; None for a file that is none. ValueError where its two records of
    them differ: what reads the one must not find another archive than what reads the other."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return None
        file.seek(max(0, size - _RECORD.size - _LARGE.size))
        tail = file.read()
    if len(tail) < _RECORD.size:
        raise ValueError("no directory")
    mark, _, count, length, _, comment = _RECORD.unpack(tail[-_RECORD.size :])
    if mark != b"PK\x05\x06" or comment:
        raise ValueError("no directory at the end")
    if len(tail) == _RECORD.size + _LARGE.size and tail[56:60] == b"PK\x06\x07":
        mark, _, *claimed, _ = _LARGE.unpack(tail[: _LARGE.size])
        if mark != b"PK\x06\x06" or claimed != [count, length]:
            raise ValueError("two directories")
    return count, length


_RECORD = struct.Struct("<4s 6s HLL H")
"""The last record of an archive: mark, -, entries, bytes of the directory, -, bytes of a comment."""

_LARGE = struct.Struct("<4s 28s QQ 28s")
"""The record in front of it for large archives, which torch always writes, and its locator."""
