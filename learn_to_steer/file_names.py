"""Names that users give to files and folders, on whatever system they will be."""

from __future__ import annotations

from .errors import SteeringError

LONGEST = 80

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows keeps for itself, with any ending."""


def checked_name(text: str) -> str:
    """The text as the name of one file or folder, without spaces around it.

    Raises SteeringError for one that some system would not take, or would take for a path.
    """
    name = " ".join(text.split())
    plain = all(c.isalnum() or c in " -_." for c in name)
    if not name or not plain or len(name) > LONGEST or name.startswith(".") or name.endswith("."):
        raise SteeringError(
            f"Expected a name of letters, digits, spaces, - and _ (at most {LONGEST} characters, dots inside only), got "
            f'"{name[:100]}"; choose another one.'
        )
    if name.split(".")[0].strip().lower() in _DEVICES:
        raise SteeringError(f'Expected a name that Windows takes as well, got "{name}"; choose another one.')
    return name
