"""Pictures of what steering does: heat maps, the report of one prompt, sheets of many. Drawn with Pillow alone."""

from .heat_maps import heat_overlay, object_heats
from .regions import Region, warmest
from .report import Panel, report_figure
from .sheets import comparison_sheet
from .verdicts import verdict_pictures

__all__ = [
    "Panel",
    "Region",
    "comparison_sheet",
    "heat_overlay",
    "object_heats",
    "report_figure",
    "verdict_pictures",
    "warmest",
]
