"""Own pictures as a source: a CSV or JSON-lines file that says what they show.

Columns or keys: `picture` (path beside the list), `subject`, `object`, and `relation` (any name that the parser knows) or
`subject_box` and `object_box` (left, top, width, height in pixels; in a CSV separated by spaces). With both they
must agree.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import SteeringError
from ...language import canonical_relation
from .base import DIRECTIONS
from .damage import Damage
from .files import file_under, lists_in, pictures_root
from .geometry import Box, box_of, relation_of
from .listed import Entry
from .names import alike, name_of

NEEDED = ("picture", "subject", "object")
LONGEST_LINE = 2**20


def folder_entries(data: Path, pictures: Path | None, damage: Damage) -> list[Entry]:
    """data: the list, or the folder that holds it. pictures: what `picture` is relative to, None = the list's own folder.

    Raises SteeringError for missing files and for a list without the columns.
    """
    entries: list[Entry] = []
    files = lists_in(data, ("*.jsonl", "*.csv", "*.tsv"), "a list of pictures (.csv or .jsonl)")
    for file in files:
        rows = _csv_rows(file) if file.suffix.lower() in (".csv", ".tsv") else _json_rows(file)
        root: Path | None = None
        for number, row in rows:
            where = f"line {number} of {file.name}"
            found = _entry(row)
            if isinstance(found, str):
                damage.note(found, where)
                continue
            if root is None:
                root = pictures_root(file, pictures, [str(found.file)])
            entries.append(Entry(root / found.file, found.names, found.holds, found.boxes))
    return entries


def _entry(row: Any) -> Entry | str:
    """What a row says, or why it is of no use."""
    if not isinstance(row, Mapping):
        return "a line that is no JSON object"
    path = file_under(Path(), row.get("picture"))
    if path is None:
        return "a line without the path of a picture below the folder"
    subject, other = name_of(row.get("subject")), name_of(row.get("object"))
    if subject is None or other is None:
        return "a line without usable names of subject and object"
    if alike(subject, other):
        return "a line whose two names cannot be told apart"
    boxes = [_box(row.get(f"{end}_box")) for end in ("subject", "object")]
    if any(box == "broken" for box in boxes):
        return "a line with a box that is not four finite numbers with an area"
    pair = (boxes[0], boxes[1]) if isinstance(boxes[0], tuple) and isinstance(boxes[1], tuple) else None
    seen = relation_of(*pair) if pair else None  # type: ignore[arg-type]
    said = row.get("relation")
    if said in (None, ""):
        if pair is None:
            return "a line without a relation and without both boxes"
        if seen is None:
            return "a line whose boxes stand in no clear direction"
        return Entry(path, (subject, other), seen, pair)  # type: ignore[arg-type]
    try:
        relation = canonical_relation(said) if isinstance(said, str) else None
    except SteeringError:
        relation = None
    if relation not in DIRECTIONS:
        return "a line whose relation is none of left, right, above and below"
    holds = DIRECTIONS.index(relation)
    if pair is not None and seen != holds:
        return "a line whose boxes do not show its relation"
    return Entry(path, (subject, other), holds, pair)  # type: ignore[arg-type]


def _box(value: Any) -> Box | None | str:
    """A box, None where there is none, "broken" where it cannot be used."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = [float(part) for part in value.replace(";", " ").replace(",", " ").strip("[] ").split()]
        except ValueError:
            return "broken"
    return box_of(value) or "broken"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise SteeringError(
            f"Expected a list of pictures at {file}, but it cannot be read ({error.strerror}); check the path."
        ) from error


def _csv_rows(file: Path) -> Iterator[tuple[int, Any]]:
    text = _text(file).replace("\0", "\ufffd")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in NEEDED if name not in columns]:
        raise SteeringError(
            f"Expected the columns {', '.join(NEEDED)} in {file}, found no {missing[0]}; name them in its first line."
        )
    reader.fieldnames = columns
    rows = iter(reader)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:  # a field of megabytes
            yield reader.line_num, None
            continue
        yield reader.line_num, row


def _json_rows(file: Path) -> Iterator[tuple[int, Any]]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), b""), 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode("utf-8-sig", "replace"))
                except (ValueError, RecursionError):
                    row = None
                yield number, row
    except OSError as error:
        raise SteeringError(
            f"Expected a list of pictures at {file}, but it cannot be read ({error.strerror}); check the path."
        ) from error
