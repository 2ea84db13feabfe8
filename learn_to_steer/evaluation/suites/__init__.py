"""Suites: which prompts are drawn, how often, and which rule judges them. One file each.

What may not be shipped, or is large, is read from the user's own copy.
"""

from .base import Case, Suite
from .geneval import GenEval
from .own import OwnPrompts
from .t2i_compbench import T2ICompBench
from .visor import Visor

__all__ = ["Case", "GenEval", "OwnPrompts", "Suite", "T2ICompBench", "Visor"]
