"""Which classifiers ship, and where they lie: in a wheel inside the package, else at the top of its checkout or folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import SteeringError

UNIVERSAL = "universal-mean"
"""The shipped classifier that fits every model."""

OWN = {"emojiworld-unet": "emojiworld-symmetric", "emojiworld-mmdit": "emojiworld-mmdit-symmetric"}
"""Families with a shipped classifier of their own, and its name."""

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """The folder of the shipped classifiers. Raises SteeringError where an installation has lost it."""
    for folder in (_PACKAGE / "classifier_weights", _PACKAGE.parent / "classifier_weights"):
        if any(folder.glob("*.safetensors")):
            return folder
    raise SteeringError(
        f"Expected the shipped classifiers in {_PACKAGE.parent / 'classifier_weights'}, found none; install "
        "the package again."
    )


def default_classifier(family: str) -> Path:
    """The file of the shipped classifier to use for a model of this family: its own, else the one that fits every model.

    Raises SteeringError as `shipped_classifier` does.
    """
    return shipped_classifier(OWN.get(family, UNIVERSAL))


def shipped_classifier(name: str) -> Path:
    """The file of a shipped classifier, such as "emojiworld-symmetric". Raises SteeringError where there is none."""
    path = shipped_folder() / f"{name}.safetensors"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in shipped_folder().glob("*.safetensors")))
        raise SteeringError(f'Expected a shipped classifier among {known}, got "{name}"; choose one of them.')
    return path
