"""What a model attends to: Q and K of its attentions -> cross-attention maps -> what a classifier reads."""

from .alignment import Text, aligned
from .layer import AttentionLayer, Stage, layout, require_layers
from .maps import attention_maps
from .pieces import Mark, Pieces, pieces_of
from .positions import encoder_of, locate, locate_by_offsets, token_weights
from .recorder import AttentionRecorder, StopForward
from .stack import MapStack, Renormalise, Resize, normalised, resized

__all__ = [
    "AttentionLayer",
    "AttentionRecorder",
    "MapStack",
    "Mark",
    "Pieces",
    "Renormalise",
    "Resize",
    "Stage",
    "StopForward",
    "Text",
    "aligned",
    "attention_maps",
    "encoder_of",
    "layout",
    "locate",
    "locate_by_offsets",
    "normalised",
    "pieces_of",
    "require_layers",
    "resized",
    "token_weights",
]
