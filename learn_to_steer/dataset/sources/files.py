"""Where the lists and the pictures of a data set lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import SteeringError


def lists_in(data: Path, patterns: Sequence[str], what: str) -> list[Path]:
    """The file itself, or the files of a folder that the first fitting pattern finds. Raises SteeringError for none."""
    if data.is_file():
        return [data]
    for pattern in patterns if data.is_dir() else ():
        if found := sorted(path for path in data.glob(pattern) if path.is_file()):
            return found
    raise SteeringError(f"Expected {what} at {data}, found none; give the file or the folder that holds it.")


def pictures_root(listed: Path, pictures: Path | None, names: Iterable[str]) -> Path:
    """The folder below which pictures of these relative names lie: `pictures`, or one near the list.

    Raises SteeringError where `pictures` is no folder.
    """
    if pictures is not None:
        if not pictures.is_dir():
            raise SteeringError(f"Expected a folder of pictures at {pictures}, found none; check the path.")
        return pictures
    split = listed.stem.rsplit("_", 1)[-1]  # instances_train2017.json
    near = [listed.parent, listed.parent.parent]
    folders = [f / inner for f in near for inner in (".", split, "images", f"images/{split}", "pictures")]
    for name in names:
        for folder in folders:
            if _is_file(folder / name):
                return folder
    return listed.parent


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that no file can have
        return False


def file_under(root: Path, name: object) -> Path | None:
    """The path of this relative name below `root`; None for what is no name of a file there."""
    if not isinstance(name, str) or not name.strip() or "\0" in name or "\ufffd" in name:
        return None
    path = Path(name)
    return None if path.is_absolute() or ".." in path.parts else root / path
