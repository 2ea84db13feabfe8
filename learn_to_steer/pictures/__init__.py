"""Pictures of what steering does: heat maps, the report of one prompt, sheets of many. Drawn with Pillow alone."""

from .front import front_of, front_plot
from .heat_maps import heat_overlay, object_heats
from .layout import layout_picture
from .leakage import groups_of, leakage_plot
from .losses import loss_plot
from .regions import Region, warmest
from .report import Panel, fitted, report_figure
from .sheets import comparison_sheet, stacked_sheets
from .verdicts import verdict_pictures

__all__ = [
    "Panel",
    "Region",
    "comparison_sheet",
    "fitted",
    "front_of",
    "front_plot",
    "groups_of",
    "heat_overlay",
    "layout_picture",
    "leakage_plot",
    "loss_plot",
    "object_heats",
    "report_figure",
    "stacked_sheets",
    "verdict_pictures",
    "warmest",
]
