"""What a model looks at: Q and K of its attentions -> cross-attention maps -> what a classifier reads."""

from .layer import AttentionLayer, Stage, require_layers
from .maps import attention_maps
from .positions import encoder_of, locate, token_weights
from .recorder import AttentionRecorder, StopForward
from .stack import MapStack, Renormalise, normalised, resized

__all__ = [
    "AttentionLayer",
    "AttentionRecorder",
    "MapStack",
    "Renormalise",
    "Stage",
    "StopForward",
    "attention_maps",
    "encoder_of",
    "locate",
    "normalised",
    "require_layers",
    "resized",
    "token_weights",
]
