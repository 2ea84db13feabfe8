"""Files of the commands: prompts in, results out - whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import SteeringError
from ..records import prompt_of


def read_prompts(file: str) -> list[str]:
    """The prompts of a UTF-8 text file, one a line, blank lines left out; "-" is the standard input.

    A line that is a JSON object, as in GenEval's metadata, gives the text under its key "prompt".
    Raises SteeringError for a file that cannot be read and for a JSON object without a prompt.
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise SteeringError(
            f"Expected a file of prompts at {file}, but it cannot be read ({error.strerror}); check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise SteeringError(
            f"Expected UTF-8 text in {file}, byte {error.start} is not; save it as UTF-8."
        ) from error
    # Not splitlines: JSON strings and prompts may hold U+2028 and its like.
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    return [prompt_of(line.strip(), f"line {number} of {file}") for number, line in lines if line.strip()]


def json_text(value: Any) -> str:
    """JSON for the standard output, on one line: letters as they are where it is UTF-8, else escaped as JSON escapes them,
    so that every reader reads the same."""
    unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    return json.dumps(value, ensure_ascii=unicode != "utf8")


@contextlib.contextmanager
def staged(out: Path, names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder whose files become those of `out` when the block ends well, and vanish otherwise.

    names: the files that will be written. Where `out` does not exist yet, it appears with all of them at
    once.
    Raises SteeringError, before the block runs, for a path that cannot become a folder with these files.
    """
    staging, new = _staging(out, names), not os.path.lexists(out)
    try:
        staging.chmod(0o777 & ~_umask())
        yield staging
        try:
            if new:
                out.parent.mkdir(parents=True, exist_ok=True)
                staging.replace(out)
            else:
                for file in sorted(staging.iterdir()):
                    file.replace(out / file.name)
        except OSError as error:
            raise unwritable(out, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_writable(out: Path, names: Sequence[str]) -> None:
    """Raises SteeringError where `staged` would, and leaves nothing behind."""
    _staging(out, names).rmdir()


def _staging(out: Path, names: Sequence[str]) -> Path:
    """A new folder on the file system of `out`, so that moving out of it is renaming."""
    try:
        with contextlib.suppress(FileNotFoundError):
            out.lstat()  # a name that no file can have is met here
        existing = next(p for p in (out.absolute(), *out.absolute().parents) if os.path.lexists(p))
        if blocked := [name for name in names if (out / name).is_dir()]:
            raise IsADirectoryError(0, f"{blocked[0]} is a folder")
        return Path(tempfile.mkdtemp(prefix=".learn-to-steer-", dir=existing))
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise unwritable(out, error) from error


def unwritable(out: Path, error: Exception) -> SteeringError:
    """The one sentence for a place that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return SteeringError(f"Expected a place that can be written, got {out} ({reason}); choose another one.")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
