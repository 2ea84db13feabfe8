"""Files that survive a kill: logs of results, one JSON object a line, appended and never rewritten; whole files under a
name of their own until they are complete.

A run that is killed leaves a log that ends at any byte. No beginning of a JSON object is a JSON object itself, so a torn
line is told from a whole one; it is left out when the log is read, and shut off by a line break before the next one is
written.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import SteeringError


def append(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Add one record to a log, which is made where there is none. It is on the disk when this returns.

    Raises SteeringError for a record that JSON cannot hold (numbers that are not finite included); OSError where the disk
    says no.
    """
    try:
        line = json.dumps(dict(record), allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise SteeringError(
            f"Expected a record of texts, finite numbers, lists and objects, got one that JSON cannot hold ({error}); "
            "convert its values."
        ) from error
    with open(path, "ab+") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)  # at the end, wherever that is by now
        file.flush()
        os.fsync(file.fileno())


def stream(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(place in the file, record) for every whole record of a log, one after the other, whatever its length; whatever is no
    record is left out. None where there is no log."""
    try:
        with open(path, "rb") as file:
            place = 0
            for line in file:
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None
                if isinstance(record, dict):
                    yield place, record
                place += len(line)
    except FileNotFoundError:
        return


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """All whole records of a log, in order; none where there is no log. Torn lines are left out: the last one, and those
    behind which the log went on.

    Raises SteeringError for a line that is neither a record nor the beginning of one.
    """
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif line.strip() and not line.startswith(b"{"):
            raise SteeringError(
                f"Expected a JSON object on each line of {Path(path).name}, got another text on line {number}; choose a "
                "log of this package."
            )
    return records


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new name beside `path` to write to; it takes the place of `path` when the block ends, and is gone where it fails.

    The name is of this writer alone: several may write the same file, and the last whole one stands.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def prompt_of(line: str, where: str) -> str:
    """The prompt on a line of a file: the line itself, or the text under "prompt" of a JSON object.

    Raises SteeringError, naming the place, for a JSON object without one.
    """
    if not line.startswith("{"):
        return line
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return line  # a prompt may start with a brace
    if not isinstance(record.get("prompt"), str):
        raise SteeringError(
            f'Expected a text under "prompt" in the JSON object on {where}, got none; add it or give plain lines.'
        )
    return record["prompt"]
