"""Attention guidance: a layout solved from the relations, written into the attention as a soft peak for each object."""

from .bias import (
    background_field,
    folded,
    folded_key,
    folded_query,
    folded_width,
    hard_fields,
    mask,
    narrowed,
    object_fields,
    peaks,
    token_columns,
    widened,
)
from .control import AttentionGuidance, GuidedStep
from .layout import Box, Layout, can_lay_out, solve_layout
from .plan import AFTER_GUIDANCE, METHODS, GuidancePlan, Method, check_method, plan_for
from .strength import (
    STRENGTHS,
    Calibrated,
    ModelSpread,
    calibrated,
    guided_layers,
    logit_spread,
    sampled_rows,
)

__all__ = [
    "AFTER_GUIDANCE",
    "METHODS",
    "STRENGTHS",
    "AttentionGuidance",
    "Box",
    "Calibrated",
    "GuidancePlan",
    "GuidedStep",
    "Layout",
    "Method",
    "ModelSpread",
    "background_field",
    "calibrated",
    "can_lay_out",
    "check_method",
    "folded",
    "folded_key",
    "folded_query",
    "folded_width",
    "guided_layers",
    "hard_fields",
    "logit_spread",
    "mask",
    "narrowed",
    "object_fields",
    "peaks",
    "plan_for",
    "sampled_rows",
    "solve_layout",
    "token_columns",
    "widened",
]
