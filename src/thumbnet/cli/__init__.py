"""The command line: a command becomes a function call. The only place that prints errors and sets exit codes."""

from thumbnet.cli.main import main

__all__ = ["main"]
