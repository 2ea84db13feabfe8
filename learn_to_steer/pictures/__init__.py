"""Pictures of what steering does: heat maps, the report of one prompt, sheets of many. Drawn with Pillow alone."""

from .heat_maps import heat_overlay, object_heats
from .leakage import groups_of, leakage_plot
from .report import Panel, report_figure
from .sheets import comparison_sheet

__all__ = [
    "Panel",
    "comparison_sheet",
    "groups_of",
    "heat_overlay",
    "leakage_plot",
    "object_heats",
    "report_figure",
]
