"""Can this checkpoint be expected to obey? A few pictures, plain and steered, and a verdict in plain words."""

from .pictures import verdict_of_judge
from .run import PROMPTS, SHARE, Check, Way, check
from .sheet import check_sheet
from .verdict import Figures, Verdict, unreadable, verdict
from .words import check_lines

__all__ = [
    "PROMPTS",
    "SHARE",
    "Check",
    "Figures",
    "Verdict",
    "Way",
    "check",
    "check_lines",
    "check_sheet",
    "unreadable",
    "verdict",
    "verdict_of_judge",
]
