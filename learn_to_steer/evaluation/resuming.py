"""The log of an evaluation when a run begins: what of it can be used, whatever happened to it in between.

``results.jsonl`` holds a line a judged picture, ``setup.json`` what they were drawn with. A run that was killed leaves a
log that ends at any byte, a machine that lost its power perhaps lines of nothing. Whatever is no whole line is drawn
again; whatever is one stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import SteeringError
from ..records import atomic

Key = tuple[str, str, int]
"""Setting, prompt, seed."""

LOG, SETUP = "results.jsonl", "setup.json"


def resume(folder: Path, setup: Mapping[str, Any]) -> dict[Key, dict[str, Any]]:
    """The results that a folder holds, by what was drawn. Afterwards its log is those lines and nothing else, ready for
    more of them, and its setup this one.

    Raises SteeringError for results of another setup, and for results whose setup cannot be read; neither is touched.
    """
    log, setup_file = folder / LOG, folder / SETUP
    said = json.loads(json.dumps(setup))
    data = _bytes(log)
    found = [line for line in data.split(b"\n") if _key(line) is not None]
    if not found:
        with atomic(setup_file) as new:
            new.write_text(json.dumps(said, indent=2))
    elif _setup(setup_file) != said:
        raise SteeringError(
            f"Expected {folder} to hold results of the same settings, weights, judges, prompts and seed, but they "
            "differ; choose another folder."
        )
    if (whole := b"".join(line + b"\n" for line in found)) != data:
        with atomic(log) as new:
            new.write_bytes(whole)
    results = [json.loads(line) for line in found]
    return {(r["setting"], r["prompt"], r["seed"]): r for r in results}


def is_picture(file: Path) -> bool:
    """Whether there is a whole picture in this file."""
    try:
        with Image.open(file) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):  # what PIL says of broken ones
        return False
    return True


def _bytes(log: Path) -> bytes:
    try:
        return log.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise SteeringError(
            f"Expected results in {log}, but they cannot be read ({error.strerror}); make it readable or choose another "
            "folder."
        ) from error


def _key(line: bytes) -> Key | None:
    """What was drawn, of a whole line of results; None for anything else."""
    try:
        result = json.loads(line)
        return result["setting"], result["prompt"], result["seed"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _setup(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "no whole JSON"
        raise SteeringError(
            f"Expected {file} to say what the results beside it were drawn with, but it cannot be read ({reason}); put it "
            "back or choose another folder."
        ) from error
