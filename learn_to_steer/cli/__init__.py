"""The command line, one file a command."""

from .main import build_parser, main

__all__ = ["build_parser", "main"]
