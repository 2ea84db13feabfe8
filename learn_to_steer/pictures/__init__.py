"""Pictures of what steering does: heat maps, the report of one prompt, sheets of many. Drawn with Pillow alone."""

from .heat_maps import heat_overlay, object_heats
from .layout import layout_picture
from .leakage import groups_of, leakage_plot
from .report import Panel, fitted, report_figure
from .sheets import comparison_sheet

__all__ = [
    "Panel",
    "comparison_sheet",
    "fitted",
    "groups_of",
    "heat_overlay",
    "layout_picture",
    "leakage_plot",
    "object_heats",
    "report_figure",
]
