"""A model of `transformers` with its processor, from a folder or by its id.

A folder is read without the network. An id is for `transformers` to resolve, as the user asked: from its cache or from the
hub, with the user's own settings (HF_HUB_OFFLINE and the like).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SteeringError


@dataclass(frozen=True)
class Loaded:
    """A processor and its model, in evaluation mode on its device."""

    processor: Any
    model: Any

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.model.device


def library() -> Any:
    """`transformers`, without its progress bars. Raises SteeringError where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise SteeringError(
            "Expected transformers for this judge, but it is not installed; "
            'run: pip install "learn-to-steer[judges]".'
        ) from error
    transformers.utils.logging.disable_progress_bar()
    return transformers


def model_type(source: str) -> str:
    """What the model's config says it is, such as "owlv2". Raises SteeringError where there is no config."""
    return str(_loaded(library().AutoConfig, source).model_type)


def load(source: str, model_class: str, device: str = "cpu") -> Loaded:
    """The processor and the model under `transformers.<model_class>`, in the weights' own number format on a GPU and in
    float32 on the CPU. Raises SteeringError for what cannot be loaded."""
    transformers = library()
    processor = _loaded(transformers.AutoProcessor, source)
    model = _loaded(
        getattr(transformers, model_class), source, dtype="float32" if device == "cpu" else "auto"
    )
    return Loaded(processor, model.eval().to(device))


def _loaded(kind: Any, source: str, **options: Any) -> Any:
    path = Path(source)
    folder = path.is_dir()
    if not folder and (path.is_absolute() or source.startswith(".") or source.count("/") != 1):
        raise SteeringError(
            f"Expected a folder of a transformers model or a model id such as google/owlv2-base-patch16-ensemble, got "
            f"{source!r}; correct it."
        )
    try:
        return kind.from_pretrained(source, local_files_only=folder, **options)
    except Exception as error:  # each library below has its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SteeringError(
            f"Expected a judge's model with its processor at {source}, but it cannot be loaded ({reason}); "
            "check the folder or the id."
        ) from error
